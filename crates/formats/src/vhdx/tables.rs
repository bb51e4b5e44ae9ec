//! [`Tables`]: reads the headers, regions and metadata of a vhdx.

use std::fs::File;

use super::crc::crc32c;
use crate::bytes::{le16, le32, le64, read_table};
use crate::{Error, Format, Result};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Offsets of the two copies of header and region table, of which one is always valid.
const HEADERS: [u64; 2] = [64 * KIB, 128 * KIB];
const REGIONS: [u64; 2] = [192 * KIB, 256 * KIB];

/// Bytes of a header, and of a table of regions or of metadata.
const HEADER: usize = 4096;
const TABLE: usize = 64 << 10;

/// Entries of a table of regions or of metadata.
const MAX_ENTRIES: usize = 2047;

/// Bytes of the largest disk.
const MAX_SIZE: u64 = 64 << 40;

const BAT: [u8; 16] = guid(0x2dc2_7766, 0xf623, 0x4200, 0x9d64_115e_9bfd_4a08);
const METADATA: [u8; 16] = guid(0x8b7c_a206, 0x4790, 0x4b9a, 0xb8fe_575f_050f_886e);
const PARAMETERS: [u8; 16] = guid(0xcaa1_6737, 0xfa36, 0x4d43, 0xb3b6_33f0_aa44_e76b);
const DISK_SIZE: [u8; 16] = guid(0x2fa5_4224, 0xcd1b, 0x4876, 0xb211_5dbe_d83b_f4b8);
const DISK_ID: [u8; 16] = guid(0xbeca_12ab, 0xb2e6, 0x4523, 0x93ef_c309_e000_c746);
const SECTOR: [u8; 16] = guid(0x8141_bf1d, 0xa96f, 0x4709, 0xba47_f233_a8fa_ab5f);
const PHYSICAL: [u8; 16] = guid(0xcda3_48c7, 0x445d, 0x4471, 0x9cc9_e988_5251_c556);

/// A GUID as it is stored, with its first three numbers little-endian.
const fn guid(a: u32, b: u16, c: u16, d: u64) -> [u8; 16] {
    let (a, b, c, d) = (
        a.to_le_bytes(),
        b.to_le_bytes(),
        c.to_le_bytes(),
        d.to_be_bytes(),
    );
    [
        a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6],
        d[7],
    ]
}

/// The properties of the disk, and the place of its block table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tables {
    /// Bytes of the disk.
    pub(super) size: u64,
    /// Bytes of a logical sector.
    pub(super) sector: u32,
    /// Bytes of a block.
    pub(super) block: u32,
    /// The number of blocks with one bitmap.
    pub(super) chunk: u64,
    /// Offset of the block table.
    pub(super) bat: u64,
    /// Its length in bytes, at least as many as the disk needs.
    pub(super) bat_len: u64,
}

fn damaged(what: &str) -> Error {
    Error::damaged(Format::Vhdx, what)
}

fn unsupported(what: &str) -> Error {
    Error::unsupported(Format::Vhdx, what)
}

/// Reads a table; `None` if its signature or checksum is wrong.
fn checked(file: &File, offset: u64, len: usize, signature: &[u8]) -> Result<Option<Vec<u8>>> {
    let table = read_table(file, offset, len)?;
    Ok(table.filter(|table| table.starts_with(signature) && crc32c(table, 4) == le32(table, 4)))
}

impl Tables {
    pub(super) fn read(file: &File, file_size: u64) -> Result<Tables> {
        check_header(file)?;
        let regions = Regions::read(file, file_size)?;
        let items = Items::read(file, regions.metadata)?;
        if !items.block.is_power_of_two() || !(MIB..=256 * MIB).contains(&items.block.into()) {
            return Err(damaged("the size of its blocks is wrong"));
        }
        if !matches!(items.sector, 512 | 4096) {
            return Err(damaged("the size of its sectors is wrong"));
        }
        if items.size > MAX_SIZE || !items.size.is_multiple_of(items.sector.into()) {
            return Err(damaged("the size that it states is impossible"));
        }
        let block = u64::from(items.block);
        let chunk = (u64::from(items.sector) << 23) / block;
        let blocks = items.size.div_ceil(block);
        let entries = blocks + blocks.saturating_sub(1) / chunk;
        if entries * 8 > regions.bat_len {
            return Err(damaged("its table of blocks is too short"));
        }
        Ok(Tables {
            size: items.size,
            sector: items.sector,
            block: items.block,
            chunk,
            bat: regions.bat,
            bat_len: regions.bat_len,
        })
    }
}

