//! The footer of a vhd: recognising a fixed one, and the size of the disk.

use std::fs::File;
use std::io;

use crate::bytes::{be16, be32, be64, read_table};

/// Bytes of the footer, and of a sector.
pub(crate) const SECTOR: u64 = 512;

/// The kind of a fixed disk.
pub(crate) const FIXED: u32 = 2;

/// The sectors of the largest disk that a geometry can tell: for a larger one it is the
/// same.
const LARGEST: u64 = 65535 * 16 * 255;

/// Programs whose images have the size that the footer states. Others, Virtual PC first of
/// all, have what their geometry makes; so does QEMU, but for `force_size`. The names and
/// the rule are those of QEMU's `block/vpc.c`.
const BY_SIZE: [&[u8; 4]; 5] = [b"win ", b"qem2", b"d2v ", b"tap\0", b"CTXS"];

/// Whether the file ends with the footer of a fixed disk that fits.
pub(crate) fn is_fixed(file: &File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    let at = metadata.len().saturating_sub(SECTOR);
    if !metadata.is_file() || at == 0 {
        return Ok(false);
    }
    let footer = read_table(file, at, SECTOR as usize)?.unwrap_or_default();
    let good = footer.starts_with(b"conectix") && is_sound(&footer, 64);
    Ok(good && be32(&footer, 60) == FIXED && size(&footer) <= at)
}

/// Whether the checksum at `at` is right: the complement of the sum of all other bytes.
pub(crate) fn is_sound(table: &[u8], at: usize) -> bool {
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    !(sum(&table[..at]) + sum(&table[at + 4..])) == be32(table, at)
}

/// Bytes of the disk.
pub(crate) fn size(footer: &[u8]) -> u64 {
    let stated = be64(footer, 48);
    let (cylinders, heads, sectors) = (be16(footer, 56), footer[58], footer[59]);
    let counted = u64::from(cylinders) * u64::from(heads) * u64::from(sectors);
    let by_size = BY_SIZE.iter().any(|program| footer[28..32] == program[..]);
    match by_size || counted == LARGEST {
        true => stated,
        false => counted * SECTOR,
    }
}
