//! [`Event`]: the messages from the walker of the source to the writer of the target.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::error::Error;
use crate::time::Time;

/// The type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Dir,
    Symlink,
    /// A device, fifo or socket.
    Node,
}

impl Kind {
    pub(crate) fn of(mode: u32) -> Kind {
        match mode & libc::S_IFMT {
            libc::S_IFREG => Kind::File,
            libc::S_IFDIR => Kind::Dir,
            libc::S_IFLNK => Kind::Symlink,
            _ => Kind::Node,
        }
    }
}

/// The fields of an inode that a copy uses.
#[derive(Debug, Clone)]
pub(crate) struct Stat {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    /// Its blocks of 512 bytes.
    pub(crate) blocks: u64,
    pub(crate) nlink: u64,
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) rdev: u64,
    pub(crate) accessed: Time,
    pub(crate) modified: Time,
}

impl Stat {
    pub(crate) fn kind(&self) -> Kind {
        Kind::of(self.mode)
    }

    /// Whether it has holes of at least a block.
    pub(crate) fn is_sparse(&self) -> bool {
        self.blocks.saturating_mul(512).saturating_add(4096) <= self.size
    }
}

/// The attributes that `-a` keeps. Without it there are no xattrs, and only the
/// permissions are used.
#[derive(Debug, Clone)]
pub(crate) struct Attributes {
    pub(crate) stat: Stat,
    pub(crate) xattrs: Vec<(OsString, Vec<u8>)>,
}

/// The contents of a file, or the open file.
#[derive(Debug)]
pub(crate) enum Data<F> {
    /// The whole contents.
    Small(Vec<u8>),
    /// A file to copy in pieces, with its holes; and its name in errors.
    Large(F, String),
    /// A file to read until it ends, such as a pipe; and its name in errors.
    Stream(F, String),
}

/// A step of a walk. Names are those in the target, relative to the directory
/// entered last.
#[derive(Debug)]
pub(crate) enum Event<F> {
    /// A directory; an empty name means the current one.
    Enter {
        name: OsString,
        attributes: Attributes,
    },
    /// The end of the directory entered last.
    Leave,
    File {
        name: OsString,
        attributes: Attributes,
        data: Data<F>,
    },
    /// Another name of an earlier file, which is at the path `first` below the target.
    Link { name: OsString, first: PathBuf },
    Symlink {
        name: OsString,
        target: PathBuf,
        attributes: Attributes,
    },
    Node {
        name: OsString,
        attributes: Attributes,
    },
    /// An error of reading the source.
    Error(Error),
}

impl<F> Event<F> {
    /// The name of the file to make.
    pub(crate) fn name(&self) -> Option<&OsStr> {
        match self {
            Event::Enter { name, .. }
            | Event::File { name, .. }
            | Event::Link { name, .. }
            | Event::Symlink { name, .. }
            | Event::Node { name, .. } => Some(name),
            Event::Leave | Event::Error(_) => None,
        }
    }

    /// The attributes of the file.
    pub(crate) fn attributes_mut(&mut self) -> Option<&mut Attributes> {
        match self {
            Event::Enter { attributes, .. }
            | Event::File { attributes, .. }
            | Event::Symlink { attributes, .. }
            | Event::Node { attributes, .. } => Some(attributes),
            Event::Leave | Event::Link { .. } | Event::Error(_) => None,
        }
    }
}
