//! The kernel image inside of the program, and the file that it can be mapped
//! from.
//!
//! [`Embedded`] holds any bytes that are to be mapped: the image, and snapshots of
//! kernels. [`bytes`] is the image, as a page-aligned static. [`backing`] is the
//! same bytes as a part of a file, so that a loader can map them: the kernels of a
//! process then share the pages of the text with each other, and with every
//! other process of the same program. That file is the program itself, or the
//! shared library that this crate was linked into, and where neither can be
//! opened, a copy in memory.
//!
//! Neighbours: `build/main.rs` provides the image; the loader maps it.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use once_cell::race::OnceBox;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// Size of a page, in bytes.
const PAGE: usize = 4096;

/// The length is needed in a type, before there is a static.
const IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/image.elf"));

/// Bytes that are part of the program, and can be mapped from its file. To be a
/// static.
///
/// # Invariants
///
/// `id` is the SHA-256 of `bytes`, and follows them immediately: a file that
/// has it at that place has the same bytes in front of it, linked from the same
/// crate by the same build.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Embedded<const N: usize> {
    /// The bytes.
    pub bytes: [u8; N],
    /// Their SHA-256.
    pub id: [u8; 32],
}

// INVARIANT: build/main.rs writes both files from one image.
static EMBEDDED: Embedded<{ IMAGE.len() }> = Embedded {
    bytes: *include_bytes!(concat!(env!("OUT_DIR"), "/image.elf")),
    id: *include_bytes!(concat!(env!("OUT_DIR"), "/image.id")),
};

/// The image: an ELF file, aligned to a page.
pub fn bytes() -> &'static [u8] {
    &EMBEDDED.bytes
}

/// The SHA-256 of the image. Whatever depends on the image's layout, such as a
/// snapshot, is told by it from that of another image.
pub fn id() -> &'static [u8; 32] {
    &EMBEDDED.id
}

/// The version of Linux that the image is, such as `6.12.38`. Empty if it does not say.
pub const LINUX_VERSION: &str = include_str!(concat!(env!("OUT_DIR"), "/image.version"));

/// A file and where in it the bytes lie.
#[derive(Debug)]
pub struct Backing {
    /// Open for reading; not to be written to.
    pub file: File,
    /// Offset of the first byte, a multiple of the page size. Behind them the
    /// file goes on with something else, or ends.
    pub offset: u64,
}

/// A file that [`bytes`] can be mapped from, privately.
///
/// # Errors
///
/// Only if the program's own file cannot be used (it was stripped of the image,
/// it is no file, `/proc` is not mounted) and memfd_create(2) fails as well.
pub fn backing() -> io::Result<Backing> {
    static FOUND: Found = Found::new();
    EMBEDDED.backing(&FOUND)
}

/// Where the bytes of an [`Embedded`] were found, so that they are looked for once
/// per process. No thread waits for another one here: a child of fork(2) would wait
/// for ever.
#[derive(Debug, Default)]
pub struct Found {
    /// The program's own file, and the offset in it; none that can be used.
    own: OnceBox<Option<(PathBuf, u64)>>,
    /// A copy in memory, where there is no file. Its descriptor is the program's to
    /// close, as all are: so it is never closed here, and never trusted.
    copy: OnceBox<ManuallyDrop<File>>,
}

impl Found {
    /// Nowhere yet.
    pub const fn new() -> Found {
        Found {
            own: OnceBox::new(),
            copy: OnceBox::new(),
        }
    }
}

impl<const N: usize> Embedded<N> {
    /// A file that the bytes can be mapped from, privately. `found` is a static of
    /// theirs. The file has been seen to hold them.
    ///
    /// # Errors
    ///
    /// As for [`backing`].
    pub fn backing(&'static self, found: &'static Found) -> io::Result<Backing> {
        let own = found.own.get_or_init(|| Box::new(find_own_file(self)));
        if let Some((path, offset)) = own
            && let Some(backing) = self.open(path, *offset)
        {
            return Ok(backing);
        }
        if let Some(copy) = found.copy.get()
            && holds(copy, 0, self).unwrap_or(false)
        {
            let file = copy.try_clone()?;
            return Ok(Backing { file, offset: 0 });
        }
        let file = copied(&self.bytes)?;
        let kept = Box::new(ManuallyDrop::new(file.try_clone()?));
        if let Err(second) = found.copy.set(kept) {
            drop(ManuallyDrop::into_inner(*second));
        }
        Ok(Backing { file, offset: 0 })
    }

    /// The file at `path`, if it has the bytes at `offset`.
    fn open(&'static self, path: &Path, offset: u64) -> Option<Backing> {
        let file = File::open(path).ok()?;
        holds(&file, offset, self)
            .ok()?
            .then_some(Backing { file, offset })
    }
}

/// The file that the static itself is mapped from, and where in it the bytes are.
fn find_own_file<const N: usize>(embedded: &'static Embedded<N>) -> Option<(PathBuf, u64)> {
    let start = std::ptr::from_ref(embedded).addr();
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let (path, offset) = find_mapping(&maps, start, start + size_of::<Embedded<N>>())?;
    // The first way works after the program's file has been replaced or
    // removed, the second for shared libraries. Inode numbers could tell which
    // it is, but those of overlayfs and btrfs differ from what maps says; the
    // content does not.
    let exe = PathBuf::from("/proc/self/exe");
    [exe, path]
        .into_iter()
        .find(|path| embedded.open(path, offset).is_some())
        .map(|path| (path, offset))
}

/// Whether `file` has the bytes at `offset`: it starts with the same page and
/// ends with the same id.
fn holds<const N: usize>(file: &File, offset: u64, embedded: &Embedded<N>) -> io::Result<bool> {
    if !offset.is_multiple_of(PAGE as u64) {
        return Ok(false);
    }
    let first = &embedded.bytes[..embedded.bytes.len().min(PAGE)];
    let mut found = vec![0; first.len()];
    file.read_exact_at(&mut found, offset)?;
    let mut id = [0; 32];
    file.read_exact_at(&mut id, offset + embedded.bytes.len() as u64)?;
    Ok(found == first && id == embedded.id)
}

/// The file, and the offset in it, that the addresses from `start` to `end` are
/// mapped from, according to proc_pid_maps(5).
fn find_mapping(maps: &str, start: usize, end: usize) -> Option<(PathBuf, u64)> {
    maps.lines().find_map(|line| {
        // address perms offset dev inode path; the path may contain spaces.
        let mut fields = line.splitn(6, ' ');
        let (from, to) = fields.next()?.split_once('-')?;
        let from = usize::from_str_radix(from, 16).ok()?;
        let to = usize::from_str_radix(to, 16).ok()?;
        if start < from || end > to {
            return None;
        }
        let offset = u64::from_str_radix(fields.nth(1)?, 16).ok()?;
        let path = fields.nth(2)?.trim_start();
        path.starts_with('/')
            .then(|| (path.into(), offset + (start - from) as u64))
    })
}

/// A copy of the bytes in memory.
fn copied(bytes: &[u8]) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Its text is to be executed, which kernels from 6.3 on want to be told and
    // older ones do not understand.
    let fd = memfd_create("drupe-image", flags | MemfdFlags::EXEC)
        .or_else(|_| memfd_create("drupe-image", flags))?;
    let file = File::from(fd);
    file.write_all_at(bytes, 0)?;
    fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK,
    )?;
    Ok(file)
}

#[cfg(test)]
#[path = "embed_tests.rs"]
mod tests;
