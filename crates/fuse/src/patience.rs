//! [`Patience`]: how long the serving thread polls for a request before it sleeps.
//!
//! A program that makes small requests sends the next one some µs after the answer, and
//! waking a thread on a sleeping processor takes longer than most requests: 45 µs in a
//! virtual machine. So the thread polls, and yields the processor between two polls: a
//! program that waits for this processor gets it at once, and its request is found
//! without a wake-up.
//!
//! ```text
//!              found while looking: +1, up to FULL
//!          ┌──────────────────────────────────────────┐
//!          ▼                                          │
//!   trust 0 ‥ FULL ── trust > 0, or after a pause ────▶ looks
//!          ▲                                          │
//!          ├──────────────────────────────────────────┤
//!          │ nothing for as long as LONGEST: −COST    │
//!          └──────────────────────────────────────────┘
//!           others needed the processor: 0, and a longer pause
//! ```
//!
//! Yielding is expensive when other threads need the processor: the scheduler lets them
//! run for ms, and gives a yielding thread no preference, as it gives a woken one. So
//! each time that happens the pause grows.
//!
//! While a mount is not used, the thread sleeps.

use std::time::{Duration, Instant};

/// The longest time of polling: as long as a wake-up takes on a deeply sleeping
/// processor.
const LONGEST: Duration = Duration::from_micros(100);

/// If other threads ran for longer than this between two polls, the processor counts as
/// busy.
const CROWDED: Duration = Duration::from_micros(50);

/// The highest trust that the next request comes soon.
const FULL: u32 = 16;

/// How much trust is lost when polling was in vain.
const COST: u32 = 4;

/// The pause without trust, in requests: the shortest and the longest.
const PAUSE: u32 = 32;
const LONG_PAUSE: u32 = 1 << 13;

/// The pause is halved after polling has found so many requests.
const RELIEF: u32 = 64;

/// The state that decides whether to poll once more.
#[derive(Debug)]
pub(crate) struct Patience {
    trust: u32,
    pause: u32,
    /// Requests since the last polling.
    slept: u32,
    /// Requests that polling has found since the pause changed.
    finds: u32,
    looking: Option<Looking>,
}

#[derive(Debug, Clone, Copy)]
struct Looking {
    since: Instant,
    last: Instant,
}

impl Patience {
    pub(crate) fn new() -> Patience {
        Patience {
            trust: FULL,
            pause: PAUSE,
            slept: 0,
            finds: 0,
            looking: None,
        }
    }

    /// Notes that a request was found.
    pub(crate) fn found(&mut self) {
        if self.looking.take().is_none() {
            return;
        }
        self.trust = (self.trust + 1).min(FULL);
        self.slept = 0;
        self.finds += 1;
        if self.finds == RELIEF {
            self.finds = 0;
            self.pause = (self.pause / 2).max(PAUSE);
        }
    }

    /// Notes that there was no request at `now`. `false`: the thread is to sleep.
    pub(crate) fn lasts(&mut self, now: Instant) -> bool {
        let Some(looking) = &mut self.looking else {
            let looks = self.trust > 0 || self.slept >= self.pause;
            if looks {
                let (since, last) = (now, now);
                self.looking = Some(Looking { since, last });
            } else {
                self.slept += 1;
            }
            return looks;
        };
        if now - looking.last > CROWDED {
            self.trust = 0;
            self.pause = (4 * self.pause).min(LONG_PAUSE);
            self.finds = 0;
        } else if now - looking.since > LONGEST {
            self.trust = self.trust.saturating_sub(COST);
        } else {
            looking.last = now;
            return true;
        }
        self.slept = 0;
        self.looking = None;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_micros(10);

    /// Looks until it would sleep; how often it looked.
    fn in_vain(patience: &mut Patience, now: &mut Instant) -> u32 {
        let mut looks = 0;
        while patience.lasts(*now) {
            looks += 1;
            *now += STEP;
        }
        looks
    }

    #[test]
    fn it_looks_as_long_as_a_wake_takes() {
        let (mut patience, mut now) = (Patience::new(), Instant::now());
        assert_eq!(in_vain(&mut patience, &mut now), 11);
    }

    #[test]
    fn it_gives_up_and_tries_again_once_in_a_while() {
        let (mut patience, mut now) = (Patience::new(), Instant::now());
        for _ in 0..FULL / COST {
            assert!(in_vain(&mut patience, &mut now) > 0);
        }
        for _ in 0..PAUSE {
            assert_eq!(in_vain(&mut patience, &mut now), 0);
            patience.found();
        }
        assert!(patience.lasts(now), "a probe");
        patience.found();
        assert!(patience.lasts(now), "it was of use");
    }

    #[test]
    fn it_leaves_the_processor_to_those_who_need_it() {
        let (mut patience, mut now) = (Patience::new(), Instant::now());
        assert!(patience.lasts(now));
        now += CROWDED + STEP;
        for _ in 0..=4 * PAUSE {
            assert!(!patience.lasts(now));
            patience.found();
        }
        assert!(patience.lasts(now), "a probe");
        for _ in 0..2 * RELIEF {
            patience.found();
            assert!(patience.lasts(now));
        }
        assert_eq!(patience.pause, PAUSE);
    }
}
