//! [`Buffer`]: kernel memory that the program can use.

use super::Machine;
use crate::error::Error;
use crate::memory::lent::{Borrower, Loan};
use crate::thread::deadline::without_deadline;
use drupe_abi::op;
use std::iter;
use std::ops::{Deref, DerefMut, Range};
use std::slice;
use std::sync::Arc;

/// Contiguous, page-aligned memory of a kernel; freed when dropped.
///
/// # Invariants
///
/// `address..address + len` was allocated from `machine`, is freed only when dropped, and
/// stays mapped while the machine lives.
#[derive(Debug)]
pub struct Buffer {
    machine: Arc<Machine>,
    address: *mut u8,
    len: usize,
    /// `None` only while it is dropped.
    loan: Option<Loan>,
}

// SAFETY: plain memory; the kernel does not touch it unless it is passed.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Machine {
    /// Allocates `len` bytes of kernel memory. Calls that pin pages need it, since they
    /// cannot use the program's memory: direct I/O, `MSG_ZEROCOPY`, `vmsplice(2)`, the
    /// rings and fixed buffers of io_uring.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when the kernel has no contiguous piece of that size.
    pub fn buffer(self: &Arc<Self>, len: usize) -> Result<Buffer, Error> {
        Buffer::new(Arc::clone(self), len)
    }

    /// `pread(2)` of `fd` into `buffer[range]`; works with `O_DIRECT`.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    ///
    /// # Panics
    ///
    /// When `range` is not in the buffer, or the buffer another kernel's.
    pub fn pread(
        &self,
        fd: i32,
        buffer: &mut Buffer,
        range: Range<usize>,
        offset: u64,
    ) -> Result<usize, Error> {
        buffer.assert_of(self);
        let piece = &mut buffer[range];
        let args = [
            fd as u64,
            piece.as_mut_ptr() as u64,
            piece.len() as u64,
            offset,
            0,
            0,
        ];
        // SAFETY: the piece is kernel memory, and borrowed for the call.
        unsafe { self.request(op::PREAD, args) }
    }

    /// `pwrite(2)` to `fd` from `buffer[range]`; works with `O_DIRECT`.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    ///
    /// # Panics
    ///
    /// When `range` is not in the buffer, or the buffer another kernel's.
    pub fn pwrite(
        &self,
        fd: i32,
        buffer: &Buffer,
        range: Range<usize>,
        offset: u64,
    ) -> Result<usize, Error> {
        buffer.assert_of(self);
        let piece = &buffer[range];
        let args = [
            fd as u64,
            piece.as_ptr() as u64,
            piece.len() as u64,
            offset,
            0,
            0,
        ];
        // SAFETY: the piece is kernel memory, and borrowed for the call.
        unsafe { self.request(op::PWRITE, args) }
    }
}

impl Buffer {
    fn new(machine: Arc<Machine>, len: usize) -> Result<Buffer, Error> {
        // SAFETY: the argument is a number.
        let address =
            unsafe { machine.request(op::PAGES_ALLOC, [len.max(1) as u64, 0, 0, 0, 0, 0])? };
        let address = address as *mut u8;
        let range = address.addr()..address.addr() + len;
        let memory = &machine.kernel.memory;
        let loan = memory.lend(Borrower::Program, iter::once(range));
        // SAFETY: just allocated, so ours. Instance memory is initialised as far
        // as the machine knows; zeroes keep one program's data from another's.
        unsafe { address.write_bytes(0, len) };
        Ok(Buffer {
            machine,
            address,
            len,
            loan,
        })
    }

    fn assert_of(&self, machine: &Machine) {
        assert!(
            std::ptr::eq(Arc::as_ptr(&self.machine), machine),
            "a buffer of another kernel"
        );
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: by the type's invariant.
        unsafe { slice::from_raw_parts(self.address, self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: by the type's invariant, and borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.address, self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let kernel = &self.machine.kernel;
        if kernel.is_forked() {
            return;
        }
        if let Some(loan) = self.loan.take() {
            kernel.memory.end_loan(loan);
        }
        let args = [self.address as u64, self.len.max(1) as u64, 0, 0, 0, 0];
        // A kernel that has ended has freed everything.
        // SAFETY: nobody refers to the memory any more.
        let free = || unsafe { self.machine.request(op::PAGES_FREE, args) };
        let _ = without_deadline(free);
    }
}
