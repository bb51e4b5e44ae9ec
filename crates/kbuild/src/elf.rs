//! Checks that a finished image is an ELF file of the kind that drupe loads.
//!
//! `drupe-image` checks again when it loads the image. This check reports a wrong linker
//! or a wrong `DRUPE_IMAGE` when the program is built, not when it starts.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};

/// Size of a page, in bytes.
const PAGE: u64 = 4096;
/// Sizes and offsets of ELF64 headers, from elf(5).
const FILE_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const ET_DYN: u16 = 3;
const EM_X86_64: u16 = 62;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const PF_X: u32 = 1;
const PF_W: u32 = 2;

/// Refuses a file that is not a position-independent x86-64 image with pages of
/// text and of data that can be mapped straight from the file.
pub(crate) fn check(path: &Path) -> Result<()> {
    let reason = match fs::read(path) {
        Ok(file) => problem(&file).map(str::to_owned),
        Err(error) => Some(error.to_string()),
    };
    reason.map_or(Ok(()), |reason| {
        Err(Error::Image {
            path: path.to_owned(),
            reason,
        })
    })
}

fn problem(file: &[u8]) -> Option<&'static str> {
    if file.len() < FILE_HEADER || !file.starts_with(b"\x7fELF\x02\x01") {
        return Some("not a 64-bit little-endian ELF file");
    }
    if u16_at(file, 16) != ET_DYN || u16_at(file, 18) != EM_X86_64 {
        return Some("not a position-independent x86-64 ELF file");
    }
    let start = u64_at(file, 32) as usize;
    let count = usize::from(u16_at(file, 56));
    let Some(headers) = start
        .checked_add(count * PROGRAM_HEADER)
        .and_then(|end| file.get(start..end))
    else {
        return Some("its program headers are cut off");
    };
    let (mut text, mut data) = (false, false);
    for header in headers.chunks_exact(PROGRAM_HEADER) {
        let (kind, flags) = (u32_at(header, 0), u32_at(header, 4));
        let (offset, address, size) = (u64_at(header, 8), u64_at(header, 16), u64_at(header, 32));
        match kind {
            PT_INTERP => return Some("it wants a dynamic linker"),
            PT_LOAD => {}
            _ => continue,
        }
        if offset % PAGE != address % PAGE {
            return Some("a segment's offset and address differ within the page");
        }
        if offset
            .checked_add(size)
            .is_none_or(|end| end > file.len() as u64)
        {
            return Some("a segment is cut off");
        }
        match (flags & PF_W != 0, flags & PF_X != 0) {
            (true, true) => return Some("a segment is both writable and executable"),
            (true, false) => data = true,
            (false, true) => text = true,
            (false, false) => {}
        }
    }
    (!text || !data).then_some("it lacks a segment of text or of data")
}

fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u64_of(bytes, offset, 2) as u16
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u64_of(bytes, offset, 4) as u32
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64_of(bytes, offset, 8)
}

/// A little-endian number of `len` bytes. Panics if `bytes` ends before it.
fn u64_of(bytes: &[u8], offset: usize, len: usize) -> u64 {
    bytes[offset..offset + len]
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A minimal image: two segments of one page each.
    fn image() -> Vec<u8> {
        let mut file = vec![0; 3 * PAGE as usize];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[16] = ET_DYN as u8;
        file[18] = EM_X86_64 as u8;
        file[32] = FILE_HEADER as u8;
        file[56] = 2;
        for (index, flags) in [5u8, 6].into_iter().enumerate() {
            let header = &mut file[FILE_HEADER + index * PROGRAM_HEADER..];
            let position = (index as u64 + 1) * PAGE;
            header[0] = PT_LOAD as u8;
            header[4] = flags;
            header[8..16].copy_from_slice(&position.to_le_bytes());
            header[16..24].copy_from_slice(&position.to_le_bytes());
            header[32..40].copy_from_slice(&PAGE.to_le_bytes());
        }
        file
    }

    #[test]
    fn an_image_is_accepted() {
        assert_eq!(problem(&image()), None);
    }

    #[test]
    fn each_flaw_is_named() {
        let flaw = |offset: usize, value: u8| {
            let mut file = image();
            file[offset] = value;
            problem(&file).unwrap_or("accepted")
        };
        let (first, second) = (FILE_HEADER, FILE_HEADER + PROGRAM_HEADER);
        assert!(flaw(0, 0).contains("ELF"));
        assert!(flaw(16, 2).contains("position-independent"));
        assert!(flaw(39, 255).contains("headers are cut off"));
        assert!(flaw(first, PT_INTERP as u8).contains("dynamic linker"));
        assert!(flaw(first + 8, 1).contains("within the page"));
        assert!(flaw(first + 39, 255).contains("segment is cut off"));
        assert!(flaw(first + 4, 7).contains("writable and executable"));
        assert!(flaw(second, 2).contains("lacks"));
        assert!(problem(b"text").is_some());
    }
}
