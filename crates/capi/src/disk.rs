//! Disks: what they are made of, and what is known of them.

use std::ffi::{c_char, c_void};
use std::path::Path;

use drupe::{AttachedDisk, Disk, Kernel};

use crate::border::{Given, Options, Out, check_flags, member};
use crate::devices::{Callbacks, DiskCallbacks, READ_ONLY, Region, geometry};
use crate::failure::{Failure, Result};

/// `DRUPE_COPY_ON_WRITE`.
const COPY_ON_WRITE: u32 = 2;
/// `DRUPE_BACKING`.
const BACKING: u32 = 4;

/// `struct drupe_disk_options`.
#[derive(Clone, Copy)]
#[repr(C)]
struct DiskOptions {
    size: usize,
    format: *const c_char,
    block_size: u32,
    flags: u32,
}

// SAFETY: it is repr(C); its pointer may be NULL.
unsafe impl Options for DiskOptions {}

const _: () = assert!(size_of::<DiskOptions>() == 24);

/// `struct drupe_disk_info`.
#[repr(C)]
struct DiskInfo {
    bytes: u64,
    block_size: u32,
    flags: u32,
    device: [c_char; 32],
    format: [c_char; 16],
    spare: [u64; 8],
}

const _: () = assert!(size_of::<DiskInfo>() == 128);

impl DiskOptions {
    /// Those of a file or a server.
    fn image(self) -> Result<drupe::DiskOptions> {
        check_flags(self.flags, READ_ONLY | COPY_ON_WRITE | BACKING)?;
        let mut options = Disk::options()
            .read_only(self.flags & READ_ONLY != 0)
            .copy_on_write(self.flags & COPY_ON_WRITE != 0)
            .backing(self.flags & BACKING != 0);
        // SAFETY: a member of the options: NULL, or a string.
        if let Some(name) = unsafe { member(self.format, "format") }? {
            options = options.format(name.parse().map_err(Failure::argument)?);
        }
        if self.block_size != 0 {
            options = options.block_size(self.block_size);
        }
        Ok(options)
    }
}

/// A text of C's in a structure, cut off where there is no more room.
pub(crate) fn text<const N: usize>(text: &str) -> [c_char; N] {
    let mut array = [0; N];
    let mut len = text.len().min(N - 1);
    while !text.is_char_boundary(len) {
        len -= 1;
    }
    for (to, &byte) in array.iter_mut().zip(&text.as_bytes()[..len]) {
        *to = byte as c_char;
    }
    array
}

handles! {
    AttachedDisk => drupe_disk_free;
}

export! {
    fn drupe_disk_add_file(
        kernel: &Kernel,
        path: &Path,
        options: Given<DiskOptions>,
    ) -> handle<AttachedDisk> {
        let disk = options.0.image()?.open(path)?;
        Ok(kernel.add_disk(disk)?)
    }

    fn drupe_disk_add_uri(
        kernel: &Kernel,
        uri: &str,
        options: Given<DiskOptions>,
    ) -> handle<AttachedDisk> {
        let disk = options.0.image()?.open_uri(uri)?;
        Ok(kernel.add_disk(disk)?)
    }

    fn drupe_disk_add_buffer(
        kernel: &Kernel,
        buffer: *mut c_void,
        len: usize,
        options: Given<DiskOptions>,
    ) -> handle<AttachedDisk> {
        let Given(options) = options;
        check_flags(options.flags, READ_ONLY)?;
        if buffer.is_null() {
            return Err(Failure::null("buffer"));
        }
        if !options.format.is_null() {
            return Err(Failure::argument("a buffer is raw: `format` has no meaning"));
        }
        let read_only = options.flags & READ_ONLY != 0;
        let geometry = geometry(len as u64, options.block_size, read_only)?;
        // SAFETY: the caller leaves the buffer to the disk, as the header says.
        let region = unsafe { Region::new(buffer, geometry) };
        Ok(kernel.add_disk(Disk::new(region))?)
    }

    fn drupe_disk_add_callbacks(
        kernel: &Kernel,
        callbacks: Given<DiskCallbacks>,
        data: *mut c_void,
    ) -> handle<AttachedDisk> {
        let callbacks = Callbacks::new(&callbacks.0, data)?;
        Ok(kernel.add_disk(Disk::new(callbacks))?)
    }

    fn drupe_disk_remove(disk: &AttachedDisk) -> status {
        Ok(disk.clone().remove()?)
    }

    fn drupe_disk_info(disk: &AttachedDisk, info: Out<DiskInfo>) -> status {
        info.put(DiskInfo {
            bytes: disk.size(),
            block_size: disk.block_size(),
            flags: if disk.is_read_only() { READ_ONLY } else { 0 },
            device: text(disk.name()),
            format: text(disk.format().map_or("", |format| format.name())),
            spare: [0; 8],
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_off_between_characters() {
        let show = |array: [c_char; 4]| array.map(|byte| byte as u8);
        assert_eq!(show(text("ab")), *b"ab\0\0");
        assert_eq!(show(text("abcd")), *b"abc\0");
        assert_eq!(show(text("ab\u{e9}")), *b"ab\0\0");
    }
}
