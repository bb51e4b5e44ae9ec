//! An io_uring with its rings in kernel buffers, for the tests.
#![allow(dead_code, missing_docs, unreachable_pub)]

use super::common::call;
use drupe_machine::{Buffer, Error, Machine};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::*};

/// Numbers of `include/uapi/asm-generic/unistd.h`.
pub const SETUP: usize = 425;
pub const ENTER: usize = 426;
pub const REGISTER: usize = 427;

/// `include/uapi/linux/io_uring.h`.
pub const SETUP_SQPOLL: u32 = 1 << 1;
pub const SETUP_NO_MMAP: u32 = 1 << 14;
pub const SETUP_SINGLE_ISSUER: u32 = 1 << 12;
pub const SETUP_DEFER_TASKRUN: u32 = 1 << 13;
pub const NOP: u8 = 0;
pub const READ_FIXED: u8 = 4;
pub const POLL_ADD: u8 = 6;
pub const TIMEOUT: u8 = 11;
pub const READ: u8 = 22;
pub const WRITE: u8 = 23;
pub const SEND_ZC: u8 = 47;
/// `sqe.flags`: always by a worker.
pub const ASYNC: u8 = 1 << 4;

const GETEVENTS: usize = 1;
const ENTRIES: u32 = 64;

/// `struct io_sqring_offsets`, and `struct io_cqring_offsets` with other names.
#[derive(Default)]
#[repr(C)]
pub struct Offsets {
    head: u32,
    tail: u32,
    mask: u32,
    _entries: u32,
    _flags_or_overflow: u32,
    dropped_or_cqes: u32,
    array: u32,
    _reserved: u32,
    pub user_addr: u64,
}

/// `struct io_uring_params`.
#[derive(Default)]
#[repr(C)]
pub struct Params {
    pub sq_entries: u32,
    pub cq_entries: u32,
    pub flags: u32,
    pub sq_thread: [u32; 2],
    pub features: u32,
    pub wq_fd: u32,
    pub reserved: [u32; 3],
    pub sq: Offsets,
    pub cq: Offsets,
}

/// The beginning of `struct io_uring_sqe`, whose rest is 0.
#[derive(Default, Clone, Copy)]
#[repr(C)]
pub struct Entry {
    pub opcode: u8,
    pub flags: u8,
    pub priority: u16,
    pub fd: i32,
    pub offset: u64,
    pub address: u64,
    pub len: u32,
    pub op_flags: u32,
    pub user_data: u64,
    pub rest: [u64; 3],
}

pub struct Ring {
    pub fd: usize,
    machine: Arc<Machine>,
    params: Params,
    rings: Buffer,
    entries: Buffer,
}

impl Ring {
    pub fn new(machine: &Arc<Machine>, flags: u32) -> Result<Ring, Error> {
        let (rings, entries) = (machine.buffer(16384)?, machine.buffer(4096)?);
        let mut params = Params {
            flags: flags | SETUP_NO_MMAP,
            ..Params::default()
        };
        params.cq.user_addr = rings.as_ptr() as u64;
        params.sq.user_addr = entries.as_ptr() as u64;
        let fd = call(
            machine,
            SETUP,
            &[ENTRIES as usize, &raw mut params as usize],
        )?;
        Ok(Ring {
            fd,
            machine: Arc::clone(machine),
            params,
            rings,
            entries,
        })
    }

    fn word(&self, offset: u32) -> &AtomicU32 {
        // SAFETY: the kernel gave the offset, and uses it as an atomic too.
        unsafe { &*self.rings.as_ptr().byte_add(offset as usize).cast() }
    }

    /// Puts an entry into the submission queue.
    pub fn push(&self, entry: Entry) {
        let tail = self.word(self.params.sq.tail).load(Relaxed);
        let slot = tail & self.word(self.params.sq.mask).load(Relaxed);
        // SAFETY: the slot is not in use: tests push at most 64 at a time.
        unsafe {
            let entries = self.entries.as_ptr().cast_mut().cast::<Entry>();
            entries.add(slot as usize).write_volatile(entry);
        }
        self.word(self.params.sq.array + 4 * slot)
            .store(slot, Relaxed);
        self.word(self.params.sq.tail).store(tail + 1, Release);
    }

    /// Submits `count` entries, and waits for `wanted` completions.
    pub fn enter(&self, count: usize, wanted: usize) -> Result<usize, Error> {
        let args = [self.fd, count, wanted, GETEVENTS, 0, 0];
        call(&self.machine, ENTER, &args)
    }

    /// Takes a completion, if there is one, without a call: user data and result.
    pub fn pop(&self) -> Option<(u64, i32)> {
        let head = self.word(self.params.cq.head).load(Relaxed);
        if head == self.word(self.params.cq.tail).load(Acquire) {
            return None;
        }
        let slot = head & self.word(self.params.cq.mask).load(Relaxed);
        let offset = self.params.cq.dropped_or_cqes + 16 * slot;
        // SAFETY: a completion that the kernel has written.
        let (data, result) = unsafe {
            let completion = self.rings.as_ptr().byte_add(offset as usize);
            (
                completion.cast::<u64>().read_volatile(),
                completion.byte_add(8).cast::<i32>().read_volatile(),
            )
        };
        self.word(self.params.cq.head).store(head + 1, Release);
        Some((data, result))
    }

    /// Waits for a completion without a call.
    pub fn watch(&self) -> (u64, i32) {
        loop {
            if let Some(completion) = self.pop() {
                return completion;
            }
            std::thread::yield_now();
        }
    }

    /// Submits one entry and waits for its completion.
    pub fn run(&self, entry: Entry) -> i32 {
        self.push(entry);
        assert_eq!(self.enter(1, 1).expect("entering"), 1);
        let (data, result) = self.pop().expect("a completion");
        assert_eq!(data, entry.user_data);
        result
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let _ = call(&self.machine, super::common::nr::CLOSE, &[self.fd]);
    }
}

/// An entry that moves `bytes` at `address`.
pub fn transfer(opcode: u8, fd: usize, address: *const u8, len: usize, offset: u64) -> Entry {
    Entry {
        opcode,
        fd: fd as i32,
        offset,
        address: address as u64,
        len: len as u32,
        user_data: offset,
        ..Entry::default()
    }
}
