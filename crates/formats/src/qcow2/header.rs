//! [`Header`]: reads and checks an image's header, before `imago` opens the image.
//!
//! Layout and limits: QEMU's `docs/interop/qcow2.txt` and `block/qcow2.h`.

use std::fs::File;
use std::io;

use super::references::Layout;
use crate::bytes::{be32, be64, read_head, read_table};
use crate::{Error, Format, Result};

/// Bytes of the used part of a version 3 header.
const LEN: usize = 112;

/// Limit of the L1 table and of the refcount table in bytes.
const MAX_TABLE: u64 = 32 << 20;
const MAX_REFCOUNT_TABLE: u64 = 8 << 20;

/// Header extensions.
const BACKING_FORMAT: u32 = 0xe279_2aca;
const DATA_FILE: u32 = 0x4441_5441;

/// Bit 2 of the incompatible features: clusters are in another file.
const EXTERNAL_DATA: u64 = 1 << 2;

/// The header of an image.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    /// The name of the backing file.
    pub(super) backing: Option<String>,
    /// "raw", "qcow2" and so on.
    pub(super) backing_format: Option<String>,
    /// The external data file that has the clusters, if there is one; empty: not named.
    pub(super) data_file: Option<String>,
}

fn damaged(what: impl Into<String>) -> Error {
    Error::damaged(Format::Qcow2, what)
}

fn unsupported(what: impl Into<String>) -> Error {
    Error::unsupported(Format::Qcow2, what)
}

impl Header {
    /// Reads and checks the header of an image, and its tables if it is to be
    /// written to.
    pub(super) fn read(file: &File, size: u64, read_only: bool) -> Result<Header> {
        let mut head = read_head(file, LEN)?;
        if head.len() < 72 || !head.starts_with(b"QFI\xfb") {
            return Err(damaged("there is no qcow2 header"));
        }
        head.resize(LEN, 0);
        let version = be32(&head, 4);
        if !(2..=3).contains(&version) {
            return Err(unsupported(format!("version {version}")));
        }
        let bits = be32(&head, 20);
        if !(9..=21).contains(&bits) {
            return Err(damaged(format!("its clusters have 2^{bits} bytes")));
        }
        match be32(&head, 32) {
            0 => {}
            1 => return Err(unsupported("encryption (AES)")),
            2 => return Err(unsupported("encryption (LUKS)")),
            _ => return Err(unsupported("this kind of encryption")),
        }
        let features = match version {
            2 => 0,
            _ => be64(&head, 72),
        };
        check_features(features, be32(&head, 100), head[104])?;
        check_tables(file, &head, size, read_only)?;

        let extensions = match version {
            2 => Extensions::default(),
            _ => Extensions::read(file, be32(&head, 100), 1 << bits)?,
        };
        let data_file = extensions.data_file.unwrap_or_default();
        Ok(Header {
            backing: backing_name(file, &head, 1 << bits)?,
            backing_format: extensions.backing_format,
            data_file: (features & EXTERNAL_DATA != 0).then_some(data_file),
        })
    }
}

/// Refuses features that `imago` does not support, or not reliably; the error names them.
fn check_features(features: u64, header_len: u32, compression: u8) -> Result<()> {
    if features & 1 != 0 {
        return Err(damaged(
            "it was not closed cleanly; repair it with: qemu-img check -r all",
        ));
    }
    if features & 2 != 0 {
        return Err(damaged("it is marked as corrupt"));
    }
    if features & 8 != 0 && header_len > 104 && compression != 0 {
        return Err(unsupported(match compression {
            1 => "compression with zstd",
            _ => "this kind of compression",
        }));
    }
    if features & 8 != 0 {
        return Err(unsupported("the compression type"));
    }
    if features & 16 != 0 {
        return Err(unsupported("extended_l2 (subclusters)"));
    }
    match features & !EXTERNAL_DATA {
        0 => Ok(()),
        unknown => Err(unsupported(format!("incompatible feature {unknown:#x}"))),
    }
}

