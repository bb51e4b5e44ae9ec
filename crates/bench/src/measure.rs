//! Helpers of several groups: best of several rounds, null calls, the cost of the clock.

use crate::histogram::Histogram;
use crate::system::System;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

/// Rounds of a measurement; the best counts.
pub(crate) const ROUNDS: u32 = 9;

/// Nanoseconds per call, in the best of [`ROUNDS`] rounds of `calls`.
pub(crate) fn best(calls: u32, mut call: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        best = best.min(start.elapsed().as_nanos() as f64);
    }
    best / f64::from(calls)
}

/// The result of a call that others depend on. Without it another thread might
/// wait for ever, so a failure ends the program.
#[inline]
pub(crate) fn sure(result: io::Result<usize>) -> usize {
    result.unwrap_or_else(|error| fail(&error))
}

#[cold]
pub(crate) fn fail(error: &io::Error) -> ! {
    eprintln!("a call that is measured failed: {error}");
    std::process::exit(1)
}

/// Makes null calls until `stop`. Returns the time of each, which includes reading the
/// clock once.
pub(crate) fn null_calls<S: System>(system: &S, stop: &AtomicBool) -> Histogram {
    let mut times = Histogram::default();
    let mut before = Instant::now();
    while !stop.load(Relaxed) {
        sure(system.getppid());
        let now = Instant::now();
        times.record((now - before).as_nanos() as u64);
        before = now;
    }
    times
}

/// Nanoseconds that reading the clock takes.
pub(crate) fn clock() -> f64 {
    best(100_000, || {
        std::hint::black_box(Instant::now());
    })
}
