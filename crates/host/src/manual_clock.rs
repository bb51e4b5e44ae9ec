//! [`ManualClock`]: a clock that moves only when the program advances it.

use crate::host::{Host, TimerWaker};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock that stands still until [`advance`](ManualClock::advance) or
/// [`set`](ManualClock::set).
///
/// Clones are handles to the same clock, and any number of kernels may have it. It is a
/// [`Host`] whose console and random source are the system's; a program's own host
/// forwards `monotonic`, `wall_clock`, `timeout` and `attach` to it.
///
/// While it stands still, nothing in the kernel that waits for a time goes on: neither
/// sleeping calls nor the periodic work of filesystems. If a call waits for that work,
/// another thread has to advance the clock.
///
/// A child of `fork(2)` must make its own clock: another thread of the parent may have
/// held this one's lock at the fork.
///
/// TCP takes the time 0 for none: a connection that is made before the clock was
/// ever advanced leaves a warning in the kernel's log (`net/ipv4/tcp_input.c`).
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Nanoseconds since the clock was made.
    now: AtomicU64,
    /// Nanoseconds from 1970-01-01 UTC to when the clock was made.
    epoch: i64,
    wakers: Mutex<Vec<TimerWaker>>,
}

impl ManualClock {
    /// A clock at 0, when it is `wall` o'clock: from 1678 to 2261.
    ///
    /// # Panics
    ///
    /// When `wall` is not in these years.
    pub fn new(wall: SystemTime) -> ManualClock {
        let ns = |time: Duration| i64::try_from(time.as_nanos()).expect("from 1678 to 2261");
        ManualClock(Arc::new(Inner {
            now: 0.into(),
            epoch: match wall.duration_since(UNIX_EPOCH) {
                Ok(after) => ns(after),
                Err(error) => -ns(error.duration()),
            },
            wakers: Mutex::default(),
        }))
    }

    /// The time since the clock was made, as far as it was advanced.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.0.now.load(SeqCst))
    }

    /// Advances the clock by `step` in one jump. Timers of the kernels that have expired
    /// then fire; see [`TimerWaker::wake`].
    ///
    /// A kernel counts each second of the jump (`timekeeping_advance()` of Linux): a year
    /// takes it some 0.2 s of processor time, a century 20 s and more.
    pub fn advance(&self, step: Duration) {
        let add = |now: u64| Some(now.saturating_add(nanoseconds(step)));
        let _ = self.0.now.fetch_update(SeqCst, SeqCst, add);
        self.wake();
    }

    /// Advances the clock to `time` since it was made; no effect if that has passed.
    pub fn set(&self, time: Duration) {
        self.0.now.fetch_max(nanoseconds(time), SeqCst);
        self.wake();
    }

    fn wake(&self) {
        let mut wakers = self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.retain(TimerWaker::wake);
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Host for ManualClock {
    fn monotonic(&self) -> u64 {
        self.0.now.load(SeqCst)
    }

    fn wall_clock(&self) -> i64 {
        self.0.epoch.saturating_add_unsigned(self.monotonic())
    }

    fn timeout(&self, deadline: u64) -> Option<Duration> {
        (self.monotonic() >= deadline).then_some(Duration::ZERO)
    }

    fn attach(&self, waker: TimerWaker) {
        let mut wakers = self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.push(waker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn goes_on_when_told_and_never_back() {
        let clock = ManualClock::new(UNIX_EPOCH - Duration::from_nanos(5));
        assert_eq!((clock.monotonic(), clock.wall_clock()), (0, -5));
        clock.advance(Duration::from_nanos(7));
        assert_eq!((clock.monotonic(), clock.wall_clock()), (7, 2));
        clock.clone().set(Duration::from_nanos(3));
        assert_eq!(clock.now(), Duration::from_nanos(7));
        assert_eq!(clock.timeout(7), Some(Duration::ZERO));
        assert_eq!(clock.timeout(8), None);
    }

    #[test]
    fn wakes_the_kernels_there_are() {
        let clock = ManualClock::new(UNIX_EPOCH);
        let woken = Arc::new(AtomicUsize::new(0));
        for lives in [1, 2] {
            let woken = Arc::clone(&woken);
            let left = AtomicUsize::new(lives);
            clock.attach(TimerWaker::new(move || {
                woken.fetch_add(1, SeqCst);
                left.fetch_sub(1, SeqCst) > 1
            }));
        }
        for expected in [2, 3, 3] {
            clock.advance(Duration::from_secs(1));
            assert_eq!(woken.load(SeqCst), expected);
        }
    }
}
