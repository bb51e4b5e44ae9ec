//! The state word of a CPU: its flags, and one method per transition.
//!
//! # States
//!
//! Three flags, of which these combinations occur:
//!
//! ```text
//!               try_acquire, post                 enqueue
//!      FREE ─────────────────────▶ HELD ───────────────────────▶ HELD + QUEUED
//!       ▲                           │ │                            │  │   ▲
//!       └───────── release ─────────┘ │          free, keep queue  │  │   │ try_acquire,
//!                                     │       FREE + QUEUED ◀──────┘  │   │ post
//!                                     │             └──────────────── │ ──┘
//!                                     └───────▶ HALTED ◀──────────────┘
//!                                       retire          retire
//! ```
//!
//! - `HELD`: one thread may be inside the kernel.
//! - `QUEUED`: the queue has waiters; a release must look at it. Set
//!   and cleared only under the queue's lock.
//! - `HALTED`: no thread goes inside again. Final, regardless of the other flags.
//!
//! No code outside of this file loads or stores the word.

use crate::sync::{AtomicU32, Ordering::SeqCst};

const HELD: u32 = 1;
const QUEUED: u32 = 2;
const HALTED: u32 = 4;

/// The value of the state word at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot(u32);

impl Snapshot {
    /// The CPU is not held, and not halted.
    pub(crate) fn is_free(self) -> bool {
        self.0 & (HELD | HALTED) == 0
    }

    /// The queue is not empty.
    pub(crate) fn is_queued(self) -> bool {
        self.0 & QUEUED != 0
    }

    pub(crate) fn is_halted(self) -> bool {
        self.0 & HALTED != 0
    }
}

/// The result of an attempt to take the CPU.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acquired {
    /// The CPU was free; now the caller holds it.
    Taken,
    /// Another thread holds the CPU. That thread looks at the pending word after it has
    /// released.
    HeldByAnother,
    /// The CPU was retired: no thread will hold it again.
    Halted,
}

/// The state word. All operations are SeqCst; `baton.rs` names their partners.
#[derive(Debug)]
pub(crate) struct State(AtomicU32);

impl State {
    /// `FREE`.
    pub(crate) fn new() -> State {
        State(AtomicU32::new(0))
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot(self.0.load(SeqCst))
    }

    /// FREE → HELD, if the queue is empty: the usual way of a call.
    #[inline]
    pub(crate) fn acquire_unqueued(&self) -> bool {
        self.0.compare_exchange(0, HELD, SeqCst, SeqCst).is_ok()
    }

    /// FREE → HELD, with or without a queue. Wait-free, so that a signal handler may use
    /// it: it is one instruction that sets `HELD` and returns the old word, and one load.
    /// Setting `HELD` twice changes nothing, and `HALTED` wins over `HELD`.
    pub(crate) fn acquire(&self) -> Acquired {
        // Only the one bit is looked at, or this would be a loop.
        let was_held = self.0.fetch_or(HELD, SeqCst) & HELD != 0;
        // `retire` may have come before; who holds it then is of no interest.
        if self.snapshot().is_halted() {
            Acquired::Halted
        } else if was_held {
            Acquired::HeldByAnother
        } else {
            Acquired::Taken
        }
    }

    /// HELD → FREE, if the queue is empty.
    #[inline]
    pub(crate) fn release_unqueued(&self) -> bool {
        self.0.compare_exchange(HELD, 0, SeqCst, SeqCst).is_ok()
    }

    /// HELD → FREE; the queue stays. Under the queue's lock.
    pub(crate) fn release(&self) {
        self.0.fetch_and(!HELD, SeqCst);
    }

    /// FREE → HELD, else HELD → HELD + QUEUED: then the caller must join the queue. Under
    /// the queue's lock.
    pub(crate) fn acquire_or_enqueue(&self) -> Acquired {
        let next = |word| match Snapshot(word) {
            now if now.is_halted() => None,
            now if now.is_free() => Some(word | HELD),
            _ => Some(word | QUEUED),
        };
        match self.0.fetch_update(SeqCst, SeqCst, next).map(Snapshot) {
            Ok(before) if before.is_free() => Acquired::Taken,
            Ok(_) => Acquired::HeldByAnother,
            Err(_) => Acquired::Halted,
        }
    }

    /// Clears `QUEUED` when the queue has become empty. Under its lock.
    pub(crate) fn unqueue(&self) {
        self.0.fetch_and(!QUEUED, SeqCst);
    }

    /// HELD → HALTED.
    pub(crate) fn retire(&self) {
        self.0.swap(HALTED, SeqCst);
    }
}
