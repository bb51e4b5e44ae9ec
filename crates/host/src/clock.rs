//! The host's clocks, in nanoseconds.

use rustix::time::{ClockId, Timespec, clock_gettime};

fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Time since some fixed point in the past; never goes back.
/// `CLOCK_MONOTONIC` of `clock_gettime(2)`.
#[inline]
pub fn monotonic_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic)) as u64
}

/// Time since 1970-01-01 UTC. `CLOCK_REALTIME` of `clock_gettime(2)`.
pub fn wall_ns() -> i64 {
    nanoseconds(clock_gettime(ClockId::Realtime))
}
