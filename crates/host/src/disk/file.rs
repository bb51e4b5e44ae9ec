//! [`FileDisk`]: a disk in a file or block device of the host.

use crate::disk::{Disk, Geometry, Harm, ImageFile};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, ReadWriteFlags, preadv, preadv2, pwritev2};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// The largest write in bytes that the thread that runs the kernel makes itself. Handing
/// over a smaller one to another thread takes longer than writing it.
const MAX_AT_ONCE: usize = 256 << 10;

/// A disk in a file or block device of the host.
///
/// Reads that the host has cached are served at once, others by a thread that
/// may wait. Writes go to the host's page cache, up to 256 KiB at once; flushes
/// are `fdatasync(2)`, durable writes `RWF_DSYNC` of `pwritev2(2)`; discards
/// punch holes.
#[derive(Debug)]
pub struct FileDisk {
    image: ImageFile,
    geometry: Geometry,
    /// The host's filesystem cannot tell whether a read would wait, as tmpfs cannot.
    reads_cannot_tell: AtomicBool,
    /// The same of writes, as of ext4.
    writes_cannot_tell: AtomicBool,
}

impl FileDisk {
    /// Opens the image at `path`.
    ///
    /// The file is locked: see [`ImageFile`].
    ///
    /// # Errors
    ///
    /// Those of [`ImageFile::open`].
    pub fn open(path: &Path, read_only: bool) -> io::Result<FileDisk> {
        ImageFile::open(path, read_only).map(|image| FileDisk::new(image, read_only))
    }

    /// Like [`FileDisk::open`], for a file that is open already.
    ///
    /// # Errors
    ///
    /// See [`FileDisk::open`].
    pub fn from_file(file: File, read_only: bool) -> io::Result<FileDisk> {
        ImageFile::from_file(file, read_only).map(|image| FileDisk::new(image, read_only))
    }

    /// A disk in a file that was opened with the same `read_only`.
    pub fn new(image: ImageFile, read_only: bool) -> FileDisk {
        let geometry = Geometry {
            size: image.size(),
            block_size: 512,
            read_only,
            discard: image.is_regular() && !read_only,
        };
        FileDisk {
            image,
            geometry,
            reads_cannot_tell: AtomicBool::new(false),
            writes_cannot_tell: AtomicBool::new(false),
        }
    }

    /// Makes the file, and so the disk, `size` bytes large. For disks that no kernel has.
    ///
    /// # Errors
    ///
    /// Those of [`ImageFile::set_len`].
    pub fn set_len(&mut self, size: u64) -> io::Result<()> {
        self.image.set_len(size)?;
        self.geometry.size = size;
        Ok(())
    }

    /// The file that holds the disk. A duplicate of it shares the lock.
    pub fn file(&self) -> &File {
        self.image.file()
    }
}

impl Disk for FileDisk {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read_at(&self, mut buffers: &mut [IoSliceMut<'_>], mut offset: u64) -> io::Result<()> {
        while !buffers.is_empty() {
            match preadv(self.file(), buffers, offset) {
                // The image became shorter while it was in use.
                Ok(0) => return Err(Errno::IO.into()),
                Ok(n) => {
                    offset += n as u64;
                    IoSliceMut::advance_slices(&mut buffers, n);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read_cached(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<bool> {
        if self.reads_cannot_tell.load(Ordering::Relaxed) {
            return self.read_at(buffers, offset).map(|()| true);
        }
        let wanted: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        match preadv2(self.file(), buffers, offset, ReadWriteFlags::NOWAIT) {
            Ok(n) => Ok(n == wanted),
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(Errno::OPNOTSUPP) => {
                self.reads_cannot_tell.store(true, Ordering::Relaxed);
                self.read_cached(buffers, offset)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], mut offset: u64, durable: bool) -> io::Result<()> {
        let flags = if durable {
            ReadWriteFlags::DSYNC
        } else {
            ReadWriteFlags::empty()
        };
        self.image.check_not_cut()?;
        let mut rest: &mut [IoSlice<'_>] = &mut buffers.to_vec();
        while !rest.is_empty() {
            match pwritev2(self.file(), rest, offset, flags) {
                Ok(0) => return Err(Errno::IO.into()),
                Ok(n) => {
                    offset += n as u64;
                    IoSlice::advance_slices(&mut rest, n);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn write_cached(&self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<bool> {
        let wanted: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        if wanted > MAX_AT_ONCE {
            return Ok(false);
        }
        if self.writes_cannot_tell.load(Ordering::Relaxed) {
            return self.write_at(buffers, offset, false).map(|()| true);
        }
        self.image.check_not_cut()?;
        match pwritev2(self.file(), buffers, offset, ReadWriteFlags::NOWAIT) {
            Ok(n) => Ok(n == wanted),
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(Errno::OPNOTSUPP) => {
                self.writes_cannot_tell.store(true, Ordering::Relaxed);
                self.write_cached(buffers, offset)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The data is the host's kernel's business.
    fn stable_writes(&self) -> bool {
        false
    }

    fn flush(&self) -> io::Result<()> {
        self.image.check_not_cut()?;
        self.file().sync_data()
    }

    fn harm(&self) -> Option<Harm> {
        self.image.harm()
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(fallocate(self.file(), punch, offset, len)?)
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        // A hole reads as zeroes, and a block device zeroes what is punched.
        self.discard(offset, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_do_to_the_file_is_noticed() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("disk");
        std::fs::write(&path, [1; 4096])?;
        let disk = FileDisk::open(&path, false)?;
        let read = |offset| disk.read_at(&mut [IoSliceMut::new(&mut [0; 512])], offset);
        let write = |offset| disk.write_at(&[IoSlice::new(&[2; 512])], offset, false);
        write(3584)?;
        assert_eq!(disk.harm(), None);
        let other = File::options().write(true).open(&path)?;
        other.set_len(1024)?;
        let (size, now) = (4096, 1024);
        assert_eq!(disk.harm(), Some(Harm::Cut { size, now }));
        read(0)?;
        let eio = |result: io::Result<()>| {
            let error = result.expect_err("behind the end");
            assert_eq!(Errno::from_io_error(&error), Some(Errno::IO));
        };
        eio(read(1024));
        eio(write(3584));
        eio(disk.write_cached(&[IoSlice::new(&[2; 512])], 0).map(drop));
        eio(disk.flush());
        assert_eq!(path.metadata()?.len(), 1024, "it was made longer");
        other.set_len(4096)?;
        std::fs::remove_file(&path)?;
        assert_eq!(disk.harm(), Some(Harm::Removed));
        write(0)
    }

    #[test]
    fn is_unlocked_when_dropped_whoever_has_the_file() -> io::Result<()> {
        let path = std::env::temp_dir().join(format!("drupe-lock-{}", std::process::id()));
        std::fs::write(&path, [0; 512])?;
        let open = || File::options().read(true).write(true).open(&path);
        let inherited = open()?;
        let disk = FileDisk::from_file(inherited.try_clone()?, false)?;
        let second = FileDisk::open(&path, true);
        assert_eq!(
            second.err().map(|e| e.kind()),
            Some(io::ErrorKind::WouldBlock)
        );
        drop(disk);
        FileDisk::open(&path, false)?;
        drop(inherited);
        std::fs::remove_file(&path)
    }
}
