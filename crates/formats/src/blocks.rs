//! [`Table`]: the table that says where the blocks of a dynamic image are; and reading a
//! range that spans blocks.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::io::Errno;

use crate::bytes::read_table;
use crate::cache::Cache;

/// Bytes of the table that are read at once, and how many such parts are cached.
const PAGE: u64 = 4096;
const CACHED_PAGES: usize = 256;

/// A table of entries with a fixed size, of which parts are cached.
pub(crate) struct Table {
    /// Offset in the file.
    at: u64,
    /// Bytes.
    len: u64,
    pages: Cache<[u8]>,
}

impl Table {
    /// The table at the offset `at` with `len` bytes, which are within the file.
    pub(crate) fn new(at: u64, len: u64) -> Table {
        Table {
            at,
            len,
            pages: Cache::new(CACHED_PAGES),
        }
    }

    /// The entry with this index. `N` is a power of two.
    pub(crate) fn entry<const N: usize>(&self, file: &File, index: u64) -> io::Result<[u8; N]> {
        let at = index * N as u64;
        let page = self.pages.get(at / PAGE, || {
            let offset = at / PAGE * PAGE;
            let len = PAGE.min(self.len.saturating_sub(offset));
            let page = read_table(file, self.at + offset, len as usize)?;
            Ok(Arc::from(page.ok_or(Errno::IO)?))
        })?;
        let entry = page.get((at % PAGE) as usize..).unwrap_or_default();
        Ok(*entry.first_chunk().ok_or(Errno::IO)?)
    }
}

/// Fills `bytes` from `offset` on. `block` says where the data of a block is, by its
/// number; `None`: it is all zeroes. Blocks have `size` bytes.
pub(crate) fn read(
    file: &File,
    mut bytes: &mut [u8],
    mut offset: u64,
    size: u64,
    block: impl Fn(u64) -> io::Result<Option<u64>>,
) -> io::Result<()> {
    while !bytes.is_empty() {
        let within = offset % size;
        let len = (size - within).min(bytes.len() as u64) as usize;
        let (head, tail) = bytes.split_at_mut(len);
        match block(offset / size)? {
            None => head.fill(0),
            Some(at) => file.read_exact_at(head, at + within)?,
        }
        bytes = tail;
        offset += len as u64;
    }
    Ok(())
}
