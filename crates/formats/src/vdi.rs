//! vdi: reads fixed and dynamic disks of VirtualBox.
//!
//! The header says where the table of blocks is, and where the blocks are. An entry of the
//! table is the number of a block's data in the file. Layout: VirtualBox's `VDICore.h`,
//! version 1.1, the one that it has written since 2008.

use std::io;

use drupe_host::disk::{Harm, ImageFile};
use rustix::io::Errno;

use crate::blocks::{self, Table};
use crate::bytes::{le32, le64, read_table};
use crate::image::{Image, ImageDisk};
use crate::{Error, Format, Options, Result};

/// Bytes of the header that are used.
const HEADER: usize = 0x1b8;
const VERSION: u32 = 0x0001_0001;

/// Kinds of images.
const DYNAMIC: u32 = 1;
const FIXED: u32 = 2;

/// Entries of blocks that are all zeroes: never written, or discarded.
const FREE: u32 = u32::MAX;
const ZERO: u32 = u32::MAX - 1;

/// A disk in a vdi.
pub(crate) struct Vdi {
    file: ImageFile,
    /// Bytes of the disk.
    size: u64,
    /// Bytes of a block.
    block: u64,
    /// Offset of the first block's data.
    data: u64,
    table: Table,
}

fn damaged(what: &str) -> Error {
    Error::damaged(Format::Vdi, what)
}

fn unsupported(what: &str) -> Error {
    Error::unsupported(Format::Vdi, what)
}

/// Opens the image in `file`.
pub(crate) fn open(file: ImageFile, options: &Options) -> Result<ImageDisk<Vdi>> {
    let head = read_table(file.file(), 0, HEADER)?;
    let head = head.ok_or_else(|| damaged("its header is cut short"))?;
    if !head[64..].starts_with(b"\x7f\x10\xda\xbe") {
        return Err(damaged("it does not have the format's signature"));
    }
    if le32(&head, 0x44) != VERSION {
        return Err(unsupported("its version"));
    }
    // That it was made from a parent is said twice.
    if !matches!(le32(&head, 0x4c), DYNAMIC | FIXED) || head[0x1a8..0x1b8] != [0; 16] {
        return Err(unsupported("a difference to another disk"));
    }
    let (size, block) = (le64(&head, 0x170), le32(&head, 0x178));
    let blocks = u64::from(le32(&head, 0x180));
    if le32(&head, 0x168) != 512 {
        return Err(damaged("the size of its sectors is wrong"));
    }
    if !block.is_power_of_two() || !(4096..=256 << 20).contains(&block) {
        return Err(damaged("the size of its blocks is wrong"));
    }
    if le32(&head, 0x17c) != 0 {
        return Err(unsupported("data between its blocks"));
    }
    if size % 512 != 0 || size.div_ceil(block.into()) > blocks {
        return Err(damaged("its table of blocks is too short for its size"));
    }
    let table = u64::from(le32(&head, 0x154));
    if table + blocks * 4 > file.size() {
        return Err(damaged("it is cut short"));
    }
    if !options.read_only {
        let what = "vdi".into();
        return Err(Error::ReadOnly { what });
    }
    let image = Vdi {
        file,
        size,
        block: block.into(),
        data: le32(&head, 0x158).into(),
        table: Table::new(table, blocks * 4),
    };
    Ok(ImageDisk {
        image,
        read_only: true,
    })
}

impl Image for Vdi {
    fn size(&self) -> u64 {
        self.size
    }

    fn harm(&self) -> Option<Harm> {
        self.file.harm()
    }

    fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let file = self.file.file();
        blocks::read(file, bytes, offset, self.block, |block| {
            let entry = u32::from_le_bytes(self.table.entry(file, block)?);
            match entry {
                FREE | ZERO => Ok(None),
                // The header is at the beginning.
                _ if self.data == 0 => Err(Errno::IO.into()),
                entry => Ok(Some(self.data + u64::from(entry) * self.block)),
            }
        })
    }
}
