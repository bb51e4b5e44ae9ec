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
//!   trust 0 ‥ FULL ── trust > 0, or once in a while ──▶ looks
//!          ▲                                          │
//!          └──────────────────────────────────────────┘
//!           nothing for as long as LONGEST, or others needed the processor: −COST
//! ```
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

/// Without trust it looks after every so many requests nevertheless.
const PROBE: u32 = 32;

/// Whether to look once more.
#[derive(Debug)]
pub(crate) struct Patience {
    trust: u32,
    /// Requests since it last looked.
    slept: u32,
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
            slept: 0,
            looking: None,
        }
    }

    /// A request was there.
    pub(crate) fn found(&mut self) {
        if self.looking.take().is_some() {
            self.trust = (self.trust + 1).min(FULL);
            self.slept = 0;
        }
    }

    /// There was none at `now`. `false`: sleep until there is one.
    pub(crate) fn lasts(&mut self, now: Instant) -> bool {
        let Some(looking) = &mut self.looking else {
            let looks = self.trust > 0 || self.slept >= PROBE;
            match looks {
                true => {
                    self.looking = Some(Looking {
                        since: now,
                        last: now,
                    });
                }
                false => self.slept += 1,
            }
            return looks;
        };
        let crowded = now - looking.last > CROWDED;
        if crowded || now - looking.since > LONGEST {
            self.trust = self.trust.saturating_sub(COST);
            self.slept = 0;
            self.looking = None;
            return false;
        }
        looking.last = now;
        true
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
        for _ in 0..PROBE {
            assert_eq!(in_vain(&mut patience, &mut now), 0);
            patience.found();
        }
        assert!(patience.lasts(now), "a probe");
        patience.found();
        assert!(patience.lasts(now), "it was of use");
    }

    #[test]
    fn it_leaves_the_processor_to_those_who_need_it() {
        let (mut patience, now) = (Patience::new(), Instant::now());
        assert!(patience.lasts(now));
        assert!(!patience.lasts(now + CROWDED + STEP));
        assert_eq!(patience.trust, FULL - COST);
    }
}
