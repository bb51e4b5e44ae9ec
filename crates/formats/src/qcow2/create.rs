//! [`write_qcow2`]: a new image, written in one go.
//!
//! ```text
//! header │ L1 table │ L2 tables │ refcount table │ refcount blocks │ data
//! ```
//!
//! Each part begins with a cluster of its own, and each cluster is used once. Layout:
//! QEMU's `docs/interop/qcow2.txt`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of a cluster of the images that [`write_qcow2`] makes: QEMU's default.
pub const CLUSTER: u64 = 64 << 10;
const CLUSTER_BITS: u32 = 16;
/// Entries of a table, of 8 bytes each.
const ENTRIES: u64 = CLUSTER / 8;
/// Counts of a refcount block, of 16 bits each.
const COUNTS: u64 = CLUSTER / 2;
/// Bit 63 of an entry: the cluster is used once.
const ONCE: u64 = 1 << 63;
/// The largest disk, in bytes: its L1 table has the 32 MiB that QEMU allows.
const MOST: u64 = (32 << 20) / 8 * ENTRIES * CLUSTER;

/// Writes a new qcow2 image (version 3) of a disk of `size` bytes into an empty file.
/// `clusters` are the numbers of the disk's clusters of [`CLUSTER`] bytes that are not
/// zero, in their order; `read` reads one, which may end behind the disk.
///
/// # Errors
///
/// Those of reading and writing; `InvalidInput` for a disk that is too large, and for
/// clusters that are not on it or not in order.
pub fn write_qcow2(
    file: &File,
    size: u64,
    clusters: &[u64],
    read: &mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>,
) -> io::Result<()> {
    let on_disk = clusters.last().is_none_or(|last| last * CLUSTER < size);
    if size > MOST || !on_disk || !clusters.is_sorted_by(|a, b| a < b) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let l1_entries = size.div_ceil(ENTRIES * CLUSTER);
    let mut tables: Vec<u64> = clusters.iter().map(|cluster| cluster / ENTRIES).collect();
    tables.dedup();
    let l1_clusters = (l1_entries * 8).div_ceil(CLUSTER).max(1);
    let without_counts = 1 + l1_clusters + (tables.len() + clusters.len()) as u64;
    let (table_clusters, blocks) = counts_for(without_counts);

    let l1_at = 1;
    let l2_at = l1_at + l1_clusters;
    let counts_at = l2_at + tables.len() as u64;
    let blocks_at = counts_at + table_clusters;
    let data_at = blocks_at + blocks;
    let total = data_at + clusters.len() as u64;

    let mut buffer = vec![0; CLUSTER as usize];
    for (&cluster, at) in clusters.iter().zip(data_at..) {
        buffer.fill(0);
        let len = CLUSTER.min(size - cluster * CLUSTER) as usize;
        read(cluster * CLUSTER, &mut buffer[..len])?;
        file.write_all_at(&buffer, at * CLUSTER)?;
    }
    let mut l1 = vec![0; l1_entries as usize];
    let mut data = clusters.iter().copied().zip(data_at..).peekable();
    for (&table, at) in tables.iter().zip(l2_at..) {
        l1[table as usize] = (at * CLUSTER) | ONCE;
        let mut entries = vec![0; ENTRIES as usize];
        while let Some((cluster, at)) = data.next_if(|(cluster, _)| cluster / ENTRIES == table) {
            entries[(cluster % ENTRIES) as usize] = (at * CLUSTER) | ONCE;
        }
        write_entries(file, &entries, at)?;
    }
    write_entries(file, &l1, l1_at)?;
    let counts: Vec<u64> = (blocks_at..data_at).map(|block| block * CLUSTER).collect();
    write_entries(file, &counts, counts_at)?;
    for (number, at) in (0..).zip(blocks_at..data_at) {
        let used = total.saturating_sub(number * COUNTS).min(COUNTS) as usize;
        let block: Vec<u8> = [0, 1].repeat(used);
        file.write_all_at(&block, at * CLUSTER)?;
    }
    file.write_all_at(
        &header(size, l1_entries, [l1_at, counts_at], table_clusters),
        0,
    )?;
    file.set_len(total * CLUSTER)
}

/// How many clusters the refcount table has, and how many refcount blocks there are, for
/// these clusters and themselves.
fn counts_for(clusters: u64) -> (u64, u64) {
    let (mut tables, mut blocks) = (1, 1);
    loop {
        let needed = (clusters + tables + blocks).div_ceil(COUNTS);
        if needed <= blocks && blocks <= tables * ENTRIES {
            return (tables, blocks);
        }
        blocks = blocks.max(needed);
        tables = blocks.div_ceil(ENTRIES);
    }
}

fn write_entries(file: &File, entries: &[u64], at: u64) -> io::Result<()> {
    let bytes: Vec<u8> = entries.iter().flat_map(|it| it.to_be_bytes()).collect();
    file.write_all_at(&bytes, at * CLUSTER)
}

fn header(size: u64, l1_entries: u64, [l1, counts]: [u64; 2], count_tables: u64) -> Vec<u8> {
    /// Bytes of a header of version 3 without extensions, and the logarithm of the bits of
    /// a count.
    const LEN: u32 = 104;
    const COUNT_ORDER: u32 = 4;
    let mut header = b"QFI\xfb".to_vec();
    let mut word = |value: u32| header.extend(value.to_be_bytes());
    word(3);
    // No backing file: an offset of 64 bits, and a length.
    (0..3).for_each(|_| word(0));
    word(CLUSTER_BITS);
    word((size >> 32) as u32);
    word(size as u32);
    // No encryption.
    word(0);
    word(l1_entries as u32);
    for (offset, more) in [(l1, None), (counts, Some(count_tables as u32))] {
        let bytes = offset * CLUSTER;
        word((bytes >> 32) as u32);
        word(bytes as u32);
        if let Some(more) = more {
            word(more);
        }
    }
    // No snapshots: a count and an offset. No features: three of 64 bits.
    (0..9).for_each(|_| word(0));
    word(COUNT_ORDER);
    word(LEN);
    // Behind the header, the extension that ends them.
    (0..2).for_each(|_| word(0));
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Many clusters need many counts, which need counts themselves.
    #[test]
    fn counts() {
        assert_eq!(counts_for(1), (1, 1));
        assert_eq!(counts_for(COUNTS - 2), (1, 1));
        assert_eq!(counts_for(COUNTS - 1), (1, 2));
        let many = COUNTS * ENTRIES;
        let (tables, blocks) = counts_for(many);
        assert!(tables == 2 && blocks * COUNTS >= many + tables + blocks);
    }

    #[test]
    fn clusters_in_order_only() {
        let file = tempfile::tempfile().unwrap();
        let mut nothing = |_: u64, _: &mut [u8]| Ok(());
        for clusters in [&[1, 0][..], &[0, 0], &[16]] {
            assert!(write_qcow2(&file, 1 << 20, clusters, &mut nothing).is_err());
        }
        assert!(write_qcow2(&file, u64::MAX, &[], &mut nothing).is_err());
    }
}
