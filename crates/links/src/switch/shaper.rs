//! [`Shaper`]: decides when a frame arrives at the other end of a cable, and whether it
//! is lost.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::PortOptions;

/// Bytes that may be under way on one cable in one direction, which bounds the memory for
/// long delays.
const MAX_ON_THE_WAY: usize = 64 << 20;

/// Longest delay.
const MAX_DELAY: Duration = Duration::from_secs(3600);

/// One direction of a port's cable.
#[derive(Debug)]
pub(super) struct Shaper {
    options: PortOptions,
    state: Mutex<State>,
    on_the_way: AtomicUsize,
}

#[derive(Debug)]
struct State {
    random: fastrand::Rng,
    /// When the sending of earlier frames ends.
    busy_until: Instant,
}

/// What happens to a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Lost,
    /// It arrives at the first time, and if it is duplicated, again at the second.
    Arrives(Instant, Option<Instant>),
}

impl Shaper {
    /// `way`: the number of the direction, so that both draw different random numbers.
    pub(super) fn new(options: &PortOptions, way: u64) -> Shaper {
        Shaper {
            options: options.clone(),
            state: Mutex::new(State {
                random: fastrand::Rng::with_seed(options.seed.wrapping_mul(2).wrapping_add(way)),
                busy_until: Instant::now(),
            }),
            on_the_way: AtomicUsize::new(0),
        }
    }

    /// Decides about a frame of `len` bytes that is sent now. Call [`Shaper::arrived`]
    /// after each arrival.
    pub(super) fn send(&self, now: Instant, len: usize) -> Fate {
        let options = &self.options;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // All are drawn for each frame: what becomes of one does not change the
        // luck of the next.
        let mut luck = || state.random.f64();
        let (lost, twice) = (luck() < options.loss, luck() < options.duplicate);
        let held_back = luck() < options.reorder;
        if lost || self.on_the_way.load(Ordering::Relaxed) > MAX_ON_THE_WAY {
            return Fate::Lost;
        }
        let mut sent = now;
        if let Some(rate) = options.rate {
            let takes = |bytes: usize| nanoseconds(bytes, rate);
            let begins = state.busy_until.max(now);
            if begins - now > takes(options.queue) {
                return Fate::Lost;
            }
            sent = begins + takes(len);
            state.busy_until = sent;
        }
        let mut arrives = sent + options.delay.min(MAX_DELAY);
        let again = twice.then_some(arrives);
        if held_back {
            arrives += options.reorder_delay.min(MAX_DELAY);
        }
        let copies = 1 + usize::from(twice);
        // A bound that need not be exact: relaxed.
        self.on_the_way.fetch_add(copies * len, Ordering::Relaxed);
        Fate::Arrives(arrives, again)
    }

    pub(super) fn arrived(&self, len: usize) {
        self.on_the_way.fetch_sub(len, Ordering::Relaxed);
    }
}

/// The time for sending `bytes` at `rate` bits per second.
fn nanoseconds(bytes: usize, rate: u64) -> Duration {
    let bits = bytes as u128 * 8;
    let ns = (bits * 1_000_000_000).div_ceil(u128::from(rate.max(1)));
    // A rate of next to nothing: as good as never.
    Duration::from_nanos(ns.min(MAX_DELAY.as_nanos()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(options: &PortOptions, frames: usize) -> Vec<Option<Duration>> {
        let shaper = Shaper::new(options, 0);
        let now = Instant::now();
        let fate = |_| match shaper.send(now, 1000) {
            Fate::Lost => None,
            Fate::Arrives(at, _) => Some(at - now),
        };
        (0..frames).map(fate).collect()
    }

    #[test]
    fn a_rate_makes_frames_follow_each_other() {
        let options = PortOptions {
            rate: Some(8_000_000),
            delay: Duration::from_millis(5),
            queue: 2000,
            ..PortOptions::default()
        };
        let after = |ms| Some(Duration::from_millis(ms));
        let fates = fates(&options, 5);
        // Busy since it was made: a little later than now, or earlier.
        let first = fates[0].unwrap();
        assert!(first >= Duration::from_millis(6), "{first:?}");
        let rest: Vec<_> = fates.iter().map(|f| f.map(|f| f - first)).collect();
        assert_eq!(rest, [after(0), after(1), after(2), None, None]);
    }

    #[test]
    fn luck_is_that_of_the_seed() {
        let options = |seed| PortOptions {
            loss: 0.2,
            reorder: 0.1,
            seed,
            ..PortOptions::default()
        };
        let lost = |options| {
            fates(options, 10_000)
                .iter()
                .filter(|f| f.is_none())
                .count()
        };
        assert_eq!(fates(&options(7), 1000), fates(&options(7), 1000));
        assert_ne!(fates(&options(7), 1000), fates(&options(8), 1000));
        let lost = lost(&options(1));
        assert!((1800..2200).contains(&lost), "{lost}");
    }

    #[test]
    fn memory_is_bounded() {
        let options = PortOptions {
            delay: Duration::from_secs(1 << 40),
            ..PortOptions::default()
        };
        let fates = fates(&options, (MAX_ON_THE_WAY / 1000) + 10);
        assert_eq!(fates[0], Some(MAX_DELAY));
        assert_eq!(fates.last(), Some(&None));
    }

    #[test]
    fn a_rate_of_nothing_takes_for_ever_and_no_longer() {
        assert_eq!(nanoseconds(1500, 0), MAX_DELAY);
        assert_eq!(nanoseconds(125, 1_000_000_000), Duration::from_micros(1));
    }
}
