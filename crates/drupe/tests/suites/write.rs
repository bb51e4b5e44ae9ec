//! Makes a [`Tree`] in a mount.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use drupe::{FileTimes, Mount};

use crate::contents::Contents;
use crate::tree::{Kind, Nanos, Node, Tree};

/// A time for the API.
pub(crate) fn time(nanos: Nanos) -> SystemTime {
    let distance = Duration::from_nanos_u128(nanos.unsigned_abs());
    match nanos < 0 {
        true => UNIX_EPOCH - distance,
        false => UNIX_EPOCH + distance,
    }
}

/// A path from the root of a mount.
pub(crate) fn inside(path: &Path) -> PathBuf {
    Path::new("/").join(path)
}

impl Tree {
    /// Makes all of it.
    pub(crate) fn write(&self, mount: &Mount) -> drupe::Result<()> {
        let mut made: Vec<Option<&Path>> = vec![None; self.nodes.len()];
        for (path, &index) in &self.names {
            match made[index].replace(path) {
                Some(original) => mount.hard_link(inside(original), inside(path))?,
                None => self.write_node(mount, path, &self.nodes[index])?,
            }
        }
        for (path, node) in self.directories() {
            self.dress(mount, path, node)?;
        }
        Ok(())
    }

    fn write_node(&self, mount: &Mount, path: &Path, node: &Node) -> drupe::Result<()> {
        let to = inside(path);
        match &node.kind {
            // Dressed last: what is made in it changes its time, and its default
            // access list changes what is made in it.
            Kind::Directory => return mount.create_dir(to),
            Kind::File(contents) => write_file(mount, &to, contents)?,
            Kind::Symlink(target) => mount.symlink(target, to)?,
            Kind::Special(kind, device) => mount.mknod(to, kind | 0o600, *device)?,
        }
        self.dress(mount, path, node)
    }

    /// Directories, those below before those above.
    fn directories(&self) -> impl Iterator<Item = (&Path, &Node)> {
        let all = self.names.iter().rev();
        all.map(|(path, &index)| (&**path, &self.nodes[index]))
            .filter(|(_, node)| matches!(node.kind, Kind::Directory))
    }

    /// Sets everything but contents, in the order in which nothing undoes
    /// anything before it.
    fn dress(&self, mount: &Mount, path: &Path, node: &Node) -> drupe::Result<()> {
        let to = &inside(path);
        if self.capabilities.owners {
            mount.lchown(to, Some(node.uid), Some(node.gid))?;
        }
        for (name, value) in &node.xattrs {
            mount.lset_xattr(to, name, value)?;
        }
        if self.capabilities.modes && !matches!(node.kind, Kind::Symlink(_)) {
            mount.set_permissions(to, Permissions::from_mode(node.mode))?;
        }
        stamp(mount, path, node)
    }

    /// Sets the times of all directories again, after something was done to
    /// what is in them.
    pub(crate) fn stamp_directories(&self, mount: &Mount) -> drupe::Result<()> {
        self.directories()
            .try_for_each(|(path, node)| stamp(mount, path, node))
    }
}

/// Sets a node's time.
pub(crate) fn stamp(mount: &Mount, path: &Path, node: &Node) -> drupe::Result<()> {
    let modified = time(node.modified);
    let times = FileTimes::new().set_modified(modified);
    mount.set_times_nofollow(inside(path), times)
}

/// Writes data, and leaves holes where they are to be.
pub(crate) fn write_file(mount: &Mount, to: &Path, contents: &Contents) -> drupe::Result<()> {
    let file = mount.create(to)?;
    for (offset, bytes) in contents.pieces() {
        file.write_all_at(&bytes, offset)?;
    }
    file.set_len(contents.len())
}
