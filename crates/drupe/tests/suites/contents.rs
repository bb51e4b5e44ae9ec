//! [`Contents`]: generated contents of a file, which can be compared without being
//! stored.

use std::hash::{DefaultHasher, Hasher};
use std::iter::once;
use std::ops::Range;

use fastrand::Rng;

/// A file's contents: data made from a seed in some ranges, holes elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contents {
    seed: u64,
    len: u64,
    /// In order, apart, before `len`.
    data: Vec<Range<u64>>,
}

impl Contents {
    /// Data everywhere.
    pub(crate) fn full(seed: u64, len: u64) -> Contents {
        Contents::sparse(seed, len, once(0..len))
    }

    /// Data in `ranges`, holes between them.
    pub(crate) fn sparse(
        seed: u64,
        len: u64,
        ranges: impl IntoIterator<Item = Range<u64>>,
    ) -> Contents {
        let data = ranges.into_iter().filter(|range| !range.is_empty());
        Contents {
            seed,
            len,
            data: data.collect(),
        }
    }

    /// Bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes that are not in holes.
    pub(crate) fn data_len(&self) -> u64 {
        self.data.iter().map(|range| range.end - range.start).sum()
    }

    /// The ranges of data, with what is there.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (u64, Vec<u8>)> {
        self.data.iter().map(|range| {
            let mut bytes = vec![0; (range.end - range.start) as usize];
            Rng::with_seed(self.seed ^ range.start).fill(&mut bytes);
            // Every other file can be compressed.
            if self.seed % 2 == 1 {
                bytes.iter_mut().for_each(|byte| *byte = b'a' + *byte % 4);
            }
            (range.start, bytes)
        })
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        for (start, piece) in self.pieces() {
            bytes[start as usize..][..piece.len()].copy_from_slice(&piece);
        }
        bytes
    }

    /// As ftruncate(2) does.
    pub(crate) fn set_len(&mut self, len: u64) {
        self.len = len;
        for range in &mut self.data {
            range.end = range.end.min(len);
        }
        self.data.retain(|range| !range.is_empty());
    }
}

/// What stands for the contents of a file when they are compared.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

#[test]
fn truncation_keeps_what_is_left() {
    let mut contents = Contents::sparse(3, 100, [10..50, 60..77]);
    let whole = contents.bytes();
    contents.set_len(45);
    contents.set_len(90);
    let mut expected = whole[..45].to_vec();
    expected.resize(90, 0);
    assert_eq!(contents.bytes(), expected);
    assert_ne!(digest(&whole), digest(&expected));
}
