//! Sleeping until a word changes: `futex(2)`.

use rustix::thread::futex::{self, Flags};
use rustix::time::Timespec;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

/// Sleeps while `word` holds `expected`, at most for `timeout_ns`.
/// May return early.
pub fn wait(word: &AtomicU32, expected: u32, timeout_ns: Option<u64>) {
    let timeout = timeout_ns.map(|ns| Timespec {
        tv_sec: (ns / 1_000_000_000) as i64,
        tv_nsec: (ns % 1_000_000_000) as i64,
    });
    // Every error is a reason to look at the word again: it has changed, a
    // signal came, the time is over.
    let _ = futex::wait(word, Flags::PRIVATE, expected, timeout.as_ref());
}

/// Wakes up to `count` threads that sleep on `word`.
pub fn wake(word: &AtomicU32, count: u32) {
    let _ = futex::wake(word, Flags::PRIVATE, count);
}

/// Sleeps while `word` holds `expected`, at most until `deadline`. May return
/// early. Returns whether the deadline has passed.
pub fn wait_until(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> bool {
    let Some(deadline) = deadline else {
        wait(word, expected, None);
        return false;
    };
    let left = deadline.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        wait(word, expected, Some(left.as_nanos() as u64));
    }
    Instant::now() >= deadline
}
