//! Changes a [`Tree`] and its mount in the same way: deletes half, renames, truncates,
//! rewrites.

use std::path::{Path, PathBuf};

use drupe::{Mount, OpenOptions};

use crate::contents::Contents;
use crate::tree::{Kind, Tree};
use crate::write::{inside, stamp, write_file};

impl Tree {
    /// Does everything, in the model and in the mount.
    pub(crate) fn mutate(&mut self, mount: &Mount) -> drupe::Result<()> {
        self.delete_half(mount)?;
        self.delete_directory(mount, Path::new("deep/d0/d1/d2"))?;
        if self.capabilities.settle_deletions {
            mount.sync()?;
        }
        self.rename_some(mount)?;
        self.resize_some(mount)?;
        self.stamp_directories(mount)
    }

    fn is_directory(&self, path: &Path) -> bool {
        matches!(self.node(path).kind, Kind::Directory)
    }

    /// The names that are not directories'.
    fn files(&self) -> Vec<PathBuf> {
        let names = self.names.keys();
        names
            .filter(|path| !self.is_directory(path))
            .cloned()
            .collect()
    }

    fn delete_half(&mut self, mount: &Mount) -> drupe::Result<()> {
        for path in self.files().iter().step_by(2) {
            mount.remove_file(inside(path))?;
            self.names.remove(path);
        }
        Ok(())
    }

    fn delete_directory(&mut self, mount: &Mount, top: &Path) -> drupe::Result<()> {
        mount.remove_dir_all(inside(top))?;
        self.names.retain(|path, _| !path.starts_with(top));
        Ok(())
    }

    /// Moves every third file to a new directory, some over others, and then
    /// that directory into another.
    fn rename_some(&mut self, mount: &Mount) -> drupe::Result<()> {
        self.add("moved", Kind::Directory);
        mount.create_dir("/moved")?;
        for (n, path) in self.files().iter().step_by(3).enumerate() {
            let to = Path::new("moved").join(format!("{}", n % 50));
            // Renaming one name of a file to another of them does nothing.
            if self.names.get(&to) == self.names.get(path) {
                continue;
            }
            mount.rename(inside(path), inside(&to))?;
            if let Some(node) = self.names.remove(path) {
                self.names.insert(to, node);
            }
        }
        let (from, to) = (Path::new("moved"), Path::new("empty directory/moved"));
        mount.rename(inside(from), inside(to))?;
        let names = std::mem::take(&mut self.names).into_iter();
        self.names = names
            .map(|(path, node)| match path.strip_prefix(from) {
                Ok(rest) if rest == Path::new("") => (to.to_owned(), node),
                Ok(rest) => (to.join(rest), node),
                Err(_) => (path, node),
            })
            .collect();
        Ok(())
    }

    /// Cuts off, extends, or writes anew.
    fn resize_some(&mut self, mount: &Mount) -> drupe::Result<()> {
        for (n, path) in self.files().into_iter().enumerate() {
            let index = self.names[&path];
            let Kind::File(contents) = &mut self.nodes[index].kind else {
                continue;
            };
            match n % 4 {
                0 => contents.set_len(contents.len() / 2 + 1),
                1 => contents.set_len(contents.len() + 5001),
                2 => {
                    *contents = Contents::full(n as u64, contents.len().min(100_000) + 777);
                    write_file(mount, &inside(&path), contents)?;
                }
                _ => continue,
            }
            let file = mount.open_with(inside(&path), OpenOptions::new().write(true))?;
            file.set_len(contents.len())?;
            drop(file);
            stamp(mount, &path, &self.nodes[index])?;
        }
        Ok(())
    }
}
