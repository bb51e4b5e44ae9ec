//! vhd: reads fixed and dynamic disks of Virtual PC and Hyper-V, and writes fixed ones.
//!
//! The last 512 bytes of the file are the footer, which says all about the disk. A fixed
//! image has nothing else beside the data. A dynamic one has a copy of the footer at its
//! beginning, a header, and a table with the sector of each block. Before the data of a
//! block is a bitmap of the sectors that were ever written; the others are zeroes in the
//! file too, so it need not be read. Layout: Microsoft's "Virtual Hard Disk Image Format
//! Specification", 2006.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use drupe_host::disk::{Harm, ImageFile};
use rustix::io::Errno;

use crate::blocks::{self, Table};
use crate::bytes::{be16, be32, be64, read_table};
use crate::image::{Image, ImageDisk};
use crate::{Error, Format, Options, Result};

/// Bytes of the footer, and of a sector.
const SECTOR: u64 = 512;
/// Bytes of the header of a dynamic image.
const HEADER: usize = 1024;

/// Kinds of disks.
const FIXED: u32 = 2;
const DYNAMIC: u32 = 3;
const DIFFERENCING: u32 = 4;

/// The entry of a block that was never written.
const UNUSED: u32 = u32::MAX;

/// The sectors of the largest disk that a geometry can tell: for a larger one it is the
/// same.
const LARGEST: u64 = 65535 * 16 * 255;

/// Programs whose images have the size that the footer states. Others, Virtual PC first of
/// all, have what their geometry makes; so does QEMU, but for `force_size`. The names and
/// the rule are those of QEMU's `block/vpc.c`.
const BY_SIZE: [&[u8; 4]; 5] = [b"win ", b"qem2", b"d2v ", b"tap\0", b"CTXS"];

/// A disk in a vhd.
pub(crate) struct Vhd {
    file: ImageFile,
    /// Bytes of the disk.
    size: u64,
    /// `None`: it is fixed.
    blocks: Option<Blocks>,
}

/// The blocks of a dynamic disk.
struct Blocks {
    /// Bytes of a block.
    size: u64,
    /// Bytes of the bitmap before it.
    bitmap: u64,
    table: Table,
}

fn damaged(what: &str) -> Error {
    Error::damaged(Format::Vhd, what)
}

/// Whether the checksum at `at` is right: the complement of the sum of all other bytes.
fn is_sound(table: &[u8], at: usize) -> bool {
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    !(sum(&table[..at]) + sum(&table[at + 4..])) == be32(table, at)
}

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

/// The footer, or the copy of it at the beginning.
fn footer(file: &ImageFile) -> Result<Vec<u8>> {
    for at in [file.size().saturating_sub(SECTOR), 0] {
        let footer = read_table(file.file(), at, SECTOR as usize)?;
        let good = |footer: &Vec<u8>| footer.starts_with(b"conectix") && is_sound(footer, 64);
        if let Some(footer) = footer.filter(good) {
            return Ok(footer);
        }
    }
    Err(damaged(
        "its footer is missing or wrong, and so is the copy of it",
    ))
}

/// Bytes of the disk.
fn size(footer: &[u8]) -> u64 {
    let stated = be64(footer, 48);
    let (cylinders, heads, sectors) = (be16(footer, 56), footer[58], footer[59]);
    let counted = u64::from(cylinders) * u64::from(heads) * u64::from(sectors);
    let by_size = BY_SIZE.iter().any(|program| footer[28..32] == program[..]);
    match by_size || counted == LARGEST {
        true => stated,
        false => counted * SECTOR,
    }
}

/// Opens the image in `file`.
pub(crate) fn open(file: ImageFile, options: &Options) -> Result<ImageDisk<Vhd>> {
    let footer = footer(&file)?;
    let size = size(&footer);
    let blocks = match be32(&footer, 60) {
        FIXED if size > file.size().saturating_sub(SECTOR) => {
            return Err(damaged("it is cut short"));
        }
        FIXED => None,
        DYNAMIC => Some(Blocks::read(&file, be64(&footer, 16), size)?),
        DIFFERENCING => {
            let what = "a difference to another disk";
            return Err(Error::unsupported(Format::Vhd, what));
        }
        _ => return Err(damaged("it states no known kind of disk")),
    };
    if !options.read_only && blocks.is_some() {
        let what = "dynamic vhd".into();
        return Err(Error::ReadOnly { what });
    }
    Ok(ImageDisk {
        image: Vhd { file, size, blocks },
        read_only: options.read_only,
    })
}

impl Blocks {
    /// From the header at the offset `at`, for a disk of `disk` bytes.
    fn read(file: &ImageFile, at: u64, disk: u64) -> Result<Blocks> {
        let header = read_table(file.file(), at, HEADER)?;
        let good = |header: &Vec<u8>| header.starts_with(b"cxsparse") && is_sound(header, 36);
        let header = header.filter(good);
        let header = header.ok_or_else(|| damaged("its header is missing or wrong"))?;
        let (table, entries, size) = (be64(&header, 16), be32(&header, 28), be32(&header, 32));
        if !size.is_power_of_two() || !(512..=256 << 20).contains(&size) {
            return Err(damaged("the size of its blocks is wrong"));
        }
        let size = u64::from(size);
        let len = u64::from(entries) * 4;
        if disk.div_ceil(size) > entries.into() {
            return Err(damaged("its table of blocks is too short for its size"));
        }
        if table.checked_add(len).is_none_or(|end| end > file.size()) {
            return Err(damaged("it is cut short"));
        }
        Ok(Blocks {
            size,
            bitmap: (size / SECTOR).div_ceil(8).next_multiple_of(SECTOR),
            table: Table::new(table, len),
        })
    }
}

impl Image for Vhd {
    fn size(&self) -> u64 {
        self.size
    }

    fn harm(&self) -> Option<Harm> {
        self.file.harm()
    }

    fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let file = self.file.file();
        let Some(blocks) = &self.blocks else {
            return blocks::read(file, bytes, offset, self.size, |_| Ok(Some(0)));
        };
        blocks::read(file, bytes, offset, blocks.size, |block| {
            let entry = u32::from_be_bytes(blocks.table.entry(file, block)?);
            Ok((entry != UNUSED).then(|| u64::from(entry) * SECTOR + blocks.bitmap))
        })
    }

    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match self.blocks {
            Some(_) => Err(Errno::ROFS.into()),
            None => self.file.file().write_all_at(bytes, offset),
        }
    }

    fn flush(&self) -> io::Result<()> {
        self.file.file().sync_data()
    }
}
