//! What is to be written to a disk, gathered first: so that it is written in few pieces,
//! and in an order of ours.

use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};

/// A disk of which only what is written is kept.
pub(crate) struct Captured {
    size: u64,
    at: u64,
    /// By the first byte; no piece touches the next one.
    pieces: BTreeMap<u64, Vec<u8>>,
}

impl Captured {
    /// A disk of `size` bytes.
    pub(crate) fn new(size: u64) -> Captured {
        Captured {
            size,
            at: 0,
            pieces: BTreeMap::new(),
        }
    }

    /// What was written, from the end of the disk to its beginning.
    pub(crate) fn backwards(self) -> impl Iterator<Item = (u64, Vec<u8>)> {
        self.pieces.into_iter().rev()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let end = self.at + bytes.len() as u64;
        if end > self.size {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let before = self.pieces.range_mut(..=self.at).next_back();
        match before {
            Some((&start, piece)) if start + piece.len() as u64 >= self.at => {
                let offset = (self.at - start) as usize;
                let overlap = bytes.len().min(piece.len() - offset);
                piece[offset..offset + overlap].copy_from_slice(&bytes[..overlap]);
                piece.extend_from_slice(&bytes[overlap..]);
            }
            _ => {
                self.pieces.insert(self.at, bytes.to_vec());
            }
        }
        // A piece that begins where this one ends now is a part of it.
        if let Some(next) = self.pieces.remove(&end) {
            let (_, piece) = self
                .pieces
                .range_mut(..end)
                .next_back()
                .expect("just written");
            piece.extend(next);
        }
        self.at = end;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Captured {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces() {
        let mut disk = Captured::new(100);
        for (at, text) in [(90, "end"), (10, "abc"), (13, "def"), (11, "XY"), (8, "..")] {
            disk.seek(SeekFrom::Start(at)).unwrap();
            disk.write_all(text.as_bytes()).unwrap();
        }
        let pieces: Vec<_> = disk.backwards().collect();
        assert_eq!(pieces, [(90, b"end".to_vec()), (8, b"..aXYdef".to_vec())]);
        let mut disk = Captured::new(4);
        disk.seek(SeekFrom::End(-2)).unwrap();
        assert!(disk.write_all(b"abc").is_err());
    }
}