/// Checks that all tables are within the file, not too large, and cover the disk.
fn check_tables(file: &File, head: &[u8], size: u64, read_only: bool) -> Result<()> {
    let cluster = 1_u64 << be32(head, 20);
    let within = |offset: u64, len: u64| offset.checked_add(len).is_some_and(|end| end <= size);

    let (entries, offset) = (u64::from(be32(head, 36)), be64(head, 40));
    // At most 2^32 entries for 2^18 clusters of 2^21 bytes.
    let covered = u128::from(entries) * u128::from(cluster / 8) * u128::from(cluster);
    if entries * 8 > MAX_TABLE || u128::from(be64(head, 24)) > covered {
        return Err(damaged("the size of its L1 table is wrong"));
    }
    if offset % cluster != 0 || !within(offset, entries * 8) {
        return Err(damaged("the place of its L1 table is invalid"));
    }
    let (offset, len) = (be64(head, 48), u64::from(be32(head, 56)) * cluster);
    let refcount_order = match be32(head, 4) {
        2 => 4,
        _ => be32(head, 96),
    };
    if let Some(last) = last_counted(file, offset, len, cluster, refcount_order)?
        && last >= size
    {
        return Err(damaged(format!(
            "it is cut short: it has {size} bytes, and a cluster that begins at {last}"
        )));
    }
    if read_only {
        return Ok(());
    }
    if len == 0 || len > MAX_REFCOUNT_TABLE {
        return Err(damaged("the size of its refcount table is wrong"));
    }
    if offset % cluster != 0 || offset == 0 || !within(offset, len) {
        return Err(damaged("the place of its refcount table is invalid"));
    }
    let table = read_table(file, offset, len as usize)?;
    if refcount_order > 6 {
        return Err(damaged("the size of its refcounts is wrong"));
    }
    let layout = Layout {
        cluster_bits: be32(head, 20),
        refcount_order,
        l1: be64(head, 40),
        l1_entries: entries as usize,
        refcounts: offset,
        refcount_table: table.ok_or_else(|| damaged("its refcount table is incomplete"))?,
        external_data: be32(head, 4) > 2 && be64(head, 72) & EXTERNAL_DATA != 0,
        size,
    };
    layout.check(file)
}

/// The offset of the last cluster that has a refcount; `None`: the refcount table is
/// invalid.
fn last_counted(
    file: &File,
    offset: u64,
    len: u64,
    cluster: u64,
    refcount_order: u32,
) -> io::Result<Option<u64>> {
    if len == 0 || len > MAX_REFCOUNT_TABLE || refcount_order > 6 {
        return Ok(None);
    }
    let Some(table) = read_table(file, offset, len as usize)? else {
        return Ok(None);
    };
    let (blocks, _) = table.as_chunks::<8>();
    let used = |block: &[u8; 8]| *block != [0; 8];
    let Some(number) = blocks.iter().rposition(used) else {
        return Ok(None);
    };
    let block = u64::from_be_bytes(blocks[number]);
    // One that is beyond the end says as much.
    let Some(counts) = read_table(file, block, cluster as usize)? else {
        return Ok(Some(block));
    };
    let per_block = (cluster * 8) >> refcount_order;
    let last = counts.iter().rposition(|&byte| byte != 0);
    // One that no file can have is beyond the end of this one, too.
    Ok(last.map(|byte| {
        let within = ((byte as u64) * 8) >> refcount_order;
        (number as u64 * per_block + within).saturating_mul(cluster)
    }))
}

/// The name of the backing file.
fn backing_name(file: &File, head: &[u8], cluster: u64) -> Result<Option<String>> {
    let (offset, len) = (be64(head, 8), be32(head, 16));
    if offset == 0 {
        return Ok(None);
    }
    if len > 1023 || offset.saturating_add(len.into()) > cluster {
        return Err(damaged("the name of its backing file is too long"));
    }
    let name = read_table(file, offset, len as usize)?;
    let name = name.and_then(|name| String::from_utf8(name).ok());
    match name {
        Some(name) if !name.is_empty() => Ok(Some(name)),
        _ => Err(damaged("the name of its backing file is invalid")),
    }
}

/// The header extensions behind a version 3 header.
#[derive(Default)]
struct Extensions {
    backing_format: Option<String>,
    data_file: Option<String>,
}

impl Extensions {
    fn read(file: &File, start: u32, cluster: u64) -> io::Result<Extensions> {
        let mut found = Extensions::default();
        let mut at = u64::from(start);
        while at + 8 <= cluster {
            let Some(header) = read_table(file, at, 8)? else {
                break;
            };
            let (kind, len) = (be32(&header, 0), u64::from(be32(&header, 4)));
            if kind == 0 || at + 8 + len > cluster {
                break;
            }
            if kind == BACKING_FORMAT || kind == DATA_FILE {
                let text = read_table(file, at + 8, len as usize)?.unwrap_or_default();
                let text = Some(String::from_utf8_lossy(&text).into_owned());
                match kind {
                    BACKING_FORMAT => found.backing_format = text,
                    _ => found.data_file = text,
                }
            }
            at += 8 + len.next_multiple_of(8);
        }
        Ok(found)
    }
}
