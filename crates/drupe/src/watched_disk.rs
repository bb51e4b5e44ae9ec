//! [`WatchedDisk`]: a disk that notes its kernel's first write error.
//!
//! Linux reports an error of writing back only to a caller that syncs the same file. A
//! file server has to know that writes to the image fail.

use std::io::{self, IoSlice, IoSliceMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use drupe_abi::Errno;
use drupe_host::disk::Geometry;

use crate::{BlockDevice, Harm};

/// The first error of writing to any disk of a kernel.
#[derive(Debug, Default)]
pub(crate) struct WriteError(AtomicI32);

impl WriteError {
    pub(crate) fn get(&self) -> Option<Errno> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            errno => Some(Errno::from_raw_os_error(errno)),
        }
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
            let errno = errno.raw_os_error();
            let order = Ordering::Relaxed;
            // The first one is kept.
            let _ = self.0.compare_exchange(0, errno, order, order);
        }
        result
    }
}

/// A disk of a kernel, and the place where its write errors are noted.
pub(crate) struct WatchedDisk {
    disk: Arc<dyn BlockDevice>,
    error: Arc<WriteError>,
}

impl WatchedDisk {
    pub(crate) fn new(disk: Arc<dyn BlockDevice>, error: &Arc<WriteError>) -> WatchedDisk {
        WatchedDisk {
            disk,
            error: Arc::clone(error),
        }
    }

    /// Notes a read error as a write error, if another program has harmed the image file.
    fn note_harm<T>(&self, result: io::Result<T>) -> io::Result<T> {
        match result {
            Err(_) if self.disk.harm().is_some() => self.error.note(result),
            result => result,
        }
    }
}

impl BlockDevice for WatchedDisk {
    fn geometry(&self) -> Geometry {
        self.disk.geometry()
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        self.note_harm(self.disk.read_at(buffers, offset))
    }

    fn read_cached(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<bool> {
        self.note_harm(self.disk.read_cached(buffers, offset))
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64, durable: bool) -> io::Result<()> {
        self.error
            .note(self.disk.write_at(buffers, offset, durable))
    }

    fn write_cached(&self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<bool> {
        self.error.note(self.disk.write_cached(buffers, offset))
    }

    fn stable_writes(&self) -> bool {
        self.disk.stable_writes()
    }

    fn flush(&self) -> io::Result<()> {
        self.error.note(self.disk.flush())
    }

    fn harm(&self) -> Option<Harm> {
        self.disk.harm()
    }

    // Who cannot discard or write zeroes says so, and the kernel does without.

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.disk.discard(offset, len)
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        self.disk.write_zeroes(offset, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_kept() {
        let error = WriteError::default();
        assert_eq!(error.get(), None);
        let failed = |errno: Errno| Err::<(), _>(io::Error::from(errno));
        assert!(error.note(failed(Errno::NOSPC)).is_err());
        assert!(error.note(failed(Errno::IO)).is_err());
        assert!(error.note(Ok(())).is_ok());
        assert_eq!(error.get(), Some(Errno::NOSPC));
    }
}
