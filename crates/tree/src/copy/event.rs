//! What the walker of the source tells the writer of the target.

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

/// What is copied of an inode, and what tells how to.
#[derive(Debug, Clone)]
pub(crate) struct Stat {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    /// Of 512 bytes.
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

    /// It has holes of at least a block.
    pub(crate) fn is_sparse(&self) -> bool {
        self.blocks.saturating_mul(512).saturating_add(4096) <= self.size
    }
}

/// All that `-a` keeps; without it there are no xattrs, and of the rest only
/// the permissions count.
#[derive(Debug, Clone)]
pub(crate) struct Attributes {
    pub(crate) stat: Stat,
    pub(crate) xattrs: Vec<(OsString, Vec<u8>)>,
}

/// The contents of a file, or where they are to be had.
#[derive(Debug)]
pub(crate) enum Data<F> {
    /// All of it.
    Small(Vec<u8>),
    /// To be copied in pieces, its holes kept; and how problems name it.
    Large(F, String),
    /// To be read until it ends: a pipe, say.
    Stream(F, String),
}

/// A step of a walk. Names are those in the target, relative to the directory
/// entered last.
#[derive(Debug)]
pub(crate) enum Event<F> {
    /// A directory; an empty name is the one we are in.
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
    /// Another name of a file that came earlier, at a path below the target.
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
    /// Something that could not be read.
    Error(Error),
}

impl<F> Event<F> {
    /// The name of what is to be made.
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

    /// The attributes that come with it.
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
