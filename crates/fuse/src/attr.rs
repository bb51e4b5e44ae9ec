//! Converts the times of a SETATTR request to [`FileTimes`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use drupe::FileTimes;

/// Seconds since 1970, negative before, and nanoseconds after them; `None`: now.
type Time = Option<(i64, u32)>;

/// The times to set; `None` if there are none.
pub(crate) fn times(accessed: Option<Time>, modified: Option<Time>) -> Option<FileTimes> {
    if accessed.is_none() && modified.is_none() {
        return None;
    }
    let mut times = FileTimes::new();
    times = match accessed {
        None => times,
        Some(None) => times.set_accessed_now(),
        Some(Some(time)) => times.set_accessed(system_time(time)),
    };
    Some(match modified {
        None => times,
        Some(None) => times.set_modified_now(),
        Some(Some(time)) => times.set_modified(system_time(time)),
    })
}

/// The time as a [`SystemTime`]; 1970 if it is out of range.
fn system_time((seconds, nanos): (i64, u32)) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let time = match seconds < 0 {
        true => UNIX_EPOCH.checked_sub(whole),
        false => UNIX_EPOCH.checked_add(whole),
    };
    time.and_then(|time| time.checked_add(Duration::from_nanos(nanos.into())))
        .unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970() {
        let before = system_time((-2, 800_000_000));
        assert_eq!(before, UNIX_EPOCH - Duration::from_millis(1200));
        let after = system_time((1, 200_000_000));
        assert_eq!(after, UNIX_EPOCH + Duration::from_millis(1200));
    }

    #[test]
    fn which_times() {
        assert_eq!(times(None, None), None);
        let expected = FileTimes::new()
            .set_accessed_now()
            .set_modified(UNIX_EPOCH + Duration::from_secs(5));
        assert_eq!(times(Some(None), Some(Some((5, 0)))), Some(expected));
    }
}
