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

use super::budget::Count;
use super::mapping::Reservation;
use crate::sync::lock;
use drupe_abi::STACK_SIZE;
use rustix::io::Errno;
use std::ops::Range;
use std::sync::Mutex;

/// Bytes below each stack that cannot be accessed.
const GUARD: usize = 4096;

/// From one stack to the next.
const STRIDE: usize = STACK_SIZE + GUARD;

/// Stacks that a kernel can have; its address space is reserved.
const MAX_STACKS: usize = 8192;

/// Bytes of address space for all of them.
pub(super) const STACKS_SIZE: usize = MAX_STACKS * STRIDE;

/// Stacks that become accessible at a time: the first ones, and where each takes
/// mappings of its own.
const FEW: usize = 8;

/// Later ones, where they do not.
const BATCH: usize = 64;

/// Free stacks that keep the pages that they have.
const MAX_WARM: usize = 32;

/// The stacks of one kernel.
///
/// # Invariants
///
/// `STACKS_SIZE` bytes at `offset` of the kernel's reservation, which is given to
/// each method, are used by nothing else. The first `prepared` stacks are
/// accessible, with their guards.
#[derive(Debug)]
pub(super) struct Stacks {
    /// Where they begin: from the base of the reservation.
    offset: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    prepared: usize,
    /// By number; the last one is taken next, since its pages may be there.
    free: Vec<usize>,
    /// Mappings that guards take.
    count: Count,
}

impl Stacks {
    /// Of a reservation, from `offset` on.
    pub(super) fn new(offset: usize) -> Stacks {
        Stacks {
            offset,
            state: Mutex::default(),
        }
    }

    /// Where the guard of a stack begins, and the stack behind it.
    fn start(&self, number: usize) -> usize {
        self.offset + number * STRIDE
    }

    /// The end of a stack that nobody uses.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when there is none, or when the host has no room for another
    /// mapping.
    pub(super) fn alloc(&self, space: &Reservation) -> Result<*mut u8, Errno> {
        let mut state = lock(&self.state);
        if state.free.is_empty() {
            self.prepare(space, &mut state)?;
        }
        let number = state.free.pop().ok_or(Errno::NOMEM)?;
        Ok(space.at(self.start(number + 1)))
    }

    /// Nobody uses the stack that ends at `end` any more.
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

    /// Bytes between `offset`, which is in one of the stacks, and the guard below.
    pub(super) fn room(&self, offset: usize) -> usize {
        ((offset - self.offset) % STRIDE).saturating_sub(GUARD)
    }

    /// Numbers of the stacks that somebody uses, in order.
    pub(super) fn in_use(&self) -> Vec<usize> {
        let state = lock(&self.state);
        let used = |number: &usize| !state.free.contains(number);
        (0..state.prepared).filter(used).collect()
    }

    /// What can be used of a stack, in bytes from the base of the reservation.
    pub(super) fn range(&self, number: usize) -> Range<usize> {
        self.start(number) + GUARD..self.start(number + 1)
    }

    /// Makes those in `used`, in order, accessible and in use, and some more
    /// accessible. There are no others yet.
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

    /// Makes some more accessible.
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
