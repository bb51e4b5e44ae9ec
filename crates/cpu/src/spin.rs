//! How long to spin before sleeping.
//!
//! Waking a thread that sleeps on another processor takes tens of microseconds
//! on some hosts, and what is waited for here takes less than one if the other
//! thread is awake too. So it can pay to spin for longer than anything should
//! take: two threads that wait for each other then find each other awake. If
//! both are on one processor, spinning only keeps the other one from it.
//!
//! Both are told from how long a thread slept after it had spun in vain:
//!
//! - Hardly at all: what was waited for happened as soon as this thread made
//!   way. Spin half as long.
//! - Not much longer than spinning could have lasted: another time it may do.
//!   Twice as long.
//! - Longer: it never will. Half as long.

use crate::sync::{AtomicU32, Ordering::Relaxed, spin_loop};
use std::time::{Duration, Instant};

/// Who sleeps less than this was not woken from afar.
const NEAR: Duration = Duration::from_micros(10);
/// Less than this is no spinning, in ns.
const MIN: u32 = 2000;
/// Looks between two looks at the clock.
const LOOKS: u32 = 16;

/// A limit that follows what is waited for.
///
/// Any thread changes the limit, with Relaxed: a lost update costs nothing but
/// a few looks.
#[derive(Debug)]
pub struct Spin {
    /// In ns; 0, or from `MIN` to `max`.
    limit: AtomicU32,
    max: u32,
}

/// A wait in which spinning was in vain.
pub(crate) struct InVain {
    /// None: nobody measures.
    begun: Option<Instant>,
    slept: Option<Instant>,
}

impl InVain {
    /// Whether there was any spinning to speak of.
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

    /// Looks until `look` finds something, or spinning does not pay.
    ///
    /// # Errors
    ///
    /// To be given to [`Spin::learn`] after sleeping.
    pub(crate) fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> Result<T, InVain> {
        if let Some(found) = look() {
            return Ok(found);
        }
        if self.max == 0 {
            return Err(InVain {
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
        Err(InVain {
            begun: Some(begun),
            slept: Some(now),
        })
    }

    /// What was waited for has come, after sleeping.
    pub(crate) fn learn(&self, wait: &InVain) {
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
