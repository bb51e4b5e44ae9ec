//! [`FileTimes`]: times to set on a file; conversions of the kernel's times.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The times to set with `set_times`, as [`std::fs::FileTimes`]. Times that are not set
/// here stay as they are. The filesystem may round them, and may not store times before
/// 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use]
pub struct FileTimes {
    accessed: Stamp,
    modified: Stamp,
}

/// What to do with one of the times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stamp {
    #[default]
    Keep,
    At(SystemTime),
    Now,
}

impl FileTimes {
    /// No times: nothing is changed.
    pub fn new() -> FileTimes {
        FileTimes::default()
    }

    /// Sets the time of last access.
    pub fn set_accessed(mut self, time: SystemTime) -> FileTimes {
        self.accessed = Stamp::At(time);
        self
    }

    /// Sets the time of last access to the kernel's current time.
    pub fn set_accessed_now(mut self) -> FileTimes {
        self.accessed = Stamp::Now;
        self
    }

    /// Sets the time of last modification.
    pub fn set_modified(mut self, time: SystemTime) -> FileTimes {
        self.modified = Stamp::At(time);
        self
    }

    /// Sets the time of last modification to the kernel's current time.
    pub fn set_modified_now(mut self) -> FileTimes {
        self.modified = Stamp::Now;
        self
    }

    /// The two arguments of utimensat(2).
    pub(super) fn timespecs(&self) -> [libc::timespec; 2] {
        let special = |tv_nsec| libc::timespec { tv_sec: 0, tv_nsec };
        [self.accessed, self.modified].map(|time| match time {
            Stamp::Keep => special(libc::UTIME_OMIT),
            Stamp::At(time) => timespec(time),
            Stamp::Now => special(libc::UTIME_NOW),
        })
    }
}

/// A time before 1970 has negative seconds, but never negative nanoseconds.
fn timespec(time: SystemTime) -> libc::timespec {
    let (tv_sec, tv_nsec) = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (after.as_secs() as i64, after.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            match before.subsec_nanos() {
                0 => (-(before.as_secs() as i64), 0),
                nanos => (-(before.as_secs() as i64) - 1, 1_000_000_000 - nanos),
            }
        }
    };
    libc::timespec {
        tv_sec,
        tv_nsec: tv_nsec.into(),
    }
}

/// A [`SystemTime`]; `None`: it is out of its range.
pub(super) fn system_time(seconds: i64, nanos: u32) -> Option<SystemTime> {
    let whole = match u64::try_from(seconds) {
        Ok(after) => UNIX_EPOCH.checked_add(Duration::from_secs(after)),
        Err(_) => UNIX_EPOCH.checked_sub(Duration::from_secs(seconds.unsigned_abs())),
    };
    whole?.checked_add(Duration::from_nanos(nanos.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_there_and_back() {
        for (seconds, nanos) in [
            (0, 0),
            (1, 1),
            (-1, 0),
            (-1, 999_999_999),
            (-2_000_000_000, 1),
            (5_000_000_000, 123_456_789),
        ] {
            let time = system_time(seconds, nanos).expect("within range");
            let spec = timespec(time);
            assert_eq!((spec.tv_sec, spec.tv_nsec), (seconds, i64::from(nanos)));
        }
    }

    #[test]
    fn omits_what_is_not_given() {
        let times = FileTimes::new().set_modified(UNIX_EPOCH).timespecs();
        assert_eq!(times[0].tv_nsec, libc::UTIME_OMIT);
        assert_eq!((times[1].tv_sec, times[1].tv_nsec), (0, 0));
        let times = FileTimes::new().set_accessed_now().timespecs();
        assert_eq!(times[0].tv_nsec, libc::UTIME_NOW);
        assert_eq!(times[1].tv_nsec, libc::UTIME_OMIT);
    }
}
