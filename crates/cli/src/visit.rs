//! Visits all files of a tree in an image: for `rm -r`, `chmod -R`, `du` and
//! the like.
//!
//! Below the top everything is reached by its name in an open directory, so
//! that trees may be deeper than paths can be long, and no symbolic link leads
//! elsewhere.

use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use drupe::{Dir, DirEntry, File, Metadata, Mount};

use crate::exit::Failure;
use crate::interrupt::Signals;
use crate::location::ImagePath;
use crate::output::Report;
use drupe_tree::Error;
use drupe_tree::paths::parent;

/// A file that is visited.
pub(crate) struct Node<'a> {
    pub(crate) mount: &'a Mount,
    /// Where it is; `None`: it is the top, reached by its path.
    within: Option<(&'a Dir, &'a OsStr)>,
    /// As the command line has it, and what is below that.
    pub(crate) path: &'a Path,
    pub(crate) metadata: &'a Metadata,
    /// 0: the top.
    pub(crate) depth: usize,
    /// The last one of its directory.
    pub(crate) last: bool,
}

impl Node<'_> {
    /// Sets the mode; not for symbolic links.
    pub(crate) fn chmod(&self, mode: u32) -> drupe::Result<()> {
        let permissions = Permissions::from_mode(mode);
        match self.within {
            Some((dir, name)) => dir.set_permissions_of(name, permissions),
            None => self.mount.set_permissions(self.path, permissions),
        }
    }

    /// Sets owners, not those of what a symbolic link leads to.
    pub(crate) fn lchown(&self, uid: Option<u32>, gid: Option<u32>) -> drupe::Result<()> {
        match self.within {
            Some((dir, name)) => dir.chown_of(name, uid, gid),
            None => self.mount.lchown(self.path, uid, gid),
        }
    }

    pub(crate) fn remove(&self) -> drupe::Result<()> {
        match (self.within, self.metadata.is_dir()) {
            (Some((dir, name)), true) => dir.remove_dir(name),
            (Some((dir, name)), false) => dir.remove_file(name),
            (None, true) => self.mount.remove_dir(self.path),
            (None, false) => self.mount.remove_file(self.path),
        }
    }

    pub(crate) fn read_link(&self) -> drupe::Result<PathBuf> {
        match self.within {
            Some((dir, name)) => dir.read_link(name),
            None => self.mount.read_link(self.path),
        }
    }

    /// Opens it for reading; for regular files.
    pub(crate) fn open(&self) -> drupe::Result<File> {
        match self.within {
            Some((dir, name)) => dir.open(name),
            None => self.mount.open(self.path),
        }
    }

    pub(crate) fn open_dir(&self) -> drupe::Result<Dir> {
        match self.within {
            Some((dir, name)) => dir.open_dir(name),
            None => self.mount.open_dir(self.path),
        }
    }

    /// Extended attributes with their values.
    pub(crate) fn xattrs(&self) -> drupe::Result<Vec<(OsString, Vec<u8>)>> {
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
    pub(crate) fn name(&self) -> &OsStr {
        match self.within {
            Some((_, name)) => name,
            None => self.path.as_os_str(),
        }
    }
}

/// Why a visit ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// This file's fault: there is a line about it, and the walk goes on.
    File(Error),
    /// The walk's end.
    All(Failure),
}

impl From<drupe::Error> for Stop {
    fn from(error: drupe::Error) -> Stop {
        Stop::File(error.into())
    }
}

impl From<Error> for Stop {
    fn from(failed: Error) -> Stop {
        Stop::File(failed)
    }
}

/// Of what is written to standard output.
impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Stop {
        Stop::All(error.into())
    }
}

pub(crate) trait Visitor {
    /// Meets a file, and says whether to go into it if it is a directory.
    fn visit(&mut self, node: &Node<'_>) -> Result<bool, Stop>;

    /// Whether an entry of a directory is to be visited.
    fn lists(&self, _entry: &DirEntry) -> bool {
        true
    }

    /// All in a directory has been visited.
    fn leave(&mut self, _node: &Node<'_>) -> Result<(), Stop> {
        Ok(())
    }
}

/// How to walk.
pub(crate) struct Walk<'a> {
    mount: &'a Mount,
    top: &'a ImagePath,
    signals: &'a Signals,
    report: &'a mut Report,
    /// In front of paths in messages.
    label: String,
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
}

