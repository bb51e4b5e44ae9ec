//! [`Sparse`]: reads a sparse extent, whose grains are found through a directory of
//! tables.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use drupe_host::disk::{Harm, ImageFile};
use miniz_oxide::inflate::decompress_slice_iter_to_slice;
use rustix::io::Errno;

use super::SECTOR;
use crate::bytes::{le16, le32, le64, read_table};
use crate::cache::Cache;
use crate::{Error, Format, Result};

/// The offset of the directory in the header of an extent that was written as a stream:
/// its footer, a second header, has the real one.
const AT_END: u64 = u64::MAX;

/// Offset of the footer from the end of the file.
const FOOTER: u64 = 1024;

const ZERO_GRAINS: u32 = 1 << 2;
const COMPRESSED: u32 = 1 << 16;
const MARKERS: u32 = 1 << 17;

/// Limit of a grain in sectors; VMware makes 128.
const MAX_GRAIN: u64 = 4096;

/// Limit of the directory's entries: 128 TiB with usual grains.
const MAX_TABLES: u64 = 4 << 20;

/// How many tables are cached, of at most 2 KiB each.
const CACHED_TABLES: usize = 1024;

/// Bytes of decompressed grains kept in memory.
const CACHED_BYTES: u64 = 4 << 20;

/// A sparse extent.
pub(super) struct Sparse {
    file: ImageFile,
    header: Header,
    /// The sectors of the tables.
    directory: Vec<u32>,
    tables: Cache<[u32]>,
    /// Decompressed.
    grains: Cache<[u8]>,
}

#[derive(Debug)]
struct Header {
    flags: u32,
    /// Bytes of the disk.
    size: u64,
    /// Bytes.
    grain: u64,
    /// Entries of a table.
    entries: u64,
    /// Sectors from the start of the file.
    directory: u64,
    /// Bytes: offset and length.
    descriptor: Option<(u64, u64)>,
}

fn damaged(what: &str) -> Error {
    Error::damaged(Format::Vmdk, what)
}

impl Header {
    /// `struct SparseExtentHeader`.
    fn read(file: &File, offset: u64) -> Result<Header> {
        let head = read_table(file, offset, 512)?;
        let head = head.filter(|head| head.starts_with(b"KDMV"));
        let head = head.ok_or_else(|| damaged("it has no header"))?;
        let version = le32(&head, 4);
        if !(1..=3).contains(&version) {
            let what = format!("version {version}");
            return Err(Error::unsupported(Format::Vmdk, what));
        }
        let flags = le32(&head, 8);
        let (sectors, grain) = (le64(&head, 12), le64(&head, 20));
        if !grain.is_power_of_two() || grain > MAX_GRAIN {
            return Err(damaged("the size of its grains is wrong"));
        }
        let entries = u64::from(le32(&head, 44));
        if !(1..=512).contains(&entries) {
            return Err(damaged("the size of its tables is wrong"));
        }
        if sectors > i64::MAX as u64 / SECTOR {
            return Err(damaged("the size that it states is impossible"));
        }
        match (flags & COMPRESSED != 0, le16(&head, 77)) {
            (false, _) => {}
            (true, 1) if flags & MARKERS != 0 => {}
            _ => {
                let what = "this kind of compression";
                return Err(Error::unsupported(Format::Vmdk, what));
            }
        }
        let (descriptor, len) = (le64(&head, 28), le64(&head, 36));
        Ok(Header {
            flags,
            size: sectors * SECTOR,
            grain: grain * SECTOR,
            entries,
            directory: le64(&head, 56),
            descriptor: (descriptor != 0 && len != 0).then(|| {
                (
                    descriptor.saturating_mul(SECTOR),
                    len.saturating_mul(SECTOR),
                )
            }),
        })
    }
}

