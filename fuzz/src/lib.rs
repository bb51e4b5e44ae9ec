//! Helpers of the fuzz targets: disks that are mostly zeroes, and images in files.
//!
//! The input of a target that reads a disk is not the disk: most of a disk is
//! zeroes, and what is read is in few places. It is a list of pieces:
//!
//! ```text
//! size: u16 in units of 4 KiB, then pieces: offset: u32, len: u16, bytes
//! ```
//!
//! with little-endian numbers. A piece beyond the end is left out.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Cursor;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::panic;
use std::path::PathBuf;
use std::sync::Once;

use tempfile::TempDir;

/// Bytes of a disk that is only in memory, at most.
const MAX: usize = 2 << 20;

/// A disk, or an image of one.
#[derive(Default)]
pub struct Image {
    /// All of it.
    pub bytes: Vec<u8>,
    /// The only places that may have something else than zeroes.
    pub used: Vec<Range<usize>>,
}

impl Image {
    /// What an input stands for, of at most `max` bytes.
    pub fn new(mut input: &[u8], max: usize) -> Image {
        let size = take::<2>(&mut input);
        let size = size.map_or(0, |size| usize::from(u16::from_le_bytes(size)) << 12);
        let mut bytes = vec![0; size.min(max)];
        let mut used = Vec::new();
        while let (Some(offset), Some(len)) = (take(&mut input), take(&mut input)) {
            let offset = u32::from_le_bytes(offset) as usize;
            let len = usize::from(u16::from_le_bytes(len)).min(input.len());
            let (piece, rest) = input.split_at(len);
            if let Some(place) = bytes.get_mut(offset..).and_then(|rest| rest.get_mut(..len)) {
                place.copy_from_slice(piece);
                used.push(offset..offset + len);
            }
            input = rest;
        }
        Image { bytes, used }
    }
}

/// The disk that an input stands for.
pub fn disk(input: &[u8]) -> Cursor<Vec<u8>> {
    Cursor::new(Image::new(input, MAX).bytes)
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(*taken)
}

/// A directory with one file, written anew for each input.
pub struct ImageFile {
    dir: TempDir,
}

impl Default for ImageFile {
    fn default() -> ImageFile {
        // Memory, where there is such a directory.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        ImageFile {
            dir: dir.expect("a temporary directory"),
        }
    }
}

impl ImageFile {
    /// Makes the file that image; its path.
    pub fn write(&self, image: &Image) -> PathBuf {
        let path = self.dir.path().join("image");
        let file = File::create(&path).expect("an image");
        file.set_len(image.bytes.len() as u64).expect("room");
        for used in &image.used {
            let bytes = &image.bytes[used.clone()];
            file.write_all_at(bytes, used.start as u64).expect("room");
        }
        path
    }
}

/// Lets the crate `imago` panic: `drupe-formats` makes an I/O error of that. Any
/// other panic ends the process, as it does without this.
pub fn allow_panics_of_imago() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let file = info.location().map_or("", |location| location.file());
            if !file.contains("/imago-") {
                before(info);
            }
        }));
    });
}
