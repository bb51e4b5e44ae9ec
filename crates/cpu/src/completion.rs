//! A call that is in the kernel, and the thread that waits for it outside.
//!
//! # States
//!
//! ```text
//!   PENDING ──wait──▶ WAITING
//!      │                 │
//!      └────complete─────┴──▶ DONE or ABANDONED   (and wake, if it was WAITING)
//! ```
//!
//! The first `complete` counts.
//!
//! # Who may touch what
//!
//! The call's result belongs to the kernel until the word says `DONE`, then to
//! the waiter, which may let go of the word's memory at once. So `complete` is
//! two steps: the word is set **by the holder of the CPU**, while the kernel
//! cannot end under it; waking needs nothing but the word's address, which may
//! be stale by then, and may come later, when the CPU is free.
//!
//! # Memory orders
//!
//! `complete` is a Release that pairs with the Acquire in `poll`: the result is
//! visible to whom the word says so.

use crate::sync::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::{Park, Spin};
use std::time::Instant;

const PENDING: u32 = 0;
const WAITING: u32 = 1;
const DONE: u32 = 2;
const ABANDONED: u32 = 3;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The kernel completed it; the result is valid.
    Done,
    /// The kernel stopped first; it will never touch the call again.
    Abandoned,
}

/// A thread that may sleep, and has nothing to sleep for any more.
#[must_use = "it sleeps until it is woken"]
#[derive(Debug)]
pub struct Sleeper(*const AtomicU32);

impl Sleeper {
    /// Wakes it. Its word may be gone: only the address is used.
    pub fn wake(self, park: &impl Park) {
        park.wake(self.0);
    }
}

/// The word between a call and its waiter.
#[derive(Debug)]
pub struct Completion {
    word: AtomicU32,
}

impl Default for Completion {
    fn default() -> Self {
        Self::new()
    }
}

impl Completion {
    /// A call that has not completed.
    pub fn new() -> Self {
        Completion {
            word: AtomicU32::new(PENDING),
        }
    }

    /// Tells the waiter how the call ended, unless it knows. Returns whom to
    /// wake.
    pub fn complete(&self, outcome: Outcome) -> Option<Sleeper> {
        let value = match outcome {
            Outcome::Done => DONE,
            Outcome::Abandoned => ABANDONED,
        };
        let end = |word| (word == PENDING || word == WAITING).then_some(value);
        // Release: pairs with the Acquire load in `poll`. Relaxed: a failure
        // reads nothing but the word.
        let before = self.word.fetch_update(Release, Relaxed, end);
        (before == Ok(WAITING)).then_some(Sleeper(&self.word))
    }

    /// The thread that made the call, and runs the kernel, has completed it
    /// itself: nobody waits, and there is nobody to hand the result to.
    #[inline]
    pub fn complete_own(&self) {
        // Relaxed: the same thread polls.
        self.word.store(DONE, Relaxed);
    }

    /// How the call ended, if it has.
    #[inline]
    pub fn poll(&self) -> Option<Outcome> {
        match self.word.load(Acquire) {
            DONE => Some(Outcome::Done),
            ABANDONED => Some(Outcome::Abandoned),
            _ => None,
        }
    }

    /// Waits until the call has ended, or `deadline` has passed: `None`.
    pub fn wait(
        &self,
        spin: &Spin,
        deadline: Option<Instant>,
        park: &impl Park,
    ) -> Option<Outcome> {
        let in_vain = match spin.until(|| self.poll()) {
            Ok(outcome) => return Some(outcome),
            Err(in_vain) => in_vain,
        };
        // Relaxed: a failure means that it has ended, or that we were here
        // before; `poll` reads which.
        let _ = self
            .word
            .compare_exchange(PENDING, WAITING, Relaxed, Relaxed);
        loop {
            if let Some(outcome) = self.poll() {
                spin.learn(&in_vain);
                return Some(outcome);
            }
            if park.wait(&self.word, WAITING, deadline) {
                return self.poll();
            }
        }
    }
}
