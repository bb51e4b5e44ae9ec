//! Reads tables from image files, with bounded sizes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

pub(crate) use drupe_ondisk::bytes::{be16, be32, be64, le16, le32, le64};

/// Reads a table of an image. `None`: the file ends before the table.
///
/// The caller must bound `len`; the image is not trusted.
pub(crate) fn read_table(file: &File, offset: u64, len: usize) -> io::Result<Option<Vec<u8>>> {
    let mut table = vec![0; len];
    match file.read_exact_at(&mut table, offset) {
        Ok(()) => Ok(Some(table)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        // pread(2): an offset that is no loff_t.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the first `len` bytes of a file, or fewer if it is shorter.
pub(crate) fn read_head(file: &File, len: usize) -> io::Result<Vec<u8>> {
    let mut head = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match file.read_at(&mut head[filled..], filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    head.truncate(filled);
    Ok(head)
}
