//! [`Spin`]: how long a thread spins before it sleeps.
//!
//! On some hosts it takes tens of microseconds to wake a thread on another processor,
//! while a turn or a call takes less than one if both threads are awake. So it can pay to
//! spin for longer than a turn should take: two threads that wait for each other then
//! stay awake. If both are on one processor, spinning only keeps the other thread from
//! running.
//!
//! The limit follows how long a thread slept after it had spun in vain:
//!
//! - Hardly at all: the other thread only needed this processor. Halve the limit.
//! - Not for long: spinning and sleeping took at most twice the highest limit. A longer
//!   spin may suffice. Double the limit.
//! - Longer: spinning would not have sufficed. Halve the limit.

use crate::sync::{AtomicU32, Ordering::Relaxed, spin_loop};
use std::time::{Duration, Instant};

/// A thread that sleeps for less than this was not woken from another processor.
const NEAR: Duration = Duration::from_micros(10);
/// The smallest limit in ns; below it a thread does not spin.
const MIN: u32 = 2000;
/// How often the condition is checked between two readings of the clock.
const LOOKS: u32 = 16;

/// A limit of spinning that adapts to how long the waiting takes.
///
/// Any thread changes the limit, with Relaxed: a lost update only makes one spin longer
/// or shorter.
#[derive(Debug)]
pub struct Spin {
    /// The limit in ns: 0, or from `MIN` to `max`.
    limit: AtomicU32,
    max: u32,
}

/// A wait for which spinning was too short.
pub(crate) struct FailedSpin {
    /// When the spinning began. `None`: it is not measured.
    begun: Option<Instant>,
    slept: Option<Instant>,
}

impl FailedSpin {
    /// Whether the spinning lasted for at least `MIN`.
    pub(crate) fn has_lasted(&self) -> bool {
        let least = Duration::from_nanos(MIN.into());
        let lasted = self.begun.zip(self.slept);
        lasted.is_some_and(|(begun, slept)| slept - begun >= least)
    }
}

impl Spin {
    /// Spins for at most `max` ns; 0: never (a host with one processor).
    pub fn new(max: u32) -> Spin {
        Spin {
            limit: AtomicU32::new(max),
            max,
        }
    }

    /// Calls `look` until it returns a value, at most for the limit.
    ///
    /// # Errors
    ///
    /// An [`FailedSpin`]: pass it to [`Spin::learn`] after sleeping.
    pub(crate) fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> Result<T, FailedSpin> {
        if let Some(found) = look() {
            return Ok(found);
        }
        if self.max == 0 {
            return Err(FailedSpin {
                begun: None,
                slept: None,
            });
        }
        let begun = Instant::now();
        let limit = Duration::from_nanos(self.limit.load(Relaxed).into());
        let mut now = begun;
        while now - begun < limit {
            for _ in 0..LOOKS {
                spin_loop();
                if let Some(found) = look() {
                    return Ok(found);
                }
            }
            now = Instant::now();
        }
        Err(FailedSpin {
            begun: Some(begun),
            slept: Some(now),
        })
    }

    /// Adapts the limit when the wait is over, after sleeping.
    pub(crate) fn learn(&self, wait: &FailedSpin) {
        let (Some(begun), Some(slept)) = (wait.begun, wait.slept) else {
            return;
        };
        let now = Instant::now();
        let limit = self.limit.load(Relaxed);
        let worth = 2 * Duration::from_nanos(self.max.into());
        let next = if now - slept >= NEAR && now - begun <= worth {
            (limit * 2).clamp(MIN.min(self.max), self.max)
        } else if limit / 2 < MIN {
            0
        } else {
            limit / 2
        };
        if next != limit {
            self.limit.store(next, Relaxed);
        }
    }
}
