//! [`Patience`]: how long the thread that serves looks for a request before it sleeps.
//!
//! Whoever makes small requests one after another makes the next one some µs after
//! the answer, and waking a thread on a processor that sleeps takes longer than
//! most requests: 45 µs in a virtual machine. So the thread looks again and again,
//! and lets others run between two looks: a program that waits for this processor
//! gets it at once, and its request is found without a wake.
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
//! Letting others run is dear where they want to: the scheduler lets them run for
//! ms, and does not prefer a thread that comes back from it, as it does one that is
//! woken. So each time that happens the pause grows.
//!
//! A mount that is not used costs nothing: the thread sleeps.

use std::time::{Duration, Instant};

/// How long it looks: a wake costs as much, on a processor that sleeps deeply.
const LONGEST: Duration = Duration::from_micros(100);

/// Between two looks others had the processor for so long that it is not free.
const CROWDED: Duration = Duration::from_micros(50);

/// Most trust that the next request will come soon.
const FULL: u32 = 16;

/// What it loses of it when looking was in vain.
const COST: u32 = 4;

/// The pause without trust, in requests: the shortest and the longest.
const PAUSE: u32 = 32;
const LONG_PAUSE: u32 = 1 << 13;

/// The pause is halved when looking was of use so often.
const RELIEF: u32 = 64;

/// Whether to look once more.
#[derive(Debug)]
pub(crate) struct Patience {
    trust: u32,
    pause: u32,
    /// Requests since it last looked.
    slept: u32,
    /// Requests that were found by looking, since the pause changed.
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

    /// A request was there.
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

    /// There was none at `now`. `false`: sleep until there is one.
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
