//! What the tests share: system calls by name, a disk in memory.
#![allow(dead_code, missing_docs, unreachable_pub)]

use drupe_host::disk::{Disk, Geometry};
use drupe_machine::{Config, Error, Machine};
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

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

pub fn machine() -> Arc<Machine> {
    Machine::boot(Config::default()).expect("a kernel boots")
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
pub struct MemoryDisk {
    pub content: Mutex<Vec<u8>>,
    pub fail_reads: AtomicBool,
    /// What was asked beside reads and writes, in order.
    pub asked: Mutex<Vec<Asked>>,
}

/// A request to a disk that moves no data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Flush,
    DurableWrite,
    Discard { offset: u64, len: u64 },
    WriteZeroes { offset: u64, len: u64 },
}

impl MemoryDisk {
    fn ask(&self, what: Asked) {
        self.asked.lock().unwrap().push(what);
    }

    pub fn new(content: Vec<u8>) -> Arc<MemoryDisk> {
        Arc::new(MemoryDisk {
            content: Mutex::new(content),
            fail_reads: false.into(),
            asked: Mutex::default(),
        })
    }
}

impl Disk for MemoryDisk {
    fn geometry(&self) -> Geometry {
        Geometry {
            size: self.content.lock().unwrap().len() as u64,
            block_size: 512,
            read_only: false,
            discard: true,
        }
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        if self.fail_reads.load(SeqCst) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let content = self.content.lock().unwrap();
        let mut at = offset as usize;
        for buffer in buffers {
            let len = buffer.len();
            buffer.copy_from_slice(&content[at..at + len]);
            at += len;
        }
        Ok(())
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64, durable: bool) -> io::Result<()> {
        if durable {
            self.ask(Asked::DurableWrite);
        }
        let mut content = self.content.lock().unwrap();
        let mut at = offset as usize;
        for buffer in buffers {
            content[at..at + buffer.len()].copy_from_slice(buffer);
            at += buffer.len();
        }
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.ask(Asked::Flush);
        Ok(())
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.ask(Asked::Discard { offset, len });
        Ok(())
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        self.ask(Asked::WriteZeroes { offset, len });
        let range = offset as usize..(offset + len) as usize;
        self.content.lock().unwrap()[range].fill(0);
        Ok(())
    }
}
