//! vhd: reads fixed and dynamic disks of Virtual PC and Hyper-V, and writes fixed ones.
//!
//! The last 512 bytes of the file are the footer, which says all about the disk. A fixed
//! image has nothing else beside the data. A dynamic one has a copy of the footer at its
//! beginning, a header, and a table with the sector of each block. Before the data of a
//! block is a bitmap of the sectors that were ever written; the others are zeroes in the
//! file too, so it need not be read. Layout: Microsoft's "Virtual Hard Disk Image Format
//! Specification", 2006.

use std::io;
use std::os::unix::fs::FileExt;

use drupe_host::disk::{Harm, ImageFile};
use rustix::io::Errno;

use crate::blocks::{self, Table};
use crate::bytes::{be32, be64, read_table};
use crate::image::{Image, ImageDisk};
use crate::vhd_footer::{FIXED, SECTOR, is_sound, size};
use crate::{Error, Format, Options, Result};

/// Bytes of the header of a dynamic image.
const HEADER: usize = 1024;

/// Kinds of disks, beside [`FIXED`].
const DYNAMIC: u32 = 3;
const DIFFERENCING: u32 = 4;

/// The entry of a block that was never written.
const UNUSED: u32 = u32::MAX;

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