/// Reads the newer of the two headers, and checks that it is supported.
fn check_header(file: &File) -> Result<()> {
    let mut newest: Option<Vec<u8>> = None;
    for offset in HEADERS {
        let header = checked(file, offset, HEADER, b"head")?;
        let sequence = |header: &Vec<u8>| le64(header, 8);
        if header.as_ref().map(sequence) > newest.as_ref().map(sequence) {
            newest = header;
        }
    }
    let header = newest.ok_or_else(|| damaged("both of its headers are damaged"))?;
    if le16(&header, 66) != 1 {
        return Err(unsupported(&format!("version {}", le16(&header, 66))));
    }
    // The GUID of the log: none when the file was closed.
    if header[48..64] != [0; 16] {
        return Err(Error::damaged(
            Format::Vhdx,
            "it was not closed cleanly, and its log must be replayed first: \
             open it once where it is from, or repair it with: qemu-img check -r all",
        ));
    }
    Ok(())
}

/// The places of the regions.
struct Regions {
    bat: u64,
    bat_len: u64,
    metadata: u64,
}

impl Regions {
    fn read(file: &File, file_size: u64) -> Result<Regions> {
        let mut table = None;
        for offset in REGIONS {
            table = table.or(checked(file, offset, TABLE, b"regi")?);
        }
        let table = table.ok_or_else(|| damaged("both of its region tables are damaged"))?;
        let (mut bat, mut metadata) = (None, None);
        for entry in entries(&table, 16, le32(&table, 8) as usize)? {
            let (offset, len) = (le64(entry, 16), u64::from(le32(entry, 24)));
            let wrong = offset < MIB || !offset.is_multiple_of(MIB) || len == 0;
            if wrong || offset.checked_add(len).is_none_or(|end| end > file_size) {
                return Err(damaged("the place of one of its regions is invalid"));
            }
            match &entry[..16] {
                id if id == BAT => bat = Some((offset, len)),
                id if id == METADATA && len >= TABLE as u64 => metadata = Some(offset),
                _ if le32(entry, 28) & 1 != 0 => {
                    return Err(unsupported("a region of an unknown kind"));
                }
                _ => {}
            }
        }
        match (bat, metadata) {
            (Some((bat, bat_len)), Some(metadata)) => Ok(Regions {
                bat,
                bat_len,
                metadata,
            }),
            _ => Err(damaged("one of its regions is missing")),
        }
    }
}

/// The entries of 32 bytes of a table.
fn entries(table: &[u8], start: usize, count: usize) -> Result<impl Iterator<Item = &[u8]>> {
    match count <= MAX_ENTRIES {
        true => Ok(table[start..].chunks_exact(32).take(count)),
        false => Err(damaged("one of its tables is too long")),
    }
}

/// The items of the metadata.
struct Items {
    block: u32,
    sector: u32,
    size: u64,
}

impl Items {
    fn read(file: &File, region: u64) -> Result<Items> {
        let table = read_table(file, region, TABLE)?;
        let table = table.filter(|table| table.starts_with(b"metadata"));
        let table = table.ok_or_else(|| damaged("its metadata is missing"))?;
        let (mut block, mut sector, mut size) = (None, None, None);
        for entry in entries(&table, 32, le16(&table, 10).into())? {
            let offset = region + u64::from(le32(entry, 16));
            let item = |len: usize| -> Result<Vec<u8>> {
                let item = read_table(file, offset, len)?;
                item.ok_or_else(|| damaged("an item of its metadata is missing"))
            };
            match &entry[..16] {
                id if id == PARAMETERS => {
                    let item = item(8)?;
                    if le32(&item, 4) & 2 != 0 {
                        return Err(unsupported("a differencing disk, which needs its parent,"));
                    }
                    block = Some(le32(&item, 0));
                }
                id if id == SECTOR => sector = Some(le32(&item(4)?, 0)),
                id if id == DISK_SIZE => size = Some(le64(&item(8)?, 0)),
                id if id == DISK_ID || id == PHYSICAL => {}
                _ if le32(entry, 24) & 4 != 0 => {
                    return Err(unsupported("metadata of an unknown kind"));
                }
                _ => {}
            }
        }
        match (block, sector, size) {
            (Some(block), Some(sector), Some(size)) => Ok(Items {
                block,
                sector,
                size,
            }),
            _ => Err(damaged("its metadata is incomplete")),
        }
    }
}
