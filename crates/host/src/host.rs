//! [`Host`]: the clock, console and random source that a program gives to a kernel.

use crate::clock;
use rustix::rand::{GetRandomFlags, getrandom};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The clock, console and random source of a kernel.
///
/// A program implements the methods that should differ from [`SystemHost`], which are the
/// defaults.
///
/// The thread that runs the kernel calls the methods, on its own stack; at the same time
/// a thread of the library may call [`timeout`](Host::timeout). The kernel waits for
/// them, so they must not block. A panic is contained: the clock then reads as before,
/// the text counts as taken, the random source as failed. A call into a kernel from these
/// methods is refused.
pub trait Host: Send + Sync + 'static {
    /// Nanoseconds since some fixed point in the past; never goes back (if it
    /// does, the kernel sees it stand still). The kernel's own clock,
    /// `CLOCK_MONOTONIC`, is 0 when it is booted, and counts with this one.
    ///
    /// Called several times per task switch.
    fn monotonic(&self) -> u64 {
        clock::monotonic_ns()
    }

    /// Nanoseconds since 1970-01-01 UTC. A kernel asks when it is booted, and
    /// then counts on with [`monotonic`](Host::monotonic): it does not follow a
    /// clock that is set later.
    fn wall_clock(&self) -> i64 {
        clock::wall_ns()
    }

    /// How long it takes, in time of the program's host, until
    /// [`monotonic`](Host::monotonic) reaches `deadline`; zero when it has.
    /// `None`: unknown, and the kernel's timers wait for
    /// [`TimerWaker::wake`].
    ///
    /// To be overridden with `monotonic` unless that counts the host's
    /// nanoseconds. A kernel asks again after that time: too short a time costs
    /// an idle turn, too long a one makes its timers late.
    fn timeout(&self, deadline: u64) -> Option<Duration> {
        Some(Duration::from_nanos(
            deadline.saturating_sub(self.monotonic()),
        ))
    }

    /// Called when a kernel is booted. A host whose clock can jump keeps `waker`, and
    /// calls it after each jump.
    fn attach(&self, _waker: TimerWaker) {}

    /// Called with every piece of the kernel log as it is printed: mostly whole lines,
    /// not always UTF-8. The kernel's [`Log`](crate::log::Log) keeps the newest part
    /// besides.
    fn console(&self, _text: &[u8]) {}

    /// Fills `seed`, from which the kernel seeds its random numbers. Called once, when it
    /// is booted. The kernel adds other sources, such as the times of interrupts: the
    /// same seed does not promise the same numbers.
    ///
    /// # Errors
    ///
    /// After any error, the kernel is not booted.
    fn random(&self, seed: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < seed.len() {
            filled += getrandom(&mut seed[filled..], GetRandomFlags::empty())?;
        }
        Ok(())
    }
}

/// The default [`Host`]: the system's clocks, `getrandom(2)`, and a console that prints
/// nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemHost;

impl Host for SystemHost {}

/// Makes a kernel read its clock again, after the clock has jumped. [`Host::attach`] gets
/// one.
#[derive(Clone)]
pub struct TimerWaker(Arc<dyn Fn() -> bool + Send + Sync>);

impl TimerWaker {
    /// A waker that calls `wake`, which returns whether the kernel still exists.
    pub fn new(wake: impl Fn() -> bool + Send + Sync + 'static) -> TimerWaker {
        TimerWaker(Arc::new(wake))
    }

    /// Makes the kernel read its clock: timers that have expired fire. Calls into the
    /// kernel that are made after this returns see the new time; the times of files are
    /// those of the latest tick, two milliseconds old at most. Any thread may call it,
    /// also inside a kernel.
    ///
    /// Returns whether the kernel still exists.
    pub fn wake(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for TimerWaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerWaker").finish_non_exhaustive()
    }
}
