//! vhdx: reads fixed and dynamic disks.
//!
//! [`tables`] reads headers and metadata; this file looks up blocks in the block table
//! (BAT). Layout: Microsoft's MS-VHDX.

mod crc;
mod tables;

use std::io;

use drupe_host::disk::{Harm, ImageFile};
use rustix::io::Errno;

use crate::blocks::{self, Table};
use crate::image::{Image, ImageDisk};
use crate::{Error, Options, Result};
use tables::Tables;

/// States of a block.
const NOT_PRESENT: u64 = 0;
const UNDEFINED: u64 = 1;
const ZERO: u64 = 2;
const UNMAPPED: u64 = 3;
const FULLY_PRESENT: u64 = 6;

/// A disk in a vhdx.
pub(crate) struct Vhdx {
    file: ImageFile,
    tables: Tables,
    table: Table,
}

/// Opens the image in `file`.
pub(crate) fn open(file: ImageFile, options: &Options) -> Result<ImageDisk<Vhdx>> {
    let tables = Tables::read(file.file(), file.size())?;
    if !options.read_only {
        let what = "vhdx".into();
        return Err(Error::ReadOnly { what });
    }
    let image = Vhdx {
        table: Table::new(tables.bat, tables.bat_len),
        file,
        tables,
    };
    Ok(ImageDisk {
        image,
        read_only: true,
    })
}

impl Vhdx {
    /// The offset of a block's data; `None`: it is all zeroes.
    fn block(&self, block: u64) -> io::Result<Option<u64>> {
        // Behind the blocks of each chunk is an entry for a bitmap.
        let entry = block + block / self.tables.chunk;
        let entry = u64::from_le_bytes(self.table.entry(self.file.file(), entry)?);
        match (entry & 7, entry >> 20 << 20) {
            (NOT_PRESENT | UNDEFINED | ZERO | UNMAPPED, _) => Ok(None),
            // The first megabyte is the headers'.
            (FULLY_PRESENT, offset) if offset != 0 => Ok(Some(offset)),
            _ => Err(Errno::IO.into()),
        }
    }
}

impl Image for Vhdx {
    fn size(&self) -> u64 {
        self.tables.size
    }

    fn block_size(&self) -> u32 {
        self.tables.sector
    }

    fn harm(&self) -> Option<Harm> {
        self.file.harm()
    }

    fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let size = u64::from(self.tables.block);
        blocks::read(self.file.file(), bytes, offset, size, |block| {
            self.block(block)
        })
    }
}
