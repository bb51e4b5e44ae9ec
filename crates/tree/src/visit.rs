//! [`Walk`]: visits all files of a tree in an image, for what `rm -r`, `chmod -R`, `du`
//! and the like do.
//!
//! Below the top everything is reached by its name in an open directory, so
//! that trees may be deeper than paths can be long, and no symbolic link leads
//! elsewhere.

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
    /// What it is on.
    pub mount: &'a Mount,
    /// Where it is; `None`: it is the top, reached by its path.
    within: Option<(&'a Dir, &'a OsStr)>,
    /// That of the top as it was given, and what is below that.
    pub path: &'a Path,
    /// That of a symbolic link, if it is one, but for a top that is followed.
    pub metadata: &'a Metadata,
    /// 0: the top.
    pub depth: usize,
    /// The last one of its directory.
    pub last: bool,
}

impl Node<'_> {
    /// Sets the mode; not for symbolic links.
    ///
    /// # Errors
    ///
    /// What the image's kernel says.
    pub fn chmod(&self, mode: u32) -> drupe::Result<()> {
        let permissions = Permissions::from_mode(mode);
        match self.within {
            Some((dir, name)) => dir.set_permissions_of(name, permissions),
            None => self.mount.set_permissions(self.path, permissions),
        }
    }

    /// Sets owners, not those of what a symbolic link leads to.
    ///
    /// # Errors
    ///
    /// What the image's kernel says.
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
    /// What the image's kernel says.
    pub fn remove(&self) -> drupe::Result<()> {
        match (self.within, self.metadata.is_dir()) {
            (Some((dir, name)), true) => dir.remove_dir(name),
            (Some((dir, name)), false) => dir.remove_file(name),
            (None, true) => self.mount.remove_dir(self.path),
            (None, false) => self.mount.remove_file(self.path),
        }
    }

    /// What a symbolic link leads to.
    ///
    /// # Errors
    ///
    /// What the image's kernel says.
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
    /// What the image's kernel says.
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
    /// What the image's kernel says.
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
    /// What the image's kernel says.
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

    /// Its name, or all of the path at the top.
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
    /// This file's fault: it is told, and the walk goes on, unless no other file can be
    /// visited either ([`Error::is_fatal`]).
    File(Error),
    /// The walk's end.
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

/// Of what the visitor writes its findings to.
impl<E: From<std::io::Error>> From<std::io::Error> for Stop<E> {
    fn from(error: std::io::Error) -> Stop<E> {
        Stop::All(error.into())
    }
}

/// What meets the files of a [`Walk`].
pub trait Visitor {
    /// What ends the walk early.
    type Error: From<Error>;

    /// Meets a file, and says whether to go into it if it is a directory.
    ///
    /// # Errors
    ///
    /// What [`Stop`] says.
    fn visit(&mut self, node: &Node<'_>) -> Result<bool, Stop<Self::Error>>;

    /// Whether an entry of a directory is to be visited.
    fn lists(&self, _entry: &DirEntry) -> bool {
        true
    }

    /// All in a directory has been visited. Not called for one that could not be read.
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
    /// In reverse.
    entries: Vec<OsString>,
    /// Its own.
    metadata: Metadata,
    name: OsString,
    last: bool,
    /// How long the path of the directory above is.
    above: usize,
}

/// Cuts a path. Not [`PathBuf::pop`]: that takes a `.` in it away too.
fn cut(path: &mut PathBuf, len: usize) {
    let mut bytes = std::mem::take(path).into_os_string().into_vec();
    bytes.truncate(len);
    *path = PathBuf::from(OsString::from_vec(bytes));
}

impl<'a> Walk<'a> {
    /// From `top`; if that is a symbolic link, from what it leads to.
    pub fn new(top: &'a ImageLocation) -> Walk<'a> {
        Walk {
            top,
            follow_top: true,
        }
    }

    /// A symbolic link at the top is itself.
    pub fn nofollow(mut self) -> Walk<'a> {
        self.follow_top = false;
        self
    }

    /// Visits the top and all below it, entries in the order of their names.
    ///
    /// What cannot be done of a file is told to `progress` and counted in the
    /// [`Outcome`]; the rest is done.
    ///
    /// # Errors
    ///
    /// What the visitor ends the walk with, an error after which no other file can be
    /// visited ([`Error::is_fatal`]), or `interrupt` ([`Error::is_interrupted`]).
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

/// A walk that is under way.
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

    /// Visits one file; a directory to go into is returned.
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

    /// Tells of a file, or ends the walk.
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
