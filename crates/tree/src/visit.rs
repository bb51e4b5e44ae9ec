//! [`Walk`]: visits all files of a tree in an image, for `rm -r`, `chmod -R`, `du` and
//! the like.
//!
//! Below the top, files are reached by their name in an open directory. So trees may be
//! deeper than the longest path, and no symbolic link is followed.

use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use drupe::{Dir, DirEntry, File, Metadata, Mount};

use crate::{Error, ImageLocation, Interrupt, Outcome, Progress};

/// A file that is visited.
#[derive(Debug)]
pub struct Node<'a> {
    /// The mount that it is on.
    pub mount: &'a Mount,
    /// Its directory and name; `None`: it is the top, reached by its path.
    within: Option<(&'a Dir, &'a OsStr)>,
    /// The path of the top as it was given, and the path below that.
    pub path: &'a Path,
    /// Its metadata. Symbolic links are not followed, except at the top.
    pub metadata: &'a Metadata,
    /// 0: the top.
    pub depth: usize,
    /// Whether it is the last entry of its directory.
    pub last: bool,
}

impl Node<'_> {
    /// Sets the mode; not for symbolic links.
    ///
    /// # Errors
    ///
    /// Those of the image's kernel.
    pub fn chmod(&self, mode: u32) -> drupe::Result<()> {
        let permissions = Permissions::from_mode(mode);
        match self.within {
            Some((dir, name)) => dir.set_permissions_of(name, permissions),
            None => self.mount.set_permissions(self.path, permissions),
        }
    }

    /// Sets the owners; of a symbolic link, not of its target.
    ///
    /// # Errors
    ///
    /// Those of the image's kernel.
    pub fn lchown(&self, uid: Option<u32>, gid: Option<u32>) -> drupe::Result<()> {
        match self.within {
            Some((dir, name)) => dir.chown_of(name, uid, gid),
            None => self.mount.lchown(self.path, uid, gid),
        }
    }

    /// Removes it; a directory must be empty.
    ///
    /// # Errors
    ///
    /// Those of the image's kernel.
    pub fn remove(&self) -> drupe::Result<()> {
        match (self.within, self.metadata.is_dir()) {
            (Some((dir, name)), true) => dir.remove_dir(name),
            (Some((dir, name)), false) => dir.remove_file(name),
            (None, true) => self.mount.remove_dir(self.path),
            (None, false) => self.mount.remove_file(self.path),
        }
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    ///
    /// Those of the image's kernel.
    pub fn read_link(&self) -> drupe::Result<PathBuf> {
        match self.within {
            Some((dir, name)) => dir.read_link(name),
            None => self.mount.read_link(self.path),
        }
    }

    /// Opens it for reading; for regular files.
    ///
    /// # Errors
    ///
    /// Those of the image's kernel.
    pub fn open(&self) -> drupe::Result<File> {
        match self.within {
            Some((dir, name)) => dir.open(name),
            None => self.mount.open(self.path),
        }
    }

    /// Opens a directory.
    ///
    /// # Errors
    ///
    /// Those of the image's kernel.
    pub fn open_dir(&self) -> drupe::Result<Dir> {
        match self.within {
            Some((dir, name)) => dir.open_dir(name),
            None => self.mount.open_dir(self.path),
        }
    }

    /// Extended attributes with their values.
    ///
    /// # Errors
    ///
    /// Those of the image's kernel.
    pub fn xattrs(&self) -> drupe::Result<Vec<(OsString, Vec<u8>)>> {
        match self.within {
            Some((dir, name)) => dir.xattrs_of(name),
            None => {
                let names = self.mount.llist_xattr(self.path)?;
                let values = names.into_iter().filter_map(|name| {
                    let value = self.mount.lget_xattr(self.path, &name).transpose()?;
                    Some(value.map(|value| (name, value)))
                });
                values.collect()
            }
        }
    }

    /// Its name; at the top, the whole path.
    pub fn name(&self) -> &OsStr {
        match self.within {
            Some((_, name)) => name,
            None => self.path.as_os_str(),
        }
    }
}

