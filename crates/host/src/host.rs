//! [`Host`]: what a kernel asks of the program it lives in, disks aside.

use crate::clock;
use rustix::rand::{GetRandomFlags, getrandom};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The clock, console and random source of a kernel.
///
/// A program implements what it wants to be different; the rest is as in
/// [`SystemHost`].
///
/// The methods are called by whatever thread runs the kernel, on that thread's
/// own stack; [`timeout`](Host::timeout) also by a thread of the kernel's own
/// that waits outside, at the same time. The kernel waits for them, so they must
/// not block. A panic is contained: the result is as if the clock had not moved,
/// the text had been taken, the random source had failed. A call into a kernel
/// from here is refused.
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
    /// `None`: nobody knows, and the kernel's timers wait for
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

    /// A kernel is being booted; `waker` is how to tell it that the clock has
    /// jumped. To be kept by hosts whose clock can.
    fn attach(&self, _waker: TimerWaker) {}

    /// Gets every piece of the kernel log as it is printed: lines, mostly, not
    /// always UTF-8. The newest part is kept elsewhere.
    fn console(&self, _text: &[u8]) {}

    /// Fills `seed`, which the kernel's random numbers begin with. A kernel asks
    /// once, when it is booted. The kernel adds other sources, such as the times
    /// of interrupts: the same seed does not promise the same numbers.
    ///
    /// # Errors
    ///
    /// Any; the kernel is not booted then.
    fn random(&self, seed: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < seed.len() {
            filled += getrandom(&mut seed[filled..], GetRandomFlags::empty())?;
        }
        Ok(())
    }
}

/// The host's clocks, `getrandom(2)`, and a console that nobody reads.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemHost;

impl Host for SystemHost {}

/// Makes a kernel look at its clock. From [`Host::attach`].
#[derive(Clone)]
pub struct TimerWaker(Arc<dyn Fn() -> bool + Send + Sync>);

impl TimerWaker {
    /// A waker that calls `wake`, which tells whether there is still a kernel.
    pub fn new(wake: impl Fn() -> bool + Send + Sync + 'static) -> TimerWaker {
        TimerWaker(Arc::new(wake))
    }

    /// The clock has jumped: what waits for a time that has come goes on. Calls
    /// into the kernel that are made after this returns see the new time; the
    /// times of files are those of the latest tick, two milliseconds old at
    /// most. Any thread may call it, also inside a kernel.
    ///
    /// Returns whether there is still a kernel to wake.
    pub fn wake(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for TimerWaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerWaker").finish_non_exhaustive()
    }
}
