//! Parses sizes: "64M", and the argument of `truncate -s`.

/// Parses bytes, or a number with K, M, G, T (of 1024) or KB, MB, … (of 1000).
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size: give bytes, or a number with K, M, G or T");
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(end);
    let power = |letter: u8| match letter.to_ascii_uppercase() {
        b'K' => Some(1),
        b'M' => Some(2),
        b'G' => Some(3),
        b'T' => Some(4),
        _ => None,
    };
    let factor = match unit.as_bytes() {
        [] => Some(1),
        [letter] | [letter, b'i', b'B'] => power(*letter).map(|power| 1_u64 << (10 * power)),
        [letter, b'B'] => power(*letter).map(|power| 1000_u64.pow(power)),
        _ => None,
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    factor
        .and_then(|factor| number.checked_mul(factor))
        .ok_or_else(wrong)
}

/// A change of a file's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resize {
    how: u8,
    size: u64,
}

impl Resize {
    pub(crate) fn parse(text: &str) -> Result<Resize, String> {
        let (how, size) = match text.as_bytes() {
            [how @ (b'+' | b'-' | b'<' | b'>' | b'/' | b'%'), ..] => (*how, bytes(&text[1..])?),
            _ => (b'=', bytes(text)?),
        };
        match size == 0 && matches!(how, b'/' | b'%') {
            true => Err("there are no multiples of 0".into()),
            false => Ok(Resize { how, size }),
        }
    }

    /// The new size of a file of this one; `None`: too large.
    pub(crate) fn apply(self, old: u64) -> Option<u64> {
        let size = self.size;
        match self.how {
            b'+' => old.checked_add(size),
            b'-' => Some(old.saturating_sub(size)),
            b'<' => Some(old.min(size)),
            b'>' => Some(old.max(size)),
            b'/' => Some(old / size * size),
            b'%' => old.checked_next_multiple_of(size),
            _ => Some(size),
        }
    }
}

/// The kernel's memory.
pub(crate) fn memory(text: &str) -> Result<usize, String> {
    let bytes = usize::try_from(bytes(text)?).map_err(|_| "there is no such memory")?;
    match bytes >= 24 << 20 {
        true => Ok(bytes),
        false => Err("the kernel needs at least 24M".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, size) in [
            ("64M", 64 << 20),
            ("5", 5),
            ("2kB", 2000),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for wrong in [
            "",
            "M",
            "-1M",
            "+1",
            "64MBB",
            "99999999999999999999",
            "20000000000G",
        ] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
        assert_eq!(memory("25165824"), Ok(24 << 20));
        assert!(memory("23M").is_err());
    }

    #[test]
    fn resizes() {
        for (text, old, new) in [
            ("10", 5, 10),
            ("+10", 5, 15),
            ("-10", 5, 0),
            ("<10", 15, 10),
            (">10", 5, 10),
            ("/10", 15, 10),
            ("%10", 15, 20),
            ("1K", 0, 1024),
        ] {
            let resize = Resize::parse(text).expect(text);
            assert_eq!(resize.apply(old), Some(new), "{text}");
        }
        assert!(Resize::parse("/0").is_err());
        assert!(Resize::parse("+").is_err());
        let more = Resize::parse("+1").expect("a size");
        assert_eq!(more.apply(u64::MAX), None);
    }
}