/// Why a visit ends early.
#[derive(Debug)]
pub enum Stop<E> {
    /// An error of this file: it is reported, and the walk goes on, unless it is fatal
    /// ([`Error::is_fatal`]).
    File(Error),
    /// An error that ends the walk.
    All(E),
}

impl<E> From<drupe::Error> for Stop<E> {
    fn from(error: drupe::Error) -> Stop<E> {
        Stop::File(error.into())
    }
}

impl<E> From<Error> for Stop<E> {
    fn from(error: Error) -> Stop<E> {
        Stop::File(error)
    }
}

/// An error of the visitor's output.
impl<E: From<std::io::Error>> From<std::io::Error> for Stop<E> {
    fn from(error: std::io::Error) -> Stop<E> {
        Stop::All(error.into())
    }
}

/// Handles the files of a [`Walk`].
pub trait Visitor {
    /// The error that ends the walk early.
    type Error: From<Error>;

    /// Handles a file. For a directory, returns whether to visit its entries.
    ///
    /// # Errors
    ///
    /// What [`Stop`] says.
    fn visit(&mut self, node: &Node<'_>) -> Result<bool, Stop<Self::Error>>;

    /// Whether to visit an entry of a directory.
    fn lists(&self, _entry: &DirEntry) -> bool {
        true
    }

    /// Called when all entries of a directory have been visited. Not called if it could
    /// not be read.
    ///
    /// # Errors
    ///
    /// What [`Stop`] says.
    fn leave(&mut self, _node: &Node<'_>) -> Result<(), Stop<Self::Error>> {
        Ok(())
    }
}

/// A walk through a tree in an image.
#[derive(Debug, Clone, Copy)]
#[must_use = "it has to be run"]
pub struct Walk<'a> {
    top: &'a ImageLocation,
    follow_top: bool,
}

/// A directory that is being visited.
struct Level {
    dir: Dir,
    /// The names that are still to be visited, in reverse order.
    entries: Vec<OsString>,
    /// Its own.
    metadata: Metadata,
    name: OsString,
    last: bool,
    /// The length of the parent directory's path.
    above: usize,
}

/// Cuts a path to `len` bytes. [`PathBuf::pop`] would remove a `.` in it too.
fn cut(path: &mut PathBuf, len: usize) {
    let mut bytes = std::mem::take(path).into_os_string().into_vec();
    bytes.truncate(len);
    *path = PathBuf::from(OsString::from_vec(bytes));
}

impl<'a> Walk<'a> {
    /// A walk from `top`; a symbolic link there is followed.
    pub fn new(top: &'a ImageLocation) -> Walk<'a> {
        Walk {
            top,
            follow_top: true,
        }
    }

    /// Does not follow a symbolic link at the top.
    pub fn nofollow(mut self) -> Walk<'a> {
        self.follow_top = false;
        self
    }

    /// Visits the top and all below it, entries in the order of their names.
    ///
    /// Errors of single files are reported to `progress` and counted in the [`Outcome`];
    /// the walk goes on.
    ///
    /// # Errors
    ///
    /// The visitor's [`Stop::All`], a fatal error ([`Error::is_fatal`]), or `interrupt`
    /// ([`Error::is_interrupted`]).
    pub fn run<V: Visitor>(
        self,
        visitor: &mut V,
        interrupt: &Interrupt,
        progress: &dyn Progress,
    ) -> Result<Outcome, V::Error> {
        let mut walking = Walking {
            top: self.top,
            visitor,
            interrupt,
            progress,
            outcome: Outcome::default(),
        };
        walking.run(self.follow_top)?;
        Ok(walking.outcome)
    }
}

/// The state of a walk.
struct Walking<'a, V> {
    top: &'a ImageLocation,
    visitor: &'a mut V,
    interrupt: &'a Interrupt,
    progress: &'a dyn Progress,
    outcome: Outcome,
}

