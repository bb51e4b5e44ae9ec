//! [`Source`]: checked, cached access to the probed disk; texts and labels.

use std::io::{self, Read, Seek, SeekFrom};

use uuid::Uuid;

use crate::bytes;

/// Bytes that are read at once from the start, where most signatures are.
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

    /// Bytes at an offset; `None` if the disk ends before.
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

    /// Whether one of the magic strings matches, or the list is empty.
    pub(super) fn has_any(&mut self, magic: &[(u64, &[u8])]) -> io::Result<bool> {
        for (offset, expected) in magic {
            if self.get(*offset, expected.len())?.as_deref() == Some(*expected) {
                return Ok(true);
            }
        }
        Ok(magic.is_empty())
    }
}

/// A label.
pub(super) struct Label {
    pub(super) text: String,
    /// Its bytes, if `text` has replacement characters.
    pub(super) bytes: Option<Vec<u8>>,
}

impl From<String> for Label {
    fn from(text: String) -> Label {
        Label { text, bytes: None }
    }
}

/// The label in a field of bytes; `None` if it is empty.
pub(super) fn label(field: &[u8]) -> Option<Label> {
    let text = text(field)?;
    let bytes = bytes::unpadded(field);
    Some(Label {
        bytes: str::from_utf8(bytes).is_err().then(|| bytes.to_vec()),
        text,
    })
}

/// Text as [`bytes::text`] reads it; `None` if it is empty.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    Some(bytes::text(bytes)).filter(|text| !text.is_empty())
}

/// A UUID of 16 bytes at `at`; `None` if it is all zeroes.
pub(super) fn uuid(bytes: &[u8], at: usize) -> Option<String> {
    let uuid = Uuid::from_bytes(std::array::from_fn(|n| bytes[at + n]));
    (!uuid.is_nil()).then(|| uuid.to_string())
}

/// A FAT serial number: "1234-ABCD".
pub(super) fn serial(number: u32) -> Option<String> {
    Some(format!("{:04X}-{:04X}", number >> 16, number & 0xffff))
}
