//! `SOURCE_DATE_EPOCH`: makes two runs write the same image.
//!
//! With it set, a kernel's clock stands still at that time and its random
//! numbers begin with the same seed, so that the times and generation numbers
//! that the filesystem chooses are the same each time; and no time that a copy
//! sets is later, nor does when the source was last read matter.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use drupe::{Host, ManualClock};

use drupe_tree::Time;

use crate::exit::Failure;

/// The time in `SOURCE_DATE_EPOCH`, if there is one.
pub(crate) fn get() -> Result<Option<Time>, Failure> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let seconds = text.to_str().and_then(|text| text.parse::<u32>().ok());
    let seconds = seconds.ok_or_else(|| {
        let text = text.to_string_lossy();
        Failure::usage(format!(
            "SOURCE_DATE_EPOCH={text} is not a number of seconds since 1970"
        ))
    })?;
    Ok(Some(Time {
        seconds: seconds.into(),
        nanos: 0,
    }))
}

/// A host whose clock stands still at the epoch while the kernel works.
///
/// A kernel that waits for a time (a filesystem that tries again, writers that
/// are held back) would wait forever. So when nothing happens in it any more, a
/// deadline that is near comes, no sooner than on a clock that goes; those
/// further off are of work in the background, which unmounting does anyway.
pub(crate) struct Still {
    clock: ManualClock,
    /// How often the kernel has looked at the clock: it does nothing without.
    looks: AtomicU64,
    waiting: Mutex<Option<Waiting>>,
}

/// What the kernel waits for.
#[derive(Clone, Copy)]
struct Waiting {
    deadline: u64,
    since: Instant,
    /// [`Still::looks`] at that time.
    looks: u64,
}

/// Deadlines within this are waited for by somebody.
const NEAR: Duration = Duration::from_millis(500);
/// A kernel that has not looked at its clock for so long waits, or has nothing
/// to do: a busy one's ticks are no deadlines to wait for, and between two calls
/// there is RCU's timer. The longer, the less a slow source shows in the image.
const IDLE: Duration = Duration::from_millis(250);

impl Still {
    pub(crate) fn new(epoch: Time) -> Result<Still, Failure> {
        let time = epoch
            .system()
            .ok_or_else(|| anyhow!("there is no such time"))?;
        Ok(Still {
            clock: ManualClock::new(time),
            looks: AtomicU64::new(0),
            waiting: Mutex::default(),
        })
    }
}

impl Host for Still {
    fn monotonic(&self) -> u64 {
        self.looks.fetch_add(1, Relaxed);
        self.clock.monotonic()
    }

    fn wall_clock(&self) -> i64 {
        self.clock.wall_clock()
    }

    fn timeout(&self, deadline: u64) -> Option<Duration> {
        let left = deadline.saturating_sub(self.clock.monotonic());
        let left = Duration::from_nanos(left);
        if left.is_zero() {
            return Some(left);
        }
        if left > NEAR {
            return None;
        }
        let looks = self.looks.load(Relaxed);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let since = match *waiting {
            Some(known) if known.deadline == deadline && known.looks == looks => known.since,
            _ => Instant::now(),
        };
        *waiting = Some(Waiting {
            deadline,
            since,
            looks,
        });
        let left = left.max(IDLE).saturating_sub(since.elapsed());
        if left.is_zero() {
            // Who asked looks at the clock next: there is nobody to wake.
            self.clock.set(Duration::from_nanos(deadline));
        }
        Some(left)
    }

    fn random(&self, seed: &mut [u8]) -> io::Result<()> {
        seed.fill(0x5d);
        Ok(())
    }
}
