//! [`Completion`]: the word by which a thread waits outside for its call in the kernel.
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
//! The call's result belongs to the kernel until the word says `DONE`, then to the
//! waiter, which may free the word's memory at once. So completing takes two steps. **The
//! holder of the CPU** sets the word, since the kernel cannot end while the CPU is held.
//! Waking the waiter may come later, when the CPU is free: it uses only the word's
//! address, which may be stale by then.
//!
//! # Memory orders
//!
//! `complete` is a Release that pairs with the Acquire in `poll`: a thread that reads
//! `DONE` sees the result.

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

/// The waiter of a completed call, which must be woken.
#[must_use = "it sleeps until it is woken"]
#[derive(Debug)]
pub struct Sleeper(*const AtomicU32);

impl Sleeper {
    /// Wakes the thread. The word's memory may be freed already: only its address is
    /// used.
    pub fn wake(self, park: &impl Park) {
        park.wake(self.0);
    }
}

/// The state of one call, and the word that its thread sleeps on.
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

    /// Sets the outcome, unless one is set. Returns the thread to wake, if it may sleep.
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

    /// Sets [`Outcome::Done`] for a call that the calling thread made itself: no other
    /// thread waits for it, so nobody is woken and no result is published.
    #[inline]
    pub fn complete_own(&self) {
        // Relaxed: the same thread polls.
        self.word.store(DONE, Relaxed);
    }

    /// How the call ended; `None` while it goes on.
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