impl<'a> Walk<'a> {
    /// From `top`; if that is a symbolic link, from what it leads to.
    pub(crate) fn new(
        mount: &'a Mount,
        top: &'a ImagePath,
        signals: &'a Signals,
        report: &'a mut Report,
    ) -> Walk<'a> {
        Walk {
            mount,
            top,
            signals,
            report,
            label: top.volume.label(),
            follow_top: true,
        }
    }

    /// A symbolic link at the top is itself.
    pub(crate) fn nofollow(mut self) -> Walk<'a> {
        self.follow_top = false;
        self
    }

    /// Visits the top and all below it, entries in the order of their names.
    pub(crate) fn run(mut self, visitor: &mut impl Visitor) -> Result<(), Failure> {
        let path = self.top.path.clone();
        let metadata = match self.follow_top {
            true => self.mount.metadata(&path),
            false => self.mount.symlink_metadata(&path),
        };
        let metadata = match metadata {
            Ok(metadata) => metadata,
            Err(error) => return self.problem(&path, error.into()),
        };
        let mut at = path;
        let mut stack: Vec<Level> = Vec::new();
        if let Some(level) = self.meet(None, &at, metadata, OsString::new(), 0, true, visitor)? {
            stack.push(level);
        }
        while let Some(level) = stack.last_mut() {
            self.signals.check()?;
            if let Some(name) = level.entries.pop() {
                let last = level.entries.is_empty();
                at.push(&name);
                let depth = stack.len();
                let dir = &stack[depth - 1].dir;
                let met = match dir.symlink_metadata(&name) {
                    Ok(metadata) => {
                        self.meet(Some(dir), &at, metadata, name, depth, last, visitor)?
                    }
                    Err(error) => {
                        self.problem(&at, error.into())?;
                        None
                    }
                };
                match met {
                    Some(level) => stack.push(level),
                    None => drop(at.pop()),
                }
                continue;
            }
            let Some(left) = stack.pop() else {
                break;
            };
            // Removed only now: an open directory can be, too.
            let node = Node {
                mount: self.mount,
                within: stack.last().map(|above| (&above.dir, &*left.name)),
                path: &at,
                metadata: &left.metadata,
                depth: stack.len(),
                last: left.last,
            };
            let done = visitor.leave(&node);
            self.settle(&at, done)?;
            if !stack.is_empty() {
                at.pop();
            }
        }
        Ok(())
    }

    /// Visits one file; a directory to go into is returned.
    #[expect(clippy::too_many_arguments, reason = "the parts of a node")]
    fn meet(
        &mut self,
        dir: Option<&Dir>,
        path: &Path,
        metadata: Metadata,
        name: OsString,
        depth: usize,
        last: bool,
        visitor: &mut impl Visitor,
    ) -> Result<Option<Level>, Failure> {
        let node = Node {
            mount: self.mount,
            within: dir.map(|dir| (dir, &*name)),
            path,
            metadata: &metadata,
            depth,
            last,
        };
        let enter = match visitor.visit(&node) {
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
                if visitor.lists(&entry) {
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
            })),
            Err(error) => {
                self.problem(path, error.into())?;
                Ok(None)
            }
        }
    }

    fn settle(&mut self, path: &Path, result: Result<(), Stop>) -> Result<(), Failure> {
        match result {
            Ok(()) => Ok(()),
            Err(Stop::File(failed)) => self.problem(path, failed),
            Err(Stop::All(failure)) => Err(failure),
        }
    }

    /// A line about a file, or the end of the walk.
    fn problem(&mut self, path: &Path, failed: Error) -> Result<(), Failure> {
        let fatal = failed.is_fatal();
        let problem = failed.at(format!("{}:{}", self.label, path.display()));
        if fatal {
            return Err(problem.into());
        }
        self.report.error(&problem.to_string());
        Ok(())
    }
}

/// The directory that a path is in, open, and its last name, or why not: for
/// commands that make or remove names.
pub(crate) fn open_parent(mount: &Mount, path: &Path) -> drupe::Result<Dir> {
    let dir = parent(path);
    match dir.as_os_str().is_empty() {
        true => mount.open_dir("/"),
        false => mount.open_dir(dir),
    }
}
