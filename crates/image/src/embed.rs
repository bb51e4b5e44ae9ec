//! [`Embedded`] bytes of the program, such as the kernel image, and the file to map them
//! from.
//!
//! [`bytes`] is the image, as a page-aligned static. [`backing`] returns a file that
//! holds the same bytes, so that a loader can map them: the kernels of a process then
//! share the pages of the text with each other, and with every other process of the same
//! program. That file is the program itself, or the shared library that this crate was
//! linked into. If neither can be opened, it is a copy in memory.
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

/// The image's bytes. A constant, because the static's type needs its length.
const IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/image.elf"));

/// Bytes that are part of the program, and can be mapped from its file. Only for statics.
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

/// The SHA-256 of the image. Data that depends on the image's layout, such as a snapshot,
/// carries it to name the image that it belongs to.
pub fn id() -> &'static [u8; 32] {
    &EMBEDDED.id
}

/// The Linux version of the image, such as `6.12.38`. Empty if its banner has none.
pub const LINUX_VERSION: &str = include_str!(concat!(env!("OUT_DIR"), "/image.version"));

/// A file and the place of the bytes in it.
#[derive(Debug)]
pub struct Backing {
    /// Open for reading; not to be written to.
    pub file: File,
    /// Offset of the first byte, a multiple of the page size. Other content may follow
    /// them.
    pub offset: u64,
}

/// A file from which [`bytes`] can be mapped privately.
///
/// # Errors
///
/// Those of memfd_create(2), if the program's own file cannot be used: it was stripped of
/// the image, it is not a file, or `/proc` is not mounted.
pub fn backing() -> io::Result<Backing> {
    static FOUND: Found = Found::new();
    EMBEDDED.backing(&FOUND)
}

/// The file in which the bytes of an [`Embedded`] were found, so that a process looks for
/// it once. There is no lock: a child of fork(2) could find it locked for ever.
#[derive(Debug, Default)]
pub struct Found {
    /// The program's own file and the offset in it; `None` inside: it cannot be used.
    own: OnceBox<Option<(PathBuf, u64)>>,
    /// A copy in memory, if there is no file. The program may close its descriptor, as
    /// any other: so it is never closed here, and checked before each use.
    copy: OnceBox<ManuallyDrop<File>>,
}

impl Found {
    /// A value for bytes that were not looked for yet.
    pub const fn new() -> Found {
        Found {
            own: OnceBox::new(),
            copy: OnceBox::new(),
        }
    }
}

impl<const N: usize> Embedded<N> {
    /// A file from which the bytes can be mapped privately. `found` is a static that
    /// belongs to these bytes. The file's content has been checked.
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

    /// Opens the file at `path`, if it has the bytes at `offset`.
    fn open(&'static self, path: &Path, offset: u64) -> Option<Backing> {
        let file = File::open(path).ok()?;
        holds(&file, offset, self)
            .ok()?
            .then_some(Backing { file, offset })
    }
}

/// The file from which the static itself is mapped, and the offset of the bytes in it.
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

/// Whether `file` has the bytes at `offset`. Compares the first page and the id behind
/// the bytes.
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

/// The file and the offset from which the addresses `start` to `end` are mapped,
/// according to proc_pid_maps(5).
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

/// Copies the bytes into a memory file.
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
