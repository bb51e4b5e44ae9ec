//! [`Stacks`]: the stacks of a kernel's tasks.
//!
//! They are not part of the kernel's RAM. A stack needs room for signal handlers of the
//! program, which run on the stack that the thread is on. In RAM that room would be
//! taken; here a page that was never touched costs nothing.
//!
//! ```text
//!   │ guard │ stack, grows down ◀─── end │ guard │ stack ◀─── end │ …
//!     4 KiB    STACK_SIZE
//! ```
//!
//! The page below each stack, its guard, is not accessible: an overflow faults instead of
//! overwriting the next stack. A guard costs no mapping where the host has
//! `MADV_GUARD_INSTALL` (Linux 6.13), and two elsewhere.

use super::budget::Count;
use super::mapping::Reservation;
use crate::sync::lock;
use drupe_abi::STACK_SIZE;
use rustix::io::Errno;
use std::ops::Range;
use std::sync::Mutex;

/// Bytes below each stack that cannot be accessed.
const GUARD: usize = 4096;

/// Bytes from one stack to the next.
const STRIDE: usize = STACK_SIZE + GUARD;

/// How many stacks a kernel can have; their address space is reserved.
const MAX_STACKS: usize = 8192;

/// Bytes of address space for all of them.
pub(super) const STACKS_SIZE: usize = MAX_STACKS * STRIDE;

/// How many stacks are made accessible at a time: for the first ones, and where guards
/// take mappings.
const FEW: usize = 8;

/// How many later ones are, where guards take no mappings.
const BATCH: usize = 64;

/// How many free stacks keep their memory.
const MAX_WARM: usize = 32;

/// The stacks of one kernel.
///
/// # Invariants
///
/// Nothing else uses the `STACKS_SIZE` bytes at `offset` of the kernel's reservation,
/// which each method is given. The first `prepared` stacks are accessible, with their
/// guards.
#[derive(Debug)]
pub(super) struct Stacks {
    /// Where the stacks begin, in bytes from the base of the reservation.
    offset: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    prepared: usize,
    /// Numbers of free stacks. The last one is used next, since it may have memory still.
    free: Vec<usize>,
    /// The number of mappings that guards use.
    count: Count,
}

impl Stacks {
    /// The stacks at `offset` of a reservation; none is accessible yet.
    pub(super) fn new(offset: usize) -> Stacks {
        Stacks {
            offset,
            state: Mutex::default(),
        }
    }

    /// The offset of a stack's guard, which the stack follows.
    fn start(&self, number: usize) -> usize {
        self.offset + number * STRIDE
    }

    /// Takes a free stack. Returns its end, from where it grows down.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when all are in use, or the host allows no more mappings.
    pub(super) fn alloc(&self, space: &Reservation) -> Result<*mut u8, Errno> {
        let mut state = lock(&self.state);
        if state.free.is_empty() {
            self.prepare(space, &mut state)?;
        }
        let number = state.free.pop().ok_or(Errno::NOMEM)?;
        Ok(space.at(self.start(number + 1)))
    }

    /// Frees the stack that ends at `end`.
    pub(super) fn free(&self, space: &Reservation, end: *mut u8) {
        let end = end.addr() - space.base().addr();
        let number = (end - self.offset) / STRIDE - 1;
        let mut state = lock(&self.state);
        if state.free.len() >= MAX_WARM {
            // SAFETY: a stack of ours that nobody uses.
            unsafe { space.discard(end - STACK_SIZE..end) };
        }
        state.free.push(number);
    }

    /// Bytes between `offset`, which is in a stack, and the guard below.
    pub(super) fn room(&self, offset: usize) -> usize {
        ((offset - self.offset) % STRIDE).saturating_sub(GUARD)
    }

    /// Numbers of the stacks in use, in order.
    pub(super) fn in_use(&self) -> Vec<usize> {
        let state = lock(&self.state);
        let used = |number: &usize| !state.free.contains(number);
        (0..state.prepared).filter(used).collect()
    }

    /// The usable range of a stack, in bytes from the base of the reservation.
    pub(super) fn range(&self, number: usize) -> Range<usize> {
        self.start(number) + GUARD..self.start(number + 1)
    }

    /// Makes the stacks `used` (sorted) accessible and in use, and some more accessible.
    /// Must be called before any other method.
    pub(super) fn restore(
        &self,
        space: &Reservation,
        used: impl Iterator<Item = usize>,
    ) -> Result<(), Errno> {
        let used: Vec<usize> = used.collect();
        let mut state = lock(&self.state);
        let last = used.last().map_or(0, |last| last + 1);
        self.prepare_some(space, &mut state, last + FEW)?;
        state
            .free
            .retain(|number| used.binary_search(number).is_err());
        Ok(())
    }

    /// Makes some more stacks accessible.
    fn prepare(&self, space: &Reservation, state: &mut State) -> Result<(), Errno> {
        let cheap = state.prepared > 0 && state.count.get() == 0;
        self.prepare_some(space, state, if cheap { BATCH } else { FEW })
    }

    fn prepare_some(
        &self,
        space: &Reservation,
        state: &mut State,
        count: usize,
    ) -> Result<(), Errno> {
        let first = state.prepared;
        let next = (first + count).min(MAX_STACKS);
        // SAFETY: reserved for this, and not in use yet.
        unsafe {
            space.open(self.start(first)..self.start(next))?;
            for number in first..next {
                let guard = self.start(number);
                if space.guard(guard..guard + GUARD)? {
                    state.count.change(0, 2);
                }
            }
        }
        state.prepared = next;
        state.free.extend((first..next).rev());
        Ok(())
    }
}
