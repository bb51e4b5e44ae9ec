//! [`Checksums`]: corrects an image's checksums after damage, so that the damage gets
//! past them.

use std::fs::File;
use std::io::Result;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// CRC-32C over something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// Where such things may begin: multiples of this.
    pub(super) align: u64,
    /// Bytes, and those in front that the sum does not cover.
    pub(super) len: usize,
    pub(super) skip: usize,
    /// Where the sum is; covered as zeroes.
    pub(super) at: usize,
}

/// `fs/btrfs/disk-io.c`: superblocks and nodes.
pub(super) const BTRFS: &[Kind] = &[kind(4096, 4096, 32, 0), kind(4096, 16384, 32, 0)];

/// `fs/xfs/libxfs/xfs_format.h`: superblock, AGF, AGI, AGFL, inode; then blocks:
/// short and long btrees, directories, leaves and nodes of directories.
pub(super) const XFS: &[Kind] = &[
    kind(512, 512, 0, 224),
    kind(512, 512, 0, 216),
    kind(512, 512, 0, 312),
    kind(512, 512, 0, 32),
    kind(512, 512, 0, 100),
    kind(4096, 4096, 0, 52),
    kind(4096, 4096, 0, 64),
    kind(4096, 4096, 0, 4),
    kind(4096, 4096, 0, 12),
];

const fn kind(align: u64, len: usize, skip: usize, at: usize) -> Kind {
    Kind {
        align,
        len,
        skip,
        at,
    }
}

/// Everything in an image whose checksum is right.
#[derive(Debug, Default)]
pub(super) struct Checksums(Vec<(u64, Kind)>);

impl Kind {
    fn sum(&self, mut bytes: Vec<u8>) -> [u8; 4] {
        bytes[self.at..self.at + 4].fill(0);
        crc32c::crc32c(&bytes[self.skip..]).to_le_bytes()
    }
}

impl Checksums {
    /// Looks for them in the parts of an image that are not holes.
    pub(super) fn find(file: &File, data: &[Range<u64>], kinds: &[Kind]) -> Result<Checksums> {
        let mut found = Vec::new();
        for range in data {
            for kind in kinds {
                let first = range.start.next_multiple_of(kind.align);
                for start in (first..range.end).step_by(kind.align as usize) {
                    let mut bytes = vec![0; kind.len];
                    let whole = file.read_exact_at(&mut bytes, start).is_ok();
                    let sum: [u8; 4] = std::array::from_fn(|n| bytes[kind.at + n]);
                    if whole && sum != [0; 4] && kind.sum(bytes) == sum {
                        found.push((start, *kind));
                    }
                }
            }
        }
        Ok(Checksums(found))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// What they are over. Parts may overlap.
    pub(super) fn ranges(&self) -> Vec<Range<u64>> {
        let range = |(start, kind): &(u64, Kind)| *start..start + kind.len as u64;
        self.0.iter().map(range).collect()
    }

    /// Those that damage at `offset` makes wrong: where each is, and what it
    /// should be now.
    pub(super) fn after(
        &self,
        file: &File,
        offset: u64,
        len: usize,
    ) -> Result<Vec<(u64, [u8; 4])>> {
        let mut sums = Vec::new();
        for (start, kind) in &self.0 {
            if offset < start + kind.len as u64 && *start < offset + len as u64 {
                let mut bytes = vec![0; kind.len];
                file.read_exact_at(&mut bytes, *start)?;
                sums.push((start + kind.at as u64, kind.sum(bytes)));
            }
        }
        Ok(sums)
    }
}
