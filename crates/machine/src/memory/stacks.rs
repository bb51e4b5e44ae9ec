//! The stacks that a kernel's tasks run on.
//!
//! They are no part of the kernel's RAM: a stack has to have room for the signal
//! handlers of the program, which run on whatever stack a thread is on, and RAM
//! that is set aside for that would be lost. Here a page that nothing ever
//! touched costs nothing.
//!
//! ```text
//!   │ guard │ stack, grows down ◀─── end │ guard │ stack ◀─── end │ …
//!     4 KiB    STACK_SIZE
//! ```
//!
//! The page below each stack is not accessible: what overflows faults, instead of
//! overwriting a neighbour. A guard costs no mapping where the host has
//! `MADV_GUARD_INSTALL` (Linux 6.13), and two elsewhere.

use crate::instance::lock;
use drupe_abi::STACK_SIZE;
use rustix::io::Errno;
use rustix::mm::{Advice, MprotectFlags, madvise, mprotect};
use std::sync::Mutex;

/// Bytes below each stack that cannot be accessed.
const GUARD: usize = 4096;

/// From one stack to the next.
const STRIDE: usize = STACK_SIZE + GUARD;

/// Stacks that a kernel can have; its address space is reserved.
const MAX_STACKS: usize = 8192;

/// Bytes of address space for all of them.
pub(super) const STACKS_SIZE: usize = MAX_STACKS * STRIDE;

/// Stacks that become accessible at a time.
const BATCH: usize = 64;

/// Free stacks that keep the pages that they have.
const MAX_WARM: usize = 32;

/// `MADV_GUARD_INSTALL` of `madvise(2)`, which no C library knows yet.
const GUARD_INSTALL: i32 = 102;

/// The stacks of one kernel.
///
/// # Invariants
///
/// `base..base + STACKS_SIZE` is reserved, and used by nothing else. The first
/// `prepared` stacks are accessible, with their guards.
#[derive(Debug)]
pub(super) struct Stacks {
    base: *mut u8,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    prepared: usize,
    /// By number; the last one is taken next, since its pages may be there.
    free: Vec<usize>,
}

impl Stacks {
    /// Of a reservation that begins at `base`.
    pub(super) fn new(base: *mut u8) -> Stacks {
        Stacks {
            base,
            state: Mutex::default(),
        }
    }

    /// The end of a stack that nobody uses.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when there is none, or when the host has no room for another
    /// mapping.
    pub(super) fn alloc(&self) -> Result<*mut u8, Errno> {
        let mut state = lock(&self.state);
        if state.free.is_empty() {
            self.prepare(&mut state)?;
        }
        let number = state.free.pop().ok_or(Errno::NOMEM)?;
        Ok(self.base.wrapping_add((number + 1) * STRIDE))
    }

    /// Nobody uses the stack that ends at `end` any more.
    pub(super) fn free(&self, end: *mut u8) {
        let number = (end as usize - self.base as usize) / STRIDE - 1;
        let mut state = lock(&self.state);
        if state.free.len() >= MAX_WARM {
            let start = end.wrapping_sub(STACK_SIZE);
            // If that fails, the pages stay.
            // SAFETY: a stack of ours that nobody uses.
            let _ = unsafe { madvise(start.cast(), STACK_SIZE, Advice::LinuxDontNeed) };
        }
        state.free.push(number);
    }

    /// Bytes between `sp`, an address in one of the stacks, and the guard below.
    pub(super) fn room(&self, sp: usize) -> usize {
        ((sp - self.base as usize) % STRIDE).saturating_sub(GUARD)
    }

    /// Makes some more accessible.
    fn prepare(&self, state: &mut State) -> Result<(), Errno> {
        let first = state.prepared;
        let count = BATCH.min(MAX_STACKS - first);
        let start = self.base.wrapping_add(first * STRIDE);
        let access = MprotectFlags::READ | MprotectFlags::WRITE;
        // SAFETY: reserved for this, and not in use yet.
        unsafe { mprotect(start.cast(), count * STRIDE, access)? };
        for number in 0..count {
            let guard = start.wrapping_add(number * STRIDE).cast();
            // SAFETY: as above.
            unsafe {
                if libc::madvise(guard, GUARD, GUARD_INSTALL) != 0 {
                    mprotect(guard, GUARD, MprotectFlags::empty())?;
                }
            }
        }
        state.prepared += count;
        state.free.extend((first..first + count).rev());
        Ok(())
    }
}
