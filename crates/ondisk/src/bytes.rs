//! Reads numbers and texts in headers, and headers from disks.
//!
//! This crate and `drupe-formats` convert bytes to numbers only here.

use std::io::{self, Read, Seek, SeekFrom};

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

macro_rules! readers {
    ($($name:ident $type:ident $from:ident;)*) => {
        $(
            /// The number at `at`.
            ///
            /// # Panics
            ///
            /// If it is not within `bytes`. Callers have read a header of fixed size.
            pub fn $name(bytes: &[u8], at: usize) -> $type {
                $type::$from(array(bytes, at))
            }
        )*
    };
}

readers! {
    be16 u16 from_be_bytes;
    be32 u32 from_be_bytes;
    be64 u64 from_be_bytes;
    le16 u16 from_le_bytes;
    le32 u32 from_le_bytes;
    le64 u64 from_le_bytes;
}

/// Reads bytes at an offset; an error of the kind `UnexpectedEof` if the disk ends
/// before.
pub fn bytes_at<R: Read + Seek + ?Sized>(
    reader: &mut R,
    offset: u64,
    len: usize,
) -> io::Result<Vec<u8>> {
    reader.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; len];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Reads bytes at an offset; `None` if the disk ends before.
pub fn maybe_bytes_at<R: Read + Seek + ?Sized>(
    reader: &mut R,
    offset: u64,
    len: usize,
) -> io::Result<Option<Vec<u8>>> {
    match bytes_at(reader, offset, len) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        // lseek(2): an offset that is no loff_t.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
        Err(error) => Err(error),
    }
}

/// The bytes up to the first NUL, without trailing white space.
pub fn unpadded(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&byte| byte == 0);
    bytes[..end.unwrap_or(bytes.len())].trim_ascii_end()
}

/// The text up to the first NUL, without trailing spaces.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(unpadded(bytes))
        .trim_end()
        .to_owned()
}

/// The text of UTF-16LE up to the first NUL.
pub fn utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
        .take_while(|&unit| unit != 0)
        .collect();
    String::from_utf16_lossy(&units)
}
