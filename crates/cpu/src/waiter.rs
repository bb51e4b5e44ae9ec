//! [`Waiter`]: the state of a thread that waits for a CPU.
//!
//! # States
//!
//! ```text
//!            enqueue            first, CPU free          tried in vain, impatient
//!    IDLE ───────────▶ WAITING ────────────────▶ NOTIFIED ─────────────▶ DEMANDING
//!     ▲  ╲              │  ▲                        │ │                      │
//!     │   ╲ hand_over   │  └── tried in vain ───────┘ │ got it               │ release,
//!     │    ╲─────────── │ ────────────────────────────│ ─────▶ DEMANDING     │ hand_over
//!     │                 │ hand_over                   │                      ▼
//!     └─────────────────┴────────── leaves ───────────┴────────────────── GRANTED
//!
//!   any state in the queue ── retire ──▶ HALTED        any ── cancel ──▶ + CANCELLED
//! ```
//!
//! # Who may touch what
//!
//! All transitions except `cancel` are made under the queue's lock, so waiter and
//! releaser agree on them. `cancel` may come at any time and only sets a flag; the waiter
//! itself then leaves the queue.
//!
//! # Memory orders
//!
//! A grant is a Release that pairs with the Acquire in `state`: the kernel's
//! memory is handed over with it.

use crate::Park;
use crate::sync::{
    AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use std::time::Instant;

/// The state of a [`Waiter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Wait {
    /// Not in a queue.
    Idle = 0,
    /// In the queue.
    Waiting = 1,
    /// First in the queue, and told that the CPU is free: tries to take it.
    Notified = 2,
    /// Will be granted the CPU by the next release, if first in the queue.
    Demanding = 3,
    /// Holds the CPU.
    Granted = 4,
    /// The kernel has halted.
    Halted = 5,
}

const CANCELLED: u32 = 8;

/// The word that a thread sleeps on while it waits for a CPU. A thread has one, for all
/// kernels.
#[derive(Debug)]
pub struct Waiter {
    word: AtomicU32,
}

impl Default for Waiter {
    fn default() -> Self {
        Self::new()
    }
}

impl Waiter {
    /// The state of a thread that is in no queue.
    pub fn new() -> Waiter {
        Waiter {
            word: AtomicU32::new(Wait::Idle as u32),
        }
    }

    /// Makes [`Baton::acquire`](crate::Baton::acquire) of the thread return
    /// [`Refused::Cancelled`](crate::Refused::Cancelled) if the thread waits in it. A
    /// signal handler may call this and [`Baton::post_irq`](crate::Baton::post_irq),
    /// nothing else of this crate.
    pub fn cancel(&self, park: &impl Park) {
        let waits = |word| {
            (Wait::Waiting as u32..=Wait::Demanding as u32)
                .contains(&word)
                .then_some(word | CANCELLED)
        };
        // Relaxed: it hands nothing over.
        if self.word.fetch_update(Relaxed, Relaxed, waits).is_ok() {
            park.wake(&self.word);
        }
    }

    /// The state, and whether `cancel` was called.
    pub(crate) fn state(&self) -> (Wait, bool) {
        // Acquire: pairs with the Release in `set`, of a grant.
        let word = self.word.load(Acquire);
        let state = match word & !CANCELLED {
            0 => Wait::Idle,
            1 => Wait::Waiting,
            2 => Wait::Notified,
            3 => Wait::Demanding,
            4 => Wait::Granted,
            _ => Wait::Halted,
        };
        (state, word & CANCELLED != 0)
    }

    /// Changes the state, under the queue's lock. Returns the word to wake once the lock
    /// is released.
    pub(crate) fn set(&self, state: Wait) -> *const AtomicU32 {
        match state {
            // A cancel goes with the wait.
            Wait::Idle | Wait::Granted | Wait::Halted => {
                self.word.swap(state as u32, Release);
            }
            _ => {
                let keep = |word| Some(word & CANCELLED | state as u32);
                let _ = self.word.fetch_update(AcqRel, Acquire, keep);
            }
        }
        &self.word
    }

    /// Sleeps while the state is `state` and `cancel` was not called. Returns true when
    /// `deadline` has passed.
    pub(crate) fn sleep(&self, state: Wait, deadline: Option<Instant>, park: &impl Park) -> bool {
        park.wait(&self.word, state as u32, deadline)
    }
}
