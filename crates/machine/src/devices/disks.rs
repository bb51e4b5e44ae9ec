//! The disks of a kernel: requests from its block driver
//! (`kernel/arch/drupe/drivers/disk.c`) to [`Disk`]s.

use super::environment::contain;
use drupe_abi::{Errno, IO_FUA, Io, disk_flags, io_op};
use drupe_host::disk::Disk;
use std::io::{self, IoSlice, IoSliceMut};
use std::slice;
use std::sync::{Arc, PoisonError, RwLock};

/// The number of disks that the driver has names for, `vda` to `vdz`.
const MAX_DISKS: usize = 26;

/// A disk of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DiskId(pub(crate) u32);

impl DiskId {
    /// Name of the block device: `vda` for the first disk, found as `/dev/vda`
    /// and `/sys/block/vda`.
    pub fn name(self) -> String {
        format!("vd{}", char::from(b'a' + self.0 as u8))
    }
}

/// The disks of one kernel, by number.
#[derive(Default)]
pub(crate) struct Disks {
    slots: RwLock<[Option<Arc<dyn Disk>>; MAX_DISKS]>,
}

impl std::fmt::Debug for Disks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disks").finish_non_exhaustive()
    }
}

/// The arguments of `op::DISK_ADD`: size, block size, flags.
pub(crate) fn describe(disk: &dyn Disk) -> Result<[u64; 3], Errno> {
    let geometry = disk.geometry();
    let block = u64::from(geometry.block_size);
    if !block.is_power_of_two() || !(512..=4096).contains(&block) {
        return Err(Errno::INVAL);
    }
    let mut flags = 0;
    if geometry.read_only {
        flags |= disk_flags::READ_ONLY;
    }
    if geometry.discard {
        flags |= disk_flags::DISCARD | disk_flags::WRITE_ZEROES;
    }
    if disk.stable_writes() {
        flags |= disk_flags::STABLE_WRITES;
    }
    Ok([geometry.size / block * block, block, flags])
}

impl Disks {
    /// Reserves a number for `disk`.
    ///
    /// # Errors
    ///
    /// `ENOSPC` when no number is free.
    pub(crate) fn insert(&self, disk: Arc<dyn Disk>) -> Result<DiskId, Errno> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let number = slots.iter().position(Option::is_none).ok_or(Errno::NOSPC)?;
        slots[number] = Some(disk);
        Ok(DiskId(number as u32))
    }

    /// Frees the number of a disk that was removed from the kernel.
    pub(crate) fn remove(&self, id: DiskId) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots[id.0 as usize] = None;
    }

    fn get(&self, number: u32) -> Option<Arc<dyn Disk>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.get(number as usize)?.clone()
    }

    /// Serves one request; may block.
    ///
    /// # Safety
    ///
    /// The vectors of `io` are valid, and nothing else uses them until this
    /// returns.
    pub(crate) unsafe fn serve(&self, io: &mut Io) {
        // SAFETY: passed on.
        self.attempt(io, |disk, io| unsafe {
            match io.op {
                io_op::READ => disk.read_at(vectors_mut(io), io.offset)?,
                io_op::WRITE => disk.write_at(vectors(io), io.offset, io.flags & IO_FUA != 0)?,
                io_op::FLUSH => disk.flush()?,
                io_op::DISCARD => disk.discard(io.offset, io.len)?,
                io_op::WRITE_ZEROES => disk.write_zeroes(io.offset, io.len)?,
                _ => return Err(Errno::OPNOTSUPP.into()),
            }
            Ok(true)
        });
    }

    /// Serves one request if that is possible without blocking; returns whether it did.
    ///
    /// # Safety
    ///
    /// As for [`Disks::serve`].
    pub(crate) unsafe fn serve_at_once(&self, io: &mut Io) -> bool {
        // SAFETY: passed on.
        self.attempt(io, |disk, io| unsafe {
            match io.op {
                io_op::READ => disk.read_cached(vectors_mut(io), io.offset),
                io_op::WRITE if io.flags & IO_FUA == 0 => disk.write_cached(vectors(io), io.offset),
                _ => Ok(false),
            }
        })
    }

    /// Calls `attempt` with the request's disk; returns whether the request is complete,
    /// with its error set. A panic of the disk is `EIO`.
    fn attempt(&self, io: &mut Io, attempt: impl Fn(&dyn Disk, &Io) -> io::Result<bool>) -> bool {
        let result = match self.get(io.disk) {
            None => Err(Errno::NODEV.into()),
            Some(disk) => contain(|| attempt(&*disk, io)).unwrap_or_else(|| Err(Errno::IO.into())),
        };
        match result {
            Ok(complete) => {
                io.error = 0;
                complete
            }
            Err(error) => {
                io.error = -i64::from(errno(&error).raw_os_error());
                true
            }
        }
    }
}

/// # Safety
///
/// The vectors of `io` are valid for reads.
unsafe fn vectors<'a>(io: &Io) -> &'a [IoSlice<'a>] {
    // SAFETY: as promised; `IoVec` is `struct iovec`, as `IoSlice` is
    // guaranteed to be on Unix.
    unsafe { slice::from_raw_parts(io.iov.cast(), io.iov_count as usize) }
}

/// # Safety
///
/// The vectors of `io` are valid for writes, and nothing else uses them.
unsafe fn vectors_mut<'a>(io: &Io) -> &'a mut [IoSliceMut<'a>] {
    // SAFETY: as promised, and the layouts are the same.
    unsafe { slice::from_raw_parts_mut(io.iov.cast(), io.iov_count as usize) }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
