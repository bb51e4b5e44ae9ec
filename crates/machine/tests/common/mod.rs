//! Helpers of the tests: system calls by name, a disk in memory.
#![allow(dead_code, missing_docs, unreachable_pub)]

use drupe_host::disk::{Disk, FaultyDisk, Geometry, MemoryDisk};
use drupe_machine::{Config, Error, Machine};
use std::io::{self, IoSlice, IoSliceMut};
use std::ops::Range;
use std::sync::Arc;

/// Numbers of `include/uapi/asm-generic/unistd.h`.
pub mod nr {
    pub const CLOSE: usize = 57;
    pub const PIPE2: usize = 59;
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const NANOSLEEP: usize = 101;
    pub const GETPID: usize = 172;
    pub const GETTID: usize = 178;
    pub const CLONE: usize = 220;
    pub const MOUNT: usize = 40;
    pub const OPENAT: usize = 56;
    pub const UNAME: usize = 160;
}

/// The default, with the snapshot that programs start kernels from.
pub fn config() -> Config {
    Config {
        snapshot: drupe_snapshot::snapshot(),
        ..Config::default()
    }
}

pub fn machine() -> Arc<Machine> {
    Machine::boot(config()).expect("a kernel boots")
}

/// A system call whose arguments are numbers, or point to what the caller has.
pub fn call(machine: &Machine, nr: usize, args: &[usize]) -> Result<usize, Error> {
    let mut six = [0; 6];
    six[..args.len()].copy_from_slice(args);
    // SAFETY: as promised by the caller; tests pass buffers of theirs.
    unsafe { machine.syscall(nr, six) }
}

/// An error number, or a panic that shows what else it was.
pub fn errno<T: std::fmt::Debug>(result: Result<T, Error>) -> i32 {
    match result {
        Err(Error::Errno(errno)) => errno.raw_os_error(),
        other => panic!("not an errno: {other:?}"),
    }
}

pub fn pipe(machine: &Machine) -> (usize, usize) {
    let mut ends = [0i32; 2];
    call(machine, nr::PIPE2, &[ends.as_mut_ptr() as usize, 0]).expect("a pipe");
    (ends[0] as usize, ends[1] as usize)
}

pub fn write(machine: &Machine, fd: usize, data: &[u8]) -> Result<usize, Error> {
    call(
        machine,
        nr::WRITE,
        &[fd, data.as_ptr() as usize, data.len()],
    )
}

pub fn read(machine: &Machine, fd: usize, data: &mut [u8]) -> Result<usize, Error> {
    call(
        machine,
        nr::READ,
        &[fd, data.as_mut_ptr() as usize, data.len()],
    )
}

/// A disk in memory that can be told to fail.
pub type TestDisk = FaultyDisk<MemoryDisk>;

/// A disk with this content.
pub fn disk(content: &[u8]) -> Arc<TestDisk> {
    Arc::new(FaultyDisk::new(MemoryDisk::from_image(content)))
}

/// Bytes of the disk itself; not counted.
pub fn content(disk: &TestDisk, range: Range<usize>) -> Vec<u8> {
    disk.inner().to_image()[range].to_vec()
}

/// A disk on which all bytes are the same, and that forgets what is written. A request
/// takes as long as the closure, which is told the offset of a read, and goes to a thread
/// that may wait.
pub struct BlankDisk<F> {
    pub size: u64,
    pub byte: u8,
    pub before: F,
}

/// What a [`BlankDisk`] is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Request {
    Read(u64),
    Write,
    Flush,
}

/// A mebibyte of zeroes.
pub fn blank_disk<F: Fn(Request) + Send + Sync>(before: F) -> Arc<BlankDisk<F>> {
    Arc::new(BlankDisk {
        size: 1 << 20,
        byte: 0,
        before,
    })
}

impl<F: Fn(Request) + Send + Sync> Disk for BlankDisk<F> {
    fn geometry(&self) -> Geometry {
        Geometry {
            size: self.size,
            block_size: 512,
            read_only: false,
            discard: false,
        }
    }
    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        (self.before)(Request::Read(offset));
        buffers.iter_mut().for_each(|buffer| buffer.fill(self.byte));
        Ok(())
    }
    fn write_at(&self, _: &[IoSlice<'_>], _offset: u64, _durable: bool) -> io::Result<()> {
        (self.before)(Request::Write);
        Ok(())
    }
    fn flush(&self) -> io::Result<()> {
        (self.before)(Request::Flush);
        Ok(())
    }
    fn discard(&self, _offset: u64, _len: u64) -> io::Result<()> {
        unreachable!("not offered")
    }
    fn write_zeroes(&self, _offset: u64, _len: u64) -> io::Result<()> {
        unreachable!("not offered")
    }
}
