//! Files: the methods of a [`Mount`](crate::Mount), in the shape of [`std::fs`].
//!
//! - [`path`]: keeps a path inside its mount; everything else builds on it.
//! - [`contents`], [`tree`], [`attributes`]: the methods of `Mount`.
//! - [`mod@file`], [`dir`], [`read_dir`], [`dir_stream`]: open files and directories.
//! - [`node`], [`credentials`]: for file servers: files without paths, and the users of
//!   calls.
//! - [`whole`], [`btrfs`]: what concerns a whole filesystem: label, size, subvolumes.
//! - [`open`], [`metadata`], [`times`]: plain data.

mod attributes;
mod btrfs;
mod contents;
mod credentials;
mod dir;
mod dir_stream;
mod file;
mod metadata;
mod node;
mod open;
mod path;
mod read_dir;
mod subvolume;
mod times;
mod tree;
mod whole;

use std::ffi::CString;
use std::sync::Arc;

pub use btrfs::{Scrub, Subvolume};
pub use credentials::{Credentials, capability};
pub use dir::Dir;
pub use dir_stream::{DirStream, StreamEntry};
pub use file::File;
pub use metadata::{FileType, Metadata, StatFs, makedev};
pub use node::{Handle, Node};
pub use open::OpenOptions;
pub use read_dir::{DirEntry, ReadDir};
pub use times::FileTimes;

use crate::sys::{self, AT_FDCWD, Sys};

/// The names in a directory of the kernel's own tree, without those that are not UTF-8.
pub(crate) fn names(sys: &Arc<Sys>, path: &str) -> sys::Result<Vec<String>> {
    let path = CString::new(path).unwrap_or_default();
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    let dir = sys.openat(AT_FDCWD, &path, flags, 0)?;
    let mut records = read_dir::Records::new();
    let mut names = Vec::new();
    while let Some(record) = records.next(sys, dir.raw())? {
        names.extend(String::from_utf8(record.name.to_vec()));
    }
    Ok(names)
}