impl<V: Visitor> Walking<'_, V> {
    fn run(&mut self, follow_top: bool) -> Result<(), V::Error> {
        let ImageLocation { mount, path, .. } = self.top;
        let metadata = match follow_top {
            true => mount.metadata(path),
            false => mount.symlink_metadata(path),
        };
        let metadata = match metadata {
            Ok(metadata) => metadata,
            Err(error) => return self.problem(path, error.into()),
        };
        let mut at = path.clone();
        let mut stack: Vec<Level> = Vec::new();
        if let Some(level) = self.meet(None, &at, metadata, OsString::new(), 0, true)? {
            stack.push(level);
        }
        while let Some(level) = stack.last_mut() {
            self.interrupt.check("visit")?;
            if let Some(name) = level.entries.pop() {
                let last = level.entries.is_empty();
                let above = at.as_os_str().len();
                at.push(&name);
                let depth = stack.len();
                let dir = &stack[depth - 1].dir;
                let met = match dir.symlink_metadata(&name) {
                    Ok(metadata) => self.meet(Some(dir), &at, metadata, name, depth, last)?,
                    Err(error) => {
                        self.problem(&at, error.into())?;
                        None
                    }
                };
                match met {
                    Some(level) => stack.push(Level { above, ..level }),
                    None => cut(&mut at, above),
                }
                continue;
            }
            let Some(left) = stack.pop() else {
                break;
            };
            // Removed only now: an open directory can be, too.
            let node = Node {
                mount: &self.top.mount,
                within: stack.last().map(|above| (&above.dir, &*left.name)),
                path: &at,
                metadata: &left.metadata,
                depth: stack.len(),
                last: left.last,
            };
            let done = self.visitor.leave(&node);
            self.settle(&at, done)?;
            if !stack.is_empty() {
                cut(&mut at, left.above);
            }
        }
        Ok(())
    }

    /// Visits one file. Returns a directory whose entries are to be visited.
    fn meet(
        &mut self,
        dir: Option<&Dir>,
        path: &Path,
        metadata: Metadata,
        name: OsString,
        depth: usize,
        last: bool,
    ) -> Result<Option<Level>, V::Error> {
        let node = Node {
            mount: &self.top.mount,
            within: dir.map(|dir| (dir, &*name)),
            path,
            metadata: &metadata,
            depth,
            last,
        };
        let enter = match self.visitor.visit(&node) {
            Ok(enter) => enter && metadata.is_dir(),
            Err(stop) => {
                self.settle(path, Err(stop))?;
                false
            }
        };
        if !enter {
            return Ok(None);
        }
        let read = || -> drupe::Result<_> {
            let dir = node.open_dir()?;
            let mut entries = Vec::new();
            for entry in dir.read_dir()? {
                let entry = entry?;
                if self.visitor.lists(&entry) {
                    entries.push(entry.file_name());
                }
            }
            entries.sort_unstable_by(|a, b| b.cmp(a));
            Ok((dir, entries))
        };
        match read() {
            Ok((dir, entries)) => Ok(Some(Level {
                dir,
                entries,
                metadata,
                name,
                last,
                above: 0,
            })),
            Err(error) => {
                self.problem(path, error.into())?;
                Ok(None)
            }
        }
    }

    fn settle(&mut self, path: &Path, result: Result<(), Stop<V::Error>>) -> Result<(), V::Error> {
        match result {
            Ok(()) => Ok(()),
            Err(Stop::File(error)) => self.problem(path, error),
            Err(Stop::All(error)) => Err(error),
        }
    }

    /// Reports an error of a file, or ends the walk if it is fatal.
    fn problem(&mut self, path: &Path, error: Error) -> Result<(), V::Error> {
        let fatal = error.is_fatal();
        let error = error.at(format!("{}:{}", self.top.label, path.display()));
        if fatal {
            return Err(error.into());
        }
        self.progress.error(&error);
        self.outcome.errors += 1;
        Ok(())
    }
}
