//! [`Environment`]: a kernel's use of the program's [`Host`]. Contains its panics, and
//! keeps its clock from going back.

use crate::error::Error;
use drupe_host::{Host, TimerWaker};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Deadlines within this many ns count as near. More than a task's timer slack, 50 µs
/// (`PR_SET_TIMERSLACK` of `prctl(2)`), and than the kernel's shortest timer, 1 µs.
const NEAR: u64 = 100_000;

/// How many times the wall clock is read, each time between two readings of the monotonic
/// clock.
const WALL_CLOCK_READINGS: usize = 8;

/// A kernel's clock, console and random source, from its host.
pub(crate) struct Environment {
    host: Arc<dyn Host>,
    /// The host's monotonic clock, in ns, when the kernel's clock was 0.
    epoch: u64,
    /// The latest time that the kernel has read. Only the holder of the CPU writes it, so
    /// Relaxed.
    latest: AtomicU64,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}

/// Calls `f`, which is code of the program. `None` if it panics.
#[inline]
pub(crate) fn contain<T>(f: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => Some(value),
        Err(panic) => {
            // Dropping what it panicked with may panic too.
            std::mem::forget(panic);
            None
        }
    }
}

impl Environment {
    /// Starts the kernel's clock at 0.
    ///
    /// # Errors
    ///
    /// The host's clock panicked.
    pub(crate) fn new(host: Arc<dyn Host>) -> Result<Environment, Error> {
        let epoch = contain(|| host.monotonic());
        Ok(Environment {
            epoch: epoch.ok_or_else(|| Error::boot("the host's clock panicked"))?,
            host,
            latest: AtomicU64::new(0),
        })
    }

    /// The kernel's clock, for the holder of the CPU: ns since it was made.
    #[inline]
    pub(crate) fn clock(&self) -> u64 {
        let latest = self.latest.load(Relaxed);
        let now = contain(|| self.host.monotonic()).unwrap_or(0);
        let now = now.saturating_sub(self.epoch);
        if now <= latest {
            return latest;
        }
        self.latest.store(now, Relaxed);
        now
    }

    /// Nanoseconds since 1970-01-01 UTC at the latest time that the kernel's clock has
    /// shown.
    ///
    /// The two clocks cannot be read at the same moment. So the wall clock is read
    /// between two readings of the monotonic clock, several times, and the closest pair
    /// of readings counts.
    pub(crate) fn wall_clock(&self) -> i64 {
        let (mut least, mut most) = (i64::MIN, i64::MAX);
        for _ in 0..WALL_CLOCK_READINGS {
            let reading = contain(|| {
                let before = self.host.monotonic() as i64;
                let wall = self.host.wall_clock();
                let after = self.host.monotonic() as i64;
                (wall.saturating_sub(before), wall.saturating_sub(after))
            });
            let Some((upper, lower)) = reading else {
                return 0;
            };
            if lower > most || upper < least {
                // The wall clock was set in between.
                (least, most) = (lower, upper);
            }
            least = least.max(lower);
            most = most.min(upper);
            if least == most {
                break;
            }
        }
        let latest = self.epoch + self.latest.load(Relaxed);
        i64::midpoint(least, most).saturating_add(latest as i64)
    }

    pub(crate) fn console(&self, text: &[u8]) {
        let _ = contain(|| self.host.console(text));
    }

    /// How long until the kernel's clock reaches `deadline`. `None`: unknown, or the host
    /// panicked. The program's code runs here and may wake this kernel's timer, so the
    /// caller must hold no lock that this needs.
    pub(crate) fn timeout(&self, deadline: u64) -> Option<Duration> {
        contain(|| self.host.timeout(deadline.saturating_add(self.epoch))).flatten()
    }

    /// Whether `deadline` is at most [`NEAR`] after the time that the kernel has read
    /// last. Called by the holder of the CPU.
    #[inline]
    pub(crate) fn is_near(&self, deadline: u64) -> bool {
        deadline.saturating_sub(self.latest.load(Relaxed)) <= NEAR
    }

    /// Random bytes.
    ///
    /// # Errors
    ///
    /// The host's error.
    pub(crate) fn seed(&self) -> Result<[u8; 32], Error> {
        let mut seed = [0; 32];
        match contain(|| self.host.random(&mut seed)) {
            Some(Ok(())) => Ok(seed),
            Some(Err(error)) => Err(Error::boot(format_args!(
                "cannot get its random seed: {error}"
            ))),
            None => Err(Error::boot("the host's random source panicked")),
        }
    }

    /// Gives the host the waker of the kernel's timer.
    ///
    /// # Errors
    ///
    /// The host panicked.
    pub(crate) fn attach(&self, waker: TimerWaker) -> Result<(), Error> {
        contain(|| self.host.attach(waker))
            .ok_or_else(|| Error::boot("the host panicked in Host::attach"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Shows these times, the last one first; then it panics.
    struct Times(Mutex<Vec<u64>>);

    impl Host for Times {
        fn monotonic(&self) -> u64 {
            let mut times = self.0.lock().unwrap_or_else(|e| e.into_inner());
            times.pop().expect("a time")
        }
    }

    #[test]
    fn the_clock_begins_at_0_and_never_goes_back() -> Result<(), Error> {
        let host = Environment::new(Arc::new(Times(vec![30, 2, 19, 20, 10].into())))?;
        let seen = [(); 5].map(|()| host.clock());
        assert_eq!(seen, [10, 10, 10, 20, 20]);
        Ok(())
    }

    /// Each reading takes 10 ns of a clock that was 7 at 1,000 of the other one.
    struct Readings(AtomicU64);

    impl Host for Readings {
        fn monotonic(&self) -> u64 {
            self.0.fetch_add(10, Relaxed)
        }
        fn wall_clock(&self) -> i64 {
            self.0.fetch_add(10, Relaxed) as i64 - 993
        }
    }

    #[test]
    fn the_wall_clock_is_that_of_the_kernels_instant() -> Result<(), Error> {
        let host = Environment::new(Arc::new(Readings(1000.into())))?;
        let clock = host.clock() as i64;
        assert_eq!(host.wall_clock() - clock, 7);
        Ok(())
    }

    /// A wall clock at the end of its range.
    struct Far(i64);

    impl Host for Far {
        fn monotonic(&self) -> u64 {
            i64::MAX as u64
        }
        fn wall_clock(&self) -> i64 {
            self.0
        }
    }

    #[test]
    fn a_wall_clock_may_be_anything() -> Result<(), Error> {
        let host = Environment::new(Arc::new(Far(i64::MIN)))?;
        // What would be before the range is its beginning, at the kernel's instant.
        assert_eq!(host.wall_clock(), i64::MIN + i64::MAX);
        let host = Environment::new(Arc::new(Far(i64::MAX)))?;
        assert_eq!(host.wall_clock(), i64::MAX);
        Ok(())
    }

    #[test]
    fn a_clock_that_panics_at_once_boots_nothing() {
        let error = Environment::new(Arc::new(Times(Mutex::default()))).unwrap_err();
        assert!(error.to_string().contains("clock panicked"), "{error}");
    }
}