impl Sparse {
    pub(super) fn open(file: ImageFile) -> Result<Sparse> {
        let mut header = Header::read(file.file(), 0)?;
        if header.directory == AT_END {
            let footer = file.size().checked_sub(FOOTER);
            let footer = footer.ok_or_else(|| damaged("its end is missing"))?;
            // The footer has no descriptor.
            let descriptor = header.descriptor;
            header = Header::read(file.file(), footer)
                .map_err(|_| damaged("its end, where its tables are, is missing"))?;
            header.descriptor = descriptor;
        }
        let tables = header.size.div_ceil(header.grain * header.entries);
        if tables > MAX_TABLES {
            let what = "an extent of this size with grains of this size";
            return Err(Error::unsupported(Format::Vmdk, what));
        }
        let directory = header.directory.saturating_mul(SECTOR);
        // Before memory is taken for it.
        if directory.saturating_add(tables * 4) > file.size() {
            return Err(damaged("its grain directory is missing"));
        }
        let directory = read_table(file.file(), directory, tables as usize * 4)?;
        let directory = directory.ok_or_else(|| damaged("its grain directory is missing"))?;
        let grains = (CACHED_BYTES / header.grain).max(1);
        Ok(Sparse {
            directory: numbers(&directory),
            tables: Cache::new(CACHED_TABLES),
            grains: Cache::new(grains as usize),
            file,
            header,
        })
    }

    pub(super) fn harm(&self) -> Option<Harm> {
        self.file.harm()
    }

    pub(super) fn file(&self) -> &File {
        self.file.file()
    }

    /// Bytes of the disk that it holds.
    pub(super) fn size(&self) -> u64 {
        self.header.size
    }

    /// Offset and length of its descriptor in bytes.
    pub(super) fn descriptor(&self) -> Option<(u64, u64)> {
        self.header.descriptor
    }

    /// Fills `bytes`, which are within the extent, from `offset` on.
    pub(super) fn read(&self, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let (grain, within) = (offset / self.header.grain, offset % self.header.grain);
            let len = (self.header.grain - within).min(bytes.len() as u64) as usize;
            let (head, tail) = bytes.split_at_mut(len);
            match self.sector(grain)? {
                None => head.fill(0),
                Some(sector) if self.header.flags & COMPRESSED != 0 => {
                    let data = self.grains.get(grain, || self.decompress(grain, sector))?;
                    let within = within as usize;
                    // The disk may end within its last grain.
                    let data = data.get(within..within + len).ok_or(Errno::IO)?;
                    head.copy_from_slice(data);
                }
                Some(sector) => self.file().read_exact_at(head, sector * SECTOR + within)?,
            }
            bytes = tail;
            offset += len as u64;
        }
        Ok(())
    }

    /// The sector of a grain; `None`: it is all zeroes.
    fn sector(&self, grain: u64) -> io::Result<Option<u64>> {
        let (table, entry) = (grain / self.header.entries, grain % self.header.entries);
        let sector = *self.directory.get(table as usize).ok_or(Errno::IO)?;
        if sector == 0 {
            return Ok(None);
        }
        let entries = self.tables.get(table, || {
            let len = self.header.entries as usize * 4;
            let table = read_table(self.file(), u64::from(sector) * SECTOR, len)?;
            Ok(numbers(&table.ok_or(Errno::IO)?).into())
        })?;
        let sector = u64::from(entries[entry as usize]);
        let zero = sector == 0 || (sector == 1 && self.header.flags & ZERO_GRAINS != 0);
        Ok((!zero).then_some(sector))
    }

    /// Reads and decompresses a grain: a marker with its first sector and its length in
    /// bytes, then that many bytes of zlib (RFC 1950).
    fn decompress(&self, grain: u64, sector: u64) -> io::Result<Arc<[u8]>> {
        let marker = read_table(self.file(), sector * SECTOR, 12)?.ok_or(Errno::IO)?;
        let len = u64::from(le32(&marker, 8));
        // What does not compress becomes a little longer.
        let most = self.header.grain + self.header.grain / 8 + 4096;
        if le64(&marker, 0) != grain * self.header.grain / SECTOR || len == 0 || len > most {
            return Err(Errno::IO.into());
        }
        let packed = read_table(self.file(), sector * SECTOR + 12, len as usize)?;
        let packed = packed.ok_or(Errno::IO)?;
        let mut data = vec![0; self.header.grain as usize];
        let parts = std::iter::once(&packed[..]);
        let len = decompress_slice_iter_to_slice(&mut data, parts, true, false);
        data.truncate(len.map_err(|_| Errno::IO)?);
        Ok(data.into())
    }
}

fn numbers(table: &[u8]) -> Vec<u32> {
    let entries = table.chunks_exact(4);
    entries.map(|entry| le32(entry, 0)).collect()
}
