//! [`Image`]: the trait of this crate's formats; [`ImageDisk`] makes a disk of one.

use std::io::{self, IoSlice, IoSliceMut};

use drupe_host::disk::{Disk, Geometry, Harm};
use rustix::io::Errno;

/// The disk in an image of some format.
pub(crate) trait Image: Send + Sync {
    /// Bytes of the disk.
    fn size(&self) -> u64;

    /// Bytes of a logical block.
    fn block_size(&self) -> u32 {
        512
    }

    /// Fills `bytes`, which are within the disk, from `offset` on.
    fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes `bytes`, which are within the disk, if the image can be written.
    fn write(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Err(Errno::ROFS.into())
    }

    /// What another program did to its files while they were open.
    fn harm(&self) -> Option<Harm>;

    /// Makes what was written durable.
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The disk of an [`Image`].
pub(crate) struct ImageDisk<I> {
    pub(crate) image: I,
    pub(crate) read_only: bool,
}

/// Fails if the range is not within a disk of `size` bytes.
pub(crate) fn check_range(size: u64, offset: u64, len: u64) -> io::Result<()> {
    match offset.checked_add(len) {
        Some(end) if end <= size => Ok(()),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

impl<I: Image> Disk for ImageDisk<I> {
    fn geometry(&self) -> Geometry {
        Geometry {
            size: self.image.size(),
            block_size: self.image.block_size(),
            read_only: self.read_only,
            discard: false,
        }
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], mut offset: u64) -> io::Result<()> {
        for buffer in buffers {
            check_range(self.image.size(), offset, buffer.len() as u64)?;
            let read = self.image.read(buffer, offset);
            read.map_err(|error| match error.kind() {
                // A file of it was cut short.
                io::ErrorKind::UnexpectedEof => Errno::IO.into(),
                _ => error,
            })?;
            offset += buffer.len() as u64;
        }
        Ok(())
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], mut offset: u64, durable: bool) -> io::Result<()> {
        if self.read_only {
            return Err(Errno::ROFS.into());
        }
        for buffer in buffers {
            check_range(self.image.size(), offset, buffer.len() as u64)?;
            self.image.write(buffer, offset)?;
            offset += buffer.len() as u64;
        }
        match durable {
            true => self.image.flush(),
            false => Ok(()),
        }
    }

    fn flush(&self) -> io::Result<()> {
        self.image.flush()
    }

    fn harm(&self) -> Option<Harm> {
        self.image.harm()
    }

    fn discard(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Err(Errno::OPNOTSUPP.into())
    }

    fn write_zeroes(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Err(Errno::OPNOTSUPP.into())
    }
}
