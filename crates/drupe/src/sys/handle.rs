//! System calls on file handles: identifiers of files that need no descriptor.

use std::ffi::CStr;
use std::fmt;
use std::sync::Arc;

use super::call::{Result, Sys, fd, text};
use super::fd::OwnedFd;
use super::nr;

/// `MAX_HANDLE_SZ` (include/linux/exportfs.h).
const MOST: usize = 128;

/// `struct file_handle` of name_to_handle_at(2).
#[repr(C)]
struct FileHandle {
    bytes: u32,
    kind: i32,
    handle: [u8; MOST],
}

/// A handle of name_to_handle_at(2).
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct RawHandle {
    kind: i32,
    bytes: Box<[u8]>,
}

impl fmt::Debug for RawHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "handle {}:", self.kind)?;
        self.bytes
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl RawHandle {
    /// `FILEID_INO32_GEN` (include/linux/exportfs.h) with generation 0.
    pub(crate) fn of_inode(ino: u32) -> RawHandle {
        let [inode, generation] = [ino, 0].map(u32::to_ne_bytes);
        RawHandle {
            kind: 1,
            bytes: [inode, generation].concat().into(),
        }
    }
}

impl Sys {
    /// name_to_handle_at(2).
    pub(crate) fn handle_of(&self, dir: i32, name: &CStr, flags: i32) -> Result<RawHandle> {
        let mut handle = FileHandle {
            bytes: MOST as u32,
            kind: 0,
            handle: [0; MOST],
        };
        let mut mount_id = 0i32;
        let args = [
            fd(dir),
            text(name),
            &raw mut handle as usize,
            &raw mut mount_id as usize,
            flags as usize,
        ];
        // SAFETY: reads a string, writes a handle of at most the size that is
        // given, and a number.
        unsafe { self.raw(nr::NAME_TO_HANDLE_AT, args) }?;
        let len = (handle.bytes as usize).min(MOST);
        Ok(RawHandle {
            kind: handle.kind,
            bytes: handle.handle[..len].into(),
        })
    }

    /// open_by_handle_at(2) on the filesystem that `mount` is open on.
    pub(crate) fn open_by_handle(
        self: &Arc<Self>,
        mount: i32,
        raw: &RawHandle,
        flags: i32,
    ) -> Result<OwnedFd> {
        let mut handle = FileHandle {
            bytes: raw.bytes.len() as u32,
            kind: raw.kind,
            handle: [0; MOST],
        };
        handle.handle[..raw.bytes.len()].copy_from_slice(&raw.bytes);
        let flags = (flags | libc::O_CLOEXEC) as usize;
        let args = [fd(mount), &raw const handle as usize, flags];
        // SAFETY: reads the handle, which is as long as it says.
        let opened = unsafe { self.raw(nr::OPEN_BY_HANDLE_AT, args) }?;
        Ok(OwnedFd::new(self, opened))
    }
}
