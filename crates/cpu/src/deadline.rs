//! Who wakes for the deadline of a kernel's timer.
//!
//! # States
//!
//! The kernel sets one deadline at a time. One thread at most, the **leader**, is
//! responsible for it. What it sleeps until is *armed*:
//!
//! ```text
//!                   fall_asleep: nobody guards it       ┌────────────────────┐
//!             ┌────────────────────────────────────────▶│ armed: deadline    │
//!   ┌─────────┴──┐                                      └─────────┬──────────┘
//!   │ AWAKE      │◀───────── awake ───────────────────────────────┤
//!   │ armed: 0   │                                      ┌─────────┴──────────┐
//!   └─────────┬──┘                                      │ armed: deadline +  │
//!             └────────────────────────────────────────▶│ grace, left to its │
//!                   fall_asleep: somebody guards it     │ guard              │
//!                                                       └────────────────────┘
//! ```
//!
//! A thread that waits for the deadline anyway may **guard** it: `NOBODY` ── guard
//! ──▶ one deadline ── unguard ──▶ `NOBODY`.
//!
//! What the leader sleeps on is a word that changes whenever it must look again.
//! Edges that are a reason to do so change it themselves, and leave the waking to
//! their caller ([`Leader::Wake`]).
//!
//! # Who may touch what
//!
//! Whoever runs the kernel sets the deadline; the leader and the guard turn one
//! that has passed into [`EXPIRED`]. What is armed, and what is left to a guard,
//! only the leader writes. Whoever finds no guard becomes it, and only the guard
//! ends that.
//!
//! # Memory orders
//!
//! Two pairs of threads decide by two words each:
//!
//! - `set` stores the deadline and then reads what is armed; `fall_asleep` stores
//!   what is armed and then reads the deadline.
//! - `unguard` stores that nobody guards and then reads what is left to a guard;
//!   `fall_asleep` stores what is left to a guard and then reads who guards.
//!
//! At least one of two sees the other's value, since what one stores first and
//! the other one reads last is exchanged by both. If the leader's exchange is the
//! later one, it finds what was stored; if not, the other's continues it, and so
//! sees what the leader stored before. They are SeqCst like the rest; with AcqRel
//! the models hold too, and with a plain load in place of the leader's they do not.
//!
//! The word changes with a Release, after the reason to look again was stored, and
//! [`Deadline::look`] is the Acquire that precedes the looking.
//!
//! # Races considered
//!
//! A deadline that is replaced and then set once more, while the leader falls
//! asleep, looks to it as if it had stayed. A guard that leaves in between wakes
//! nobody for a deadline that is not the kernel's any more, and `set` wakes nobody
//! who has armed nothing yet. So the leader arms before it looks at the guard, for
//! the last time: if that is still there, it leaves later than all this, or when
//! `set` sees what is armed.
//!
//! A guard that comes too late is not relied on: both wake for the deadline.
//!
//! # Shutdown
//!
//! [`Deadline::call_leader`] is for all other reasons to look again, one of which
//! is the end. A guard's call is abandoned by others.

use crate::sync::{AtomicU32, AtomicU64, Ordering::SeqCst};

/// There is no deadline.
pub const NEVER: u64 = u64::MAX;

/// As good as none: an interrupt has been raised, the kernel's answer to it is
/// not here yet.
pub const EXPIRED: u64 = NEVER - 1;

/// The deadline that nobody guards, or that is left to nobody.
const NOBODY: u64 = 0;

/// What the caller owes to the leader.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leader {
    /// Nothing: it may sleep on, if it does.
    LetSleep,
    /// To wake it: [`Deadline::word`] has changed.
    Wake,
}

/// What the leader does next.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sleep {
    /// Sleep until the deadline, then [`Deadline::awake`].
    UntilDeadline,
    /// Sleep until the end of its guard's grace, then [`Deadline::awake`].
    UntilGrace,
    /// Look again: the kernel has set another deadline.
    LookAgain,
}

/// The right to guard a deadline, and the duty to end that.
#[must_use]
#[derive(Debug)]
pub struct Guarding(u64);

impl Guarding {
    /// The deadline that is guarded.
    pub fn deadline(&self) -> u64 {
        self.0
    }
}

