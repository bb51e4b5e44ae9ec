//! vhdx: reads fixed and dynamic disks.
//!
//! [`tables`] reads headers and metadata; this file looks up blocks in the block table
//! (BAT). Layout: Microsoft's MS-VHDX.

mod crc;
mod tables;

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use drupe_host::disk::{Harm, ImageFile};
use rustix::io::Errno;

use crate::bytes::{le64, read_table};
use crate::cache::Cache;
use crate::image::{Image, ImageDisk};
use crate::{Error, Options, Result};
use tables::Tables;

/// Bytes of the block table that are read at once, and how many such parts are cached.
const PAGE: u64 = 4096;
const CACHED_PAGES: usize = 256;

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
    pages: Cache<[u8]>,
}

/// Opens the image in `file`.
pub(crate) fn open(file: ImageFile, options: &Options) -> Result<ImageDisk<Vhdx>> {
    let tables = Tables::read(file.file(), file.size())?;
    if !options.read_only {
        let what = "vhdx".into();
        return Err(Error::ReadOnly { what });
    }
    let image = Vhdx {
        file,
        tables,
        pages: Cache::new(CACHED_PAGES),
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
        let at = entry * 8;
        let page = self.pages.get(at / PAGE, || {
            let offset = at / PAGE * PAGE;
            let len = PAGE.min(self.tables.bat_len - offset);
            let page = read_table(self.file.file(), self.tables.bat + offset, len as usize)?;
            Ok(Arc::from(page.ok_or(Errno::IO)?))
        })?;
        let entry = le64(&page, (at % PAGE) as usize);
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

    fn read(&self, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
        let size = u64::from(self.tables.block);
        while !bytes.is_empty() {
            let within = offset % size;
            let len = (size - within).min(bytes.len() as u64) as usize;
            let (head, tail) = bytes.split_at_mut(len);
            match self.block(offset / size)? {
                None => head.fill(0),
                Some(at) => self.file.file().read_exact_at(head, at + within)?,
            }
            bytes = tail;
            offset += len as u64;
        }
        Ok(())
    }
}
