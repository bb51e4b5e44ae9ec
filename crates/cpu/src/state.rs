//! The baton: who may be inside the kernel on one CPU.
//!
//! # States
//!
//! ```text
//!                 acquire                    acquire, by a second thread
//!        ┌─────────────────────────┐      ┌──────────────────────────────┐
//!        │                         ▼      │                              ▼
//!   ┌────────┐                  ┌────────┐                        ┌─────────────┐
//!   │  FREE  │                  │  HELD  │                        │  CONTENDED  │
//!   └────────┘                  └────────┘                        └─────────────┘
//!        ▲       release           │  │        release, wake one         │  │
//!        ├─────────────────────────┘  │                                  │  │
//!        └────────────────────────────┼──────────────────────────────────┘  │
//!                                     │ retire, wake all                    │
//!                                     ▼                                     │
//!                                 ┌────────┐        retire, wake all        │
//!                                 │ HALTED │ ◀──────────────────────────────┘
//!                                 └────────┘
//! ```
//!
//! - `FREE`: nobody is inside.
//! - `HELD`: one thread is inside, nobody waits.
//! - `CONTENDED`: one thread is inside, others may sleep on the word.
//! - `HALTED`: nobody ever goes inside again. Final.
//!
//! # Who may touch what
//!
//! Only the thread that took the word out of `FREE` may release or retire it,
//! and only between the two may it enter the kernel. The pending word of
//! interrupts lives in the kernel's memory; any thread sets bits in it, only
//! the holder (the kernel itself) clears them.
//!
//! # Interrupts are never lost
//!
//! [`Cpu::post_irq`] sets the bit, *then* tries to take the CPU.
//! [`Cpu::release`] frees the CPU, *then* looks at the pending word. Both sides
//! are sequentially consistent, so at least one of them sees what the other
//! did: either the poster gets the CPU and runs the handler, or the releaser
//! sees the bit and takes the CPU back. A holder that has not released yet is
//! covered by its release.
//!
//! # Memory orders
//!
//! Taking the word out of `FREE` is an Acquire that pairs with the Release of
//! the release before it: the kernel's state is handed over with the baton.
//! Both are SeqCst operations, because the argument above needs a single total
//! order with the pending word.

use crate::Park;
use crate::sync::{AtomicU32, AtomicU64, Ordering::SeqCst, spin_loop};

const FREE: u32 = 0;
const HELD: u32 = 1;
const CONTENDED: u32 = 2;
const HALTED: u32 = 3;

/// Looks at the word this often before sleeping: short calls end sooner than
/// a sleep would.
const SPINS: u32 = if cfg!(loom) { 0 } else { 100 };

/// The kernel has halted: nobody will hold this CPU again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Halted;

/// What the caller of [`Cpu::post_irq`] must do.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostIrq {
    /// The caller now holds the CPU: enter the kernel, then release.
    Enter,
    /// The thread that holds the CPU handles it; nothing to do.
    Left,
    /// The kernel has halted; the interrupt is void.
    Halted,
}

/// What the caller of [`Cpu::release`] must do.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The CPU is no longer the caller's.
    Released,
    /// An interrupt was posted meanwhile and the caller holds the CPU again:
    /// enter the kernel, then release.
    Enter,
}

/// The baton of one CPU.
///
/// # Invariants
///
/// At most one thread is between a successful `acquire` (or an outcome
/// `Enter`) and the following `release` or `retire`.
#[derive(Debug)]
pub struct Cpu {
    word: AtomicU32,
}

impl Default for Cpu {
    fn default() -> Self {
        Self::new()
    }
}

impl Cpu {
    /// A CPU that nobody holds.
    pub fn new() -> Self {
        Cpu {
            word: AtomicU32::new(FREE),
        }
    }

    /// FREE → HELD, or nothing.
    fn try_acquire(&self) -> bool {
        self.word
            .compare_exchange(FREE, HELD, SeqCst, SeqCst)
            .is_ok()
    }

    /// Waits until the CPU is the caller's.
    ///
    /// # Errors
    ///
    /// [`Halted`] when the CPU was retired, before or while waiting.
    #[inline]
    pub fn acquire(&self, park: &impl Park) -> Result<(), Halted> {
        if self.try_acquire() {
            return Ok(());
        }
        self.acquire_contended(park)
    }

    #[cold]
    fn acquire_contended(&self, park: &impl Park) -> Result<(), Halted> {
        for _ in 0..SPINS {
            spin_loop();
            if self.word.load(SeqCst) == FREE && self.try_acquire() {
                return Ok(());
            }
        }
        loop {
            // From here on we leave the word CONTENDED when we get the CPU:
            // there may be others asleep, and a wake too many is harmless.
            match self.mark_contended() {
                FREE => return Ok(()),
                HALTED => return Err(Halted),
                _ => park.wait(&self.word, CONTENDED),
            }
        }
    }

    /// FREE, HELD → CONTENDED; returns the state before.
    fn mark_contended(&self) -> u32 {
        let mut seen = self.word.load(SeqCst);
        loop {
            if seen == HALTED || seen == CONTENDED {
                return seen;
            }
            match self.word.compare_exchange(seen, CONTENDED, SeqCst, SeqCst) {
                Ok(_) => return seen,
                Err(now) => seen = now,
            }
        }
    }

    /// HELD, CONTENDED → FREE. `pending` is the CPU's pending interrupt word.
    #[inline]
    pub fn release(&self, pending: &AtomicU64, park: &impl Park) -> Release {
        if self.word.swap(FREE, SeqCst) == CONTENDED {
            park.wake_one(&self.word);
        }
        // Pairs with the fetch_or in `post_irq`.
        if pending.load(SeqCst) != 0 && self.try_acquire() {
            return Release::Enter;
        }
        Release::Released
    }

    /// Posts the interrupt `line` (0 to 63) into `pending`, from any thread.
    pub fn post_irq(&self, pending: &AtomicU64, line: u32) -> PostIrq {
        // Pairs with the load in `release`.
        pending.fetch_or(1 << line, SeqCst);
        match self.word.compare_exchange(FREE, HELD, SeqCst, SeqCst) {
            Ok(_) => PostIrq::Enter,
            Err(HALTED) => PostIrq::Halted,
            Err(_) => PostIrq::Left,
        }
    }

    /// HELD, CONTENDED → HALTED: the holder will not enter again, nor will
    /// anybody else.
    pub fn retire(&self, park: &impl Park) {
        self.word.swap(HALTED, SeqCst);
        park.wake_all(&self.word);
    }

    /// Whether the CPU was retired.
    pub fn is_halted(&self) -> bool {
        self.word.load(SeqCst) == HALTED
    }
}