/// The deadline of a kernel's timer, in a clock that only the caller knows.
#[derive(Debug)]
pub struct Deadline {
    /// What the kernel asked for last.
    deadline: AtomicU64,
    /// Until when the leader sleeps: a deadline, or the end of a guard's grace.
    armed: AtomicU64,
    /// The deadline that a guard waits for, or [`NOBODY`].
    guarded: AtomicU64,
    /// The deadline that the leader has left to a guard, or [`NOBODY`].
    left_to_guard: AtomicU64,
    /// Changes whenever the leader must look again; what it sleeps on.
    changed: AtomicU32,
}

impl Default for Deadline {
    fn default() -> Self {
        Self::new()
    }
}

impl Deadline {
    /// There is none yet.
    pub fn new() -> Deadline {
        Deadline {
            deadline: AtomicU64::new(NEVER),
            armed: AtomicU64::new(NEVER),
            guarded: AtomicU64::new(NOBODY),
            left_to_guard: AtomicU64::new(NOBODY),
            changed: AtomicU32::new(0),
        }
    }

    /// What the kernel asked for last, or [`EXPIRED`].
    #[inline]
    pub fn get(&self) -> u64 {
        self.deadline.load(SeqCst)
    }

    /// The kernel asks for `deadline`. Returns what was the deadline before, too.
    pub fn set(&self, deadline: u64) -> (u64, Leader) {
        let before = self.deadline.swap(deadline, SeqCst);
        // A later one the leader finds out when it wakes anyway.
        if deadline < self.armed.load(SeqCst) {
            return (before, self.call_leader());
        }
        (before, Leader::LetSleep)
    }

    /// `deadline` has passed, unless the kernel has set another one meanwhile.
    pub fn expire(&self, deadline: u64) {
        let _ = self
            .deadline
            .compare_exchange(deadline, EXPIRED, SeqCst, SeqCst);
    }

    /// The caller guards `deadline`, unless somebody guards one.
    pub fn guard(&self, deadline: u64) -> Option<Guarding> {
        self.guarded
            .compare_exchange(NOBODY, deadline, SeqCst, SeqCst)
            .is_ok()
            .then_some(Guarding(deadline))
    }

    /// The guard leaves, its deadline met or not.
    pub fn unguard(&self, guarding: &Guarding) -> Leader {
        let &Guarding(deadline) = guarding;
        self.guarded.swap(NOBODY, SeqCst);
        if self.left_to_guard.load(SeqCst) == deadline && self.get() == deadline {
            return self.call_leader();
        }
        Leader::LetSleep
    }

    /// There is another reason for the leader to look again.
    pub fn call_leader(&self) -> Leader {
        self.changed.fetch_add(1, SeqCst);
        Leader::Wake
    }

    /// What the leader sleeps on.
    pub fn word(&self) -> &AtomicU32 {
        &self.changed
    }

    /// The leader is about to look at what there is to do. If there is nothing, it
    /// sleeps while [`Deadline::word`] is still what this returns.
    pub fn look(&self) -> u32 {
        self.changed.load(SeqCst)
    }

    /// The leader, having found `deadline`, is about to sleep until then, or for
    /// `grace` longer, if it may leave the deadline to a guard.
    pub fn fall_asleep(&self, deadline: u64, grace: Option<u64>) -> Sleep {
        if let Some(grace) = grace
            && self.guarded.load(SeqCst) == deadline
        {
            self.left_to_guard.store(deadline, SeqCst);
            self.armed.store(deadline.saturating_add(grace), SeqCst);
            if !still(&self.deadline, deadline) {
                self.awake();
                return Sleep::LookAgain;
            }
            // Last: see the races above.
            if still(&self.guarded, deadline) {
                return Sleep::UntilGrace;
            }
            self.left_to_guard.store(NOBODY, SeqCst);
        }
        self.armed.store(deadline, SeqCst);
        if still(&self.deadline, deadline) {
            return Sleep::UntilDeadline;
        }
        self.awake();
        Sleep::LookAgain
    }

    /// The leader has slept, and will look again.
    pub fn awake(&self) {
        self.armed.store(0, SeqCst);
        self.left_to_guard.store(NOBODY, SeqCst);
    }
}

/// Whether `word` is still `value`: a read that is also a store, so that an
/// exchange which comes later continues it.
fn still(word: &AtomicU64, value: u64) -> bool {
    word.compare_exchange(value, value, SeqCst, SeqCst).is_ok()
}
