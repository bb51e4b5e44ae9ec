//! [`FaultyDisk`]: a disk whose requests fail on demand, for tests.

use crate::disk::{Disk, Geometry, Harm};
use rustix::io::Errno;
use std::io::{self, IoSlice, IoSliceMut};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A kind of request to a disk: the methods of [`Disk`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DiskOp {
    /// [`Disk::read_at`], and [`Disk::read_cached`] if it succeeds.
    Read,
    /// [`Disk::write_at`].
    Write,
    /// [`Disk::flush`].
    Flush,
    /// [`Disk::discard`].
    Discard,
    /// [`Disk::write_zeroes`].
    WriteZeroes,
}

impl DiskOp {
    /// All of them.
    pub const ALL: [DiskOp; 5] = [
        DiskOp::Read,
        DiskOp::Write,
        DiskOp::Flush,
        DiskOp::Discard,
        DiskOp::WriteZeroes,
    ];
}

/// Which requests fail, and how: by default all of one kind, with `EIO`.
#[derive(Debug, Clone)]
pub struct Fault {
    op: DiskOp,
    range: Range<u64>,
    after: u64,
    times: u64,
    errno: Errno,
}

impl Fault {
    /// All requests to do `op` fail, with `EIO`.
    pub fn new(op: DiskOp) -> Fault {
        Fault {
            op,
            range: 0..u64::MAX,
            after: 0,
            times: u64::MAX,
            errno: Errno::IO,
        }
    }

    /// Limits the fault to requests that touch these bytes of the disk. (A flush touches
    /// all.)
    #[must_use]
    pub fn range(mut self, bytes: Range<u64>) -> Fault {
        self.range = bytes;
        self
    }

    /// Lets the first `requests` requests succeed.
    #[must_use]
    pub fn after(mut self, requests: u64) -> Fault {
        self.after = requests;
        self
    }

    /// Limits the fault to `requests` requests; later ones succeed.
    #[must_use]
    pub fn times(mut self, requests: u64) -> Fault {
        self.times = requests;
        self
    }

    /// Sets the error, by default `EIO`. The kernel turns most errors into `EIO`
    /// (`errno_to_blk_status`, `block/blk-core.c`), not `ENOSPC`.
    #[must_use]
    pub fn errno(mut self, errno: Errno) -> Fault {
        self.errno = errno;
        self
    }

    /// Counts a request, and returns whether it fails.
    fn strikes(&mut self, op: DiskOp, bytes: &Range<u64>) -> bool {
        let touched = self.range.start < bytes.end && bytes.start < self.range.end;
        if self.op != op || !touched {
            return false;
        }
        if self.after > 0 {
            self.after -= 1;
            return false;
        }
        let strikes = self.times > 0;
        self.times = self.times.saturating_sub(1);
        strikes
    }
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<Fault>,
    asked: [u64; DiskOp::ALL.len()],
    failed: [u64; DiskOp::ALL.len()],
}

/// The faults of a [`FaultyDisk`], to be changed at any time by any thread. Clones are
/// handles to the same faults.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

impl Faults {
    /// Adds a fault to those that were added before.
    pub fn add(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Removes all faults: no request fails any more.
    pub fn clear(&self) {
        self.state().faults.clear();
    }

    /// How many requests of the kind `op` there were, including failed ones.
    pub fn asked(&self, op: DiskOp) -> u64 {
        self.state().asked[op as usize]
    }

    /// How many requests of the kind `op` failed because of a fault.
    pub fn failed(&self, op: DiskOp) -> u64 {
        self.state().failed[op as usize]
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request; an error if it is to fail.
    fn ask(&self, op: DiskOp, bytes: Range<u64>) -> io::Result<()> {
        let state = &mut *self.state();
        state.asked[op as usize] += 1;
        for fault in &mut state.faults {
            if fault.strikes(op, &bytes) {
                state.failed[op as usize] += 1;
                return Err(fault.errno.into());
            }
        }
        Ok(())
    }
}

/// A disk whose requests fail on demand, to test how a filesystem takes it. The inner
/// disk does not get a request that fails. All writes go to [`Disk::write_at`];
/// `write_cached` returns `false`.
#[derive(Debug)]
pub struct FaultyDisk<D> {
    disk: D,
    faults: Faults,
}

impl<D: Disk> FaultyDisk<D> {
    /// A disk without faults, on top of `disk`.
    pub fn new(disk: D) -> FaultyDisk<D> {
        FaultyDisk {
            disk,
            faults: Faults::default(),
        }
    }

    /// The inner disk, which does not fail.
    pub fn inner(&self) -> &D {
        &self.disk
    }

    /// A handle to its faults, to change them while a kernel uses the disk.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }
}

impl<D: Disk> Disk for FaultyDisk<D> {
    fn geometry(&self) -> Geometry {
        self.disk.geometry()
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        let len: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        self.faults.ask(DiskOp::Read, offset..offset + len as u64)?;
        self.disk.read_at(buffers, offset)
    }

    fn read_cached(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<bool> {
        let len: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        // What is not done here is asked again, and counted then.
        let done = self.disk.read_cached(buffers, offset)?;
        if done {
            self.faults.ask(DiskOp::Read, offset..offset + len as u64)?;
        }
        Ok(done)
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64, durable: bool) -> io::Result<()> {
        let len: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        self.faults
            .ask(DiskOp::Write, offset..offset + len as u64)?;
        self.disk.write_at(buffers, offset, durable)
    }

    fn stable_writes(&self) -> bool {
        self.disk.stable_writes()
    }

    fn flush(&self) -> io::Result<()> {
        self.faults.ask(DiskOp::Flush, 0..u64::MAX)?;
        self.disk.flush()
    }

    fn harm(&self) -> Option<Harm> {
        self.disk.harm()
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.faults.ask(DiskOp::Discard, offset..offset + len)?;
        self.disk.discard(offset, len)
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        self.faults.ask(DiskOp::WriteZeroes, offset..offset + len)?;
        self.disk.write_zeroes(offset, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;

    const EIO: Option<i32> = Some(Errno::IO.raw_os_error());

    fn disk() -> FaultyDisk<MemoryDisk> {
        FaultyDisk::new(MemoryDisk::new(64 << 10))
    }

    fn write(disk: &dyn Disk, block: u64) -> Option<i32> {
        let result = disk.write_at(&[IoSlice::new(&[1; 512])], block * 512, false);
        result.err().and_then(|error| error.raw_os_error())
    }

    #[test]
    fn the_requests_of_a_fault_fail() {
        let disk = disk();
        let faults = disk.faults();
        faults.add(Fault::new(DiskOp::Write).after(2).times(1));
        assert_eq!(
            [0, 1, 2, 3].map(|n| write(&disk, n)),
            [None, None, EIO, None]
        );
        assert!(disk.flush().is_ok());
        let content = disk.inner().to_image();
        assert_eq!([0, 2, 3].map(|n| content[n * 512]), [1, 0, 1]);
        assert_eq!(faults.asked(DiskOp::Write), 4);
        assert_eq!(faults.failed(DiskOp::Write), 1);
        assert_eq!(faults.asked(DiskOp::Flush), 1);
        assert_eq!(faults.asked(DiskOp::Read), 0);
    }

    #[test]
    fn a_range_is_exact() {
        let disk = disk();
        let fault = Fault::new(DiskOp::Write).range(512..1024);
        disk.faults().add(fault.errno(Errno::NOSPC));
        let nospc = Some(Errno::NOSPC.raw_os_error());
        assert_eq!([0, 1, 2].map(|n| write(&disk, n)), [None, nospc, None]);
        disk.faults().clear();
        assert_eq!(write(&disk, 1), None);
    }

    #[test]
    fn everything_can_fail() {
        let disk = disk();
        for op in DiskOp::ALL {
            disk.faults().add(Fault::new(op));
        }
        let mut buffer = [0; 512];
        let buffers = &mut [IoSliceMut::new(&mut buffer)];
        assert!(disk.read_at(buffers, 0).is_err());
        assert!(disk.read_cached(buffers, 0).is_err());
        assert_eq!(write(&disk, 0), EIO);
        assert!(disk.flush().is_err());
        assert!(disk.discard(0, 512).is_err());
        assert!(disk.write_zeroes(0, 512).is_err());
        let failed = DiskOp::ALL.map(|op| disk.faults().failed(op));
        assert_eq!(failed, [2, 1, 1, 1, 1]);
    }
}
