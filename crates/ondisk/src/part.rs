//! [`Part`]: reads a range of a disk like a disk of its own.

use std::io::{self, Read, Seek, SeekFrom};

/// A reader of a range of another reader.
#[derive(Debug)]
pub struct Part<'a, R> {
    reader: &'a mut R,
    start: u64,
    size: u64,
    position: u64,
}

impl<'a, R: Read + Seek> Part<'a, R> {
    /// The bytes from `start` to `end`, or to the end of `reader`.
    pub fn new(reader: &'a mut R, start: u64, end: u64) -> io::Result<Part<'a, R>> {
        let all = reader.seek(SeekFrom::End(0))?;
        let start = start.min(all);
        Ok(Part {
            reader,
            start,
            size: end.min(all).saturating_sub(start),
            position: 0,
        })
    }
}

impl<R: Read + Seek> Read for Part<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.size.saturating_sub(self.position);
        let len = left.min(bytes.len() as u64) as usize;
        if len == 0 {
            return Ok(0);
        }
        self.reader
            .seek(SeekFrom::Start(self.start + self.position))?;
        let len = self.reader.read(&mut bytes[..len])?;
        self.position += len as u64;
        Ok(len)
    }
}

impl<R: Read + Seek> Seek for Part<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = seek(to, self.position, self.size)?;
        Ok(self.position)
    }
}

/// The new position for a [`Seek`] to `to` in something with `size` bytes, at present at
/// `position`.
///
/// # Errors
///
/// `InvalidInput` for a position before the first byte.
pub fn seek(to: SeekFrom, position: u64, size: u64) -> io::Result<u64> {
    let position = match to {
        SeekFrom::Start(position) => Some(position),
        SeekFrom::Current(by) => position.checked_add_signed(by),
        SeekFrom::End(by) => size.checked_add_signed(by),
    };
    position.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}
