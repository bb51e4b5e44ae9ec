//! [`Source`]: checked, cached access to what is probed; conversions.

use std::io::{self, Read, Seek, SeekFrom};

use uuid::Uuid;

/// Bytes read at once from the start; most signatures are there.
const HEAD: usize = 72 << 10;

trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

/// A reader with its size known and its start cached.
pub(super) struct Source<'a> {
    reader: &'a mut dyn ReadSeek,
    size: u64,
    head: Vec<u8>,
}

impl<'a> Source<'a> {
    pub(super) fn new<R: Read + Seek>(reader: &'a mut R) -> io::Result<Source<'a>> {
        let size = reader.seek(SeekFrom::End(0))?;
        let mut head = vec![0; size.min(HEAD as u64) as usize];
        reader.seek(SeekFrom::Start(0))?;
        reader.read_exact(&mut head)?;
        Ok(Source { reader, size, head })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes at an offset; `None` if they are not all there.
    pub(super) fn get(&mut self, offset: u64, len: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(end) = offset
            .checked_add(len as u64)
            .filter(|&end| end <= self.size)
        else {
            return Ok(None);
        };
        if end <= self.head.len() as u64 {
            return Ok(Some(self.head[offset as usize..end as usize].to_vec()));
        }
        let mut bytes = vec![0; len];
        self.reader.seek(SeekFrom::Start(offset))?;
        self.reader.read_exact(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Whether one of the magic strings is there, or none is asked for.
    pub(super) fn has_any(&mut self, magic: &[(u64, &[u8])]) -> io::Result<bool> {
        for (offset, expected) in magic {
            if self.get(*offset, expected.len())?.as_deref() == Some(*expected) {
                return Ok(true);
            }
        }
        Ok(magic.is_empty())
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

/// Little-endian 16 bits at `at`, which must be there; likewise below.
pub(crate) fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

pub(crate) fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

pub(crate) fn le64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

pub(super) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(array(bytes, at))
}

pub(super) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array(bytes, at))
}

pub(super) fn be64(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(array(bytes, at))
}

/// UTF-16LE up to the first NUL.
pub(crate) fn utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
        .take_while(|&unit| unit != 0)
        .collect();
    String::from_utf16_lossy(&units)
}

/// Text up to the first NUL, less the spaces it was padded with.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let len = bytes.iter().position(|&byte| byte == 0);
    let text = String::from_utf8_lossy(&bytes[..len.unwrap_or(bytes.len())]);
    let text = text.trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A UUID of 16 bytes at `at`; all zeroes is none.
pub(super) fn uuid(bytes: &[u8], at: usize) -> Option<String> {
    let uuid = Uuid::from_bytes(array(bytes, at));
    (!uuid.is_nil()).then(|| uuid.to_string())
}

/// A FAT serial number: "1234-ABCD".
pub(super) fn serial(number: u32) -> Option<String> {
    Some(format!("{:04X}-{:04X}", number >> 16, number & 0xffff))
}
