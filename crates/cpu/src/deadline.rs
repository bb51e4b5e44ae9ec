//! [`Deadline`]: the deadline of a kernel's timer, and which thread wakes for it.
//!
//! # States
//!
//! The kernel sets one deadline at a time. At most one thread, the **leader**, is
//! responsible for it. The time that the leader sleeps until is called *armed*:
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
//! The leader sleeps on a word that changes whenever it must look for work again. Each
//! transition that is a reason to look changes the word itself, and tells its caller to
//! wake the leader ([`Leader::Wake`]).
//!
//! # Who may touch what
//!
//! The thread that runs the kernel sets the deadline; the leader and the guard change a
//! deadline that has passed to [`EXPIRED`]. Only the leader writes `armed` and
//! `left_to_guard`. Any thread that finds no guard may become the guard, and only the
//! guard itself ends that.
//!
//! # Memory orders
//!
//! Two pairs of operations each use two words:
//!
//! - `set` stores the deadline and then reads what is armed; `fall_asleep` stores
//!   what is armed and then reads the deadline.
//! - `unguard` stores that nobody guards and then reads what is left to a guard;
//!   `fall_asleep` stores what is left to a guard and then reads who guards.
//!
//! In each pair, at least one operation sees the other's value, because both use an
//! exchange on the word that one stores first and the other reads last. If the leader's
//! exchange is the later one, it returns what the other thread stored. If it is the
//! earlier one, the other thread's exchange reads from it, and so sees what the leader
//! stored before. All are SeqCst. The loom models also hold with AcqRel, but fail with a
//! plain load in place of the leader's exchange.
//!
//! The word is changed with a Release, after the reason to look again was stored. It
//! pairs with the Acquire in [`Deadline::look`], which the leader calls before it looks.
//!
//! # Races considered
//!
//! While the leader falls asleep, the kernel may replace a deadline and then set the old
//! one again; the leader does not notice. A guard that leaves in between does not wake
//! the leader, since its deadline was not the kernel's at that moment, and `set` does not
//! wake a leader that has armed nothing yet. So the leader arms first and looks at the
//! guard last: a guard that is still there then leaves after the leader has armed, and at
//! that point `set` or `unguard` sees it.
//!
//! If a guard comes after the leader's last look, the leader does not rely on it: both
//! wake for the deadline.
//!
//! # Shutdown
//!
//! [`Deadline::call_leader`] makes the leader look again for any other reason, such as
//! the kernel's end. The call that a guard waits in is abandoned like any blocked call
//! (`completion.rs`).

use crate::sync::{AtomicU32, AtomicU64, Ordering::SeqCst};

/// There is no deadline.
pub const NEVER: u64 = u64::MAX;

/// The deadline has passed and its interrupt was raised, but the kernel has not set the
/// next deadline yet. Nobody sleeps for it.
pub const EXPIRED: u64 = NEVER - 1;

/// The value of `guarded` without a guard, and of `left_to_guard` when nothing is left to
/// one.
const NOBODY: u64 = 0;

/// What the caller must do for the leader.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leader {
    /// Nothing: the leader may sleep on.
    LetSleep,
    /// Wake the leader: [`Deadline::word`] has changed.
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

/// The right to guard a deadline, from [`Deadline::guard`] until [`Deadline::unguard`],
/// which must be called.
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
    /// The deadline that the kernel has set last.
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
    /// The timer of a kernel that has set no deadline yet.
    pub fn new() -> Deadline {
        Deadline {
            deadline: AtomicU64::new(NEVER),
            armed: AtomicU64::new(NEVER),
            guarded: AtomicU64::new(NOBODY),
            left_to_guard: AtomicU64::new(NOBODY),
            changed: AtomicU32::new(0),
        }
    }

    /// The deadline that the kernel has set last, or [`EXPIRED`].
    #[inline]
    pub fn get(&self) -> u64 {
        self.deadline.load(SeqCst)
    }

    /// Sets the kernel's deadline. Returns the previous one, and what to do for the
    /// leader.
    pub fn set(&self, deadline: u64) -> (u64, Leader) {
        let before = self.deadline.swap(deadline, SeqCst);
        // A later one the leader finds out when it wakes anyway.
        if deadline < self.armed.load(SeqCst) {
            return (before, self.call_leader());
        }
        (before, Leader::LetSleep)
    }

    /// Marks `deadline` as [`EXPIRED`], unless the kernel has set another one meanwhile.
    pub fn expire(&self, deadline: u64) {
        let _ = self
            .deadline
            .compare_exchange(deadline, EXPIRED, SeqCst, SeqCst);
    }

    /// Makes the caller the guard of `deadline`. `None`: there is a guard already.
    pub fn guard(&self, deadline: u64) -> Option<Guarding> {
        self.guarded
            .compare_exchange(NOBODY, deadline, SeqCst, SeqCst)
            .is_ok()
            .then_some(Guarding(deadline))
    }

    /// Ends the guarding, whether the deadline has passed or not.
    pub fn unguard(&self, guarding: &Guarding) -> Leader {
        let &Guarding(deadline) = guarding;
        self.guarded.swap(NOBODY, SeqCst);
        if self.left_to_guard.load(SeqCst) == deadline && self.get() == deadline {
            return self.call_leader();
        }
        Leader::LetSleep
    }

    /// Makes the leader look again for a reason other than the deadline.
    pub fn call_leader(&self) -> Leader {
        self.changed.fetch_add(1, SeqCst);
        Leader::Wake
    }

    /// The word that the leader sleeps on.
    pub fn word(&self) -> &AtomicU32 {
        &self.changed
    }

    /// Called by the leader before it looks for work. If it finds none, it sleeps as long
    /// as [`Deadline::word`] still has the value that this returned.
    pub fn look(&self) -> u32 {
        self.changed.load(SeqCst)
    }

    /// Called by the leader before it sleeps until `deadline`, which it has read. With
    /// `grace` it may leave the deadline to a guard and sleep for that much longer.
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

    /// Called by the leader after it has slept, before it looks again.
    pub fn awake(&self) {
        self.armed.store(0, SeqCst);
        self.left_to_guard.store(NOBODY, SeqCst);
    }
}

/// Whether `word` still holds `value`. This is an exchange, so that a later exchange of
/// another thread reads from it (see *Memory orders*).
fn still(word: &AtomicU64, value: u64) -> bool {
    word.compare_exchange(value, value, SeqCst, SeqCst).is_ok()
}
