//! What the walker of the source tells the writer of the target.

use std::ffi::OsString;
use std::path::PathBuf;

use super::problem::Problem;

/// The type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Dir,
    Symlink,
    /// A device, fifo or socket.
    Node,
}

impl Kind {
    pub(super) fn of(mode: u32) -> Kind {
        match mode & libc::S_IFMT {
            libc::S_IFREG => Kind::File,
            libc::S_IFDIR => Kind::Dir,
            libc::S_IFLNK => Kind::Symlink,
            _ => Kind::Node,
        }
    }
}

/// Seconds since 1970, which may be negative, and nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Time {
    pub(super) seconds: i64,
    pub(super) nanos: u32,
}

/// What is copied of an inode, and what tells how to.
#[derive(Debug, Clone)]
pub(super) struct Stat {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    /// Of 512 bytes.
    pub(super) blocks: u64,
    pub(super) nlink: u64,
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) rdev: u64,
    pub(super) accessed: Time,
    pub(super) modified: Time,
}

impl Stat {
    pub(super) fn kind(&self) -> Kind {
        Kind::of(self.mode)
    }

    /// It has holes of at least a block.
    pub(super) fn is_sparse(&self) -> bool {
        self.blocks.saturating_mul(512).saturating_add(4096) <= self.size
    }
}

/// All that `-a` keeps; without it there are no xattrs, and of the rest only
/// the permissions count.
#[derive(Debug, Clone)]
pub(super) struct Attributes {
    pub(super) stat: Stat,
    pub(super) xattrs: Vec<(OsString, Vec<u8>)>,
}

/// The contents of a file, or where they are to be had.
#[derive(Debug)]
pub(super) enum Data<F> {
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
pub(super) enum Event<F> {
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
    Problem(Problem),
}
