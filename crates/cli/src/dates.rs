//! Parses dates of the command line, as touch(1) does.

use std::time::SystemTime;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use drupe_tree::Time;

/// Parses what `touch -d` and `--mtime` take: "now", "@SECONDS[.FRACTION]", or
/// a date of RFC 3339 or ISO 8601, with or without time of day and offset;
/// without one it is local time.
pub(crate) fn parse(text: &str) -> Result<Time, String> {
    let text = text.trim();
    if text == "now" {
        return Ok(Time::from(SystemTime::now()));
    }
    if let Some(seconds) = text.strip_prefix('@') {
        return Time::parse_seconds(seconds)
            .ok_or_else(|| format!("{text:?} is not a number of seconds since 1970"));
    }
    let zoned = text.parse::<Zoned>().map(|zoned| zoned.timestamp());
    let stamp = zoned.or_else(|_| text.parse::<Timestamp>()).or_else(|_| {
        let local = text.parse::<DateTime>()?;
        Ok(local.to_zoned(TimeZone::system())?.timestamp())
    });
    stamp.map(of).map_err(|_: jiff::Error| {
        format!("{text:?} is not a date: give 2001-02-03 04:05:06, with Z or +01:00 if you like, or @SECONDS")
    })
}

/// Parses what `touch -t` takes: "[[CC]YY]MMDDhhmm[.ss]", local time.
pub(crate) fn parse_stamp(text: &str) -> Result<Time, String> {
    let wrong = || format!("{text:?} is not a time: give [[CC]YY]MMDDhhmm[.ss]");
    let (main, seconds) = text.split_once('.').unwrap_or((text, "0"));
    if !main.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let year = match main.len() {
        8 => i64::from(Zoned::now().year()),
        10 => {
            let short: i64 = main[..2].parse().map_err(|_| wrong())?;
            // As POSIX has it.
            if short < 69 {
                short + 2000
            } else {
                short + 1900
            }
        }
        12 => main[..4].parse().map_err(|_| wrong())?,
        _ => return Err(wrong()),
    };
    let rest = &main[main.len() - 8..];
    let field = |at: usize| rest[at..at + 2].parse::<i8>().map_err(|_| wrong());
    let second = seconds.parse::<i8>().map_err(|_| wrong())?;
    let year = i16::try_from(year).map_err(|_| wrong())?;
    DateTime::new(year, field(0)?, field(2)?, field(4)?, field(6)?, second, 0)
        .and_then(|local| local.to_zoned(TimeZone::system()))
        .map(|zoned| of(zoned.timestamp()))
        .map_err(|_| wrong())
}

fn of(stamp: Timestamp) -> Time {
    let time = SystemTime::from(stamp);
    Time::from(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let time = |seconds, nanos| Ok(Time { seconds, nanos });
        assert_eq!(parse("@0"), time(0, 0));
        assert_eq!(parse("@-1.5"), time(-2, 500_000_000));
        assert_eq!(parse("@1.000000001"), time(1, 1));
        assert_eq!(parse("1970-01-01T00:00:01Z"), time(1, 0));
        assert_eq!(parse("1970-01-01 01:00:00.25+01:00"), time(0, 250_000_000));
        assert_eq!(parse("1969-12-31T23:59:59.5Z"), time(-1, 500_000_000));
        assert!(parse("2001-02-03").is_ok());
        assert!(parse("2001-02-03 04:05").is_ok());
        for text in ["", "yesterday-ish", "@", "@x", "@1.x", "2001-13-01"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn stamps() {
        assert_eq!(parse_stamp("200102030405.06"), parse("2001-02-03 04:05:06"));
        assert_eq!(parse_stamp("0102030405"), parse("2001-02-03 04:05:00"));
        assert_eq!(parse_stamp("7002030405"), parse("1970-02-03 04:05:00"));
        assert!(parse_stamp("02030405").is_ok());
        for text in ["", "1", "20010203040", "200113030405", "2001020304zz"] {
            assert!(parse_stamp(text).is_err(), "{text}");
        }
    }
}
