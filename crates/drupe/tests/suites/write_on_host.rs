//! Makes a [`Tree`] in a directory of the host, without root.

use std::fs::{self, File, Permissions};
use std::io::Result;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use crate::tree::{Kind, Node, Tree};

impl Tree {
    /// Makes names, contents, links, modes and times.
    pub(crate) fn write_on_host(&self, top: &Path) -> Result<()> {
        let mut made: Vec<Option<&Path>> = vec![None; self.nodes.len()];
        for (path, &index) in &self.names {
            let to = top.join(path);
            if let Some(original) = made[index].replace(path) {
                fs::hard_link(top.join(original), to)?;
                continue;
            }
            let node = &self.nodes[index];
            match &node.kind {
                Kind::Directory => fs::create_dir(&to)?,
                Kind::File(contents) => {
                    let file = File::create(&to)?;
                    for (offset, bytes) in contents.pieces() {
                        file.write_all_at(&bytes, offset)?;
                    }
                    file.set_len(contents.len())?;
                }
                Kind::Symlink(target) => symlink(target, &to)?,
                Kind::Special(..) => return Err(std::io::ErrorKind::Unsupported.into()),
            }
            stamp(&to, node)?;
        }
        // From below: what is made in a directory changes its time.
        for (path, &index) in self.names.iter().rev() {
            let node = &self.nodes[index];
            if self.capabilities.modes && !matches!(node.kind, Kind::Symlink(_)) {
                fs::set_permissions(top.join(path), Permissions::from_mode(node.mode))?;
            }
            stamp(&top.join(path), node)?;
        }
        Ok(())
    }
}

fn stamp(path: &Path, node: &Node) -> Result<()> {
    let time = Timespec {
        tv_sec: node.modified.div_euclid(1_000_000_000) as i64,
        tv_nsec: node.modified.rem_euclid(1_000_000_000) as _,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
