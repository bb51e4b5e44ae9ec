//! [`Time`]: a file's time in seconds and nanoseconds, with any range.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use drupe::FileTimes;

/// Seconds since 1970, which may be negative, and nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds after that: less than 1,000,000,000.
    pub nanos: u32,
}

impl Time {
    /// Parses decimal seconds. "-1.5" is half a second before -1. More than nine digits
    /// of a fraction are cut off, towards the past.
    pub fn parse_seconds(text: &str) -> Option<Time> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let negative = whole.starts_with('-');
        let digits = whole.strip_prefix('-').unwrap_or(whole);
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if digits.is_empty() || !is_number(digits) || !is_number(fraction) {
            return None;
        }
        let seconds: i64 = whole.parse().ok()?;
        let mut padded = fraction.get(..9).unwrap_or(fraction).to_owned();
        let cut = fraction.len() > 9 && fraction[9..].bytes().any(|byte| byte != b'0');
        padded.push_str(&"000000000"[padded.len()..]);
        let mut nanos: u32 = padded.parse().ok()?;
        if !negative {
            return Some(Time { seconds, nanos });
        }
        nanos += u32::from(cut);
        Some(match nanos {
            0 => Time { seconds, nanos },
            _ => Time {
                seconds: seconds.checked_sub(1)?,
                nanos: 1_000_000_000 - nanos,
            },
        })
    }

    /// The time as a [`SystemTime`]; `None`: it is out of range.
    pub fn system(self) -> Option<SystemTime> {
        let distance = Duration::from_secs(self.seconds.unsigned_abs());
        let whole = match self.seconds {
            0.. => UNIX_EPOCH.checked_add(distance),
            _ => UNIX_EPOCH.checked_sub(distance),
        };
        whole?.checked_add(Duration::from_nanos(self.nanos.into()))
    }
}

impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Time {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Time {
                seconds: after.as_secs() as i64,
                nanos: after.subsec_nanos(),
            },
            Err(before) => {
                let before = before.duration();
                let (seconds, nanos) = (before.as_secs() as i64, before.subsec_nanos());
                match nanos {
                    0 => Time {
                        seconds: -seconds,
                        nanos: 0,
                    },
                    _ => Time {
                        seconds: -seconds - 1,
                        nanos: 1_000_000_000 - nanos,
                    },
                }
            }
        }
    }
}

/// In the format of [`Time::parse_seconds`], without a zero fraction.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.seconds, self.nanos) {
            (seconds, 0) => write!(f, "{seconds}"),
            (seconds @ 0.., nanos) => write!(f, "{seconds}.{nanos:09}"),
            (seconds, nanos) => {
                write!(f, "-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanos)
            }
        }
    }
}

/// The times to set. A time out of range is left unset.
pub fn times(accessed: Option<Time>, modified: Option<Time>) -> FileTimes {
    let mut times = FileTimes::new();
    if let Some(accessed) = accessed.and_then(Time::system) {
        times = times.set_accessed(accessed);
    }
    if let Some(modified) = modified.and_then(Time::system) {
        times = times.set_modified(modified);
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for text in [
            "0",
            "1.000000001",
            "-1",
            "-0.500000000",
            "-1.500000000",
            "5.250000000",
        ] {
            let time = Time::parse_seconds(text).expect(text);
            assert_eq!(time.to_string(), text);
        }
        let cut = Time::parse_seconds("-1.0000000001").expect("ten digits");
        assert_eq!((cut.seconds, cut.nanos), (-2, 999_999_999));
        let cut = Time::parse_seconds("1.0000000019").expect("ten digits");
        assert_eq!((cut.seconds, cut.nanos), (1, 1));
        for text in ["", "-", ".", ".5", "1.x", "+1", "9223372036854775808"] {
            assert_eq!(Time::parse_seconds(text), None, "{text}");
        }
    }
}
