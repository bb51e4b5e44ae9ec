//! A call that is in the kernel, and the thread that waits for it outside.
//!
//! # States
//!
//! ```text
//!   PENDING ──wait──▶ WAITING
//!      │                 │
//!      └────publish──────┴──▶ DONE or ABANDONED   (publish wakes a waiter)
//! ```
//!
//! The first `publish` counts: a kernel that stops abandons all calls that it
//! finds waiting, also one whose end another thread has published just before.
//!
//! # Who may touch what
//!
//! The call's result belongs to the kernel until the word says `DONE`, then to
//! the waiter. The waiter owns the memory of the call and may reuse it as soon
//! as it has seen `DONE` or `ABANDONED`: `publish` touches nothing but the
//! word's address after that, which a futex wake allows to be gone.
//!
//! # Memory orders
//!
//! `publish` is a Release that pairs with the Acquire in `wait` and `poll`:
//! the result is visible to whom the word says so.

use crate::Park;
use crate::sync::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
    spin_loop,
};

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

    /// Tells the waiter how the call ended, unless it knows; wakes it if it
    /// sleeps.
    pub fn publish(&self, outcome: Outcome, park: &impl Park) {
        let value = match outcome {
            Outcome::Done => DONE,
            Outcome::Abandoned => ABANDONED,
        };
        // Release: pairs with the Acquire load in `poll`. Relaxed: a failure
        // reads nothing but the word.
        let end = |word| (word == PENDING || word == WAITING).then_some(value);
        if self.word.fetch_update(Release, Relaxed, end) == Ok(WAITING) {
            park.wake_one(&self.word);
        }
    }

    /// How the call ended, if it has.
    pub fn poll(&self) -> Option<Outcome> {
        match self.word.load(Acquire) {
            DONE => Some(Outcome::Done),
            ABANDONED => Some(Outcome::Abandoned),
            _ => None,
        }
    }

    /// Waits until the call has ended, looking `spins` times before sleeping.
    pub fn wait(&self, spins: u32, park: &impl Park) -> Outcome {
        for _ in 0..spins {
            if let Some(outcome) = self.poll() {
                return outcome;
            }
            spin_loop();
        }
        // Relaxed: a failure means that it has ended, which `poll` reads.
        let _ = self
            .word
            .compare_exchange(PENDING, WAITING, Relaxed, Relaxed);
        loop {
            if let Some(outcome) = self.poll() {
                return outcome;
            }
            park.wait(&self.word, WAITING);
        }
    }
}
