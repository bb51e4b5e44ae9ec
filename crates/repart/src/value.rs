//! Values of settings: sizes, booleans, flags, specifiers.

/// Bytes, with the suffixes K, M, G, T, P, E to the base of 1024.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let shift = match suffix.trim() {
        "" | "B" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        "P" => 50,
        "E" => 60,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 9 || (number.contains('.') && fraction.is_empty()) {
        return None;
    }
    let unit = 1u64 << shift;
    let bytes = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    if fraction.is_empty() {
        return Some(bytes);
    }
    let part: u128 = fraction.parse::<u64>().ok()?.into();
    let part = part * u128::from(unit) / 10u128.pow(fraction.len() as u32);
    bytes.checked_add(part as u64)
}

/// systemd's words for yes and no.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match &*text.to_ascii_lowercase() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

/// A number with the prefix 0x, 0b, 0o or none.
pub(crate) fn parse_flags(text: &str) -> Option<u64> {
    let radix = |prefix: &str, radix| {
        let digits = text.strip_prefix(prefix)?;
        (!digits.starts_with('+')).then(|| u64::from_str_radix(digits, radix).ok())
    };
    radix("0x", 16)
        .or_else(|| radix("0b", 2))
        .or_else(|| radix("0o", 8))
        .unwrap_or_else(|| text.parse().ok())
}

/// Puts in what a `%` and a letter stand for; or says which letter it cannot.
///
/// Those that tell of the running system (`%m`, `%H`, `%v`, …) are refused: an image
/// should not depend on the machine that makes it.
pub(crate) fn expand(text: &str) -> Result<String, String> {
    let mut expanded = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            expanded.push(character);
            continue;
        }
        match characters.next() {
            Some('%') => expanded.push('%'),
            Some('a') => expanded.push_str("x86-64"),
            Some(other) if "AbBHlmMovwWTV".contains(other) => {
                return Err(format!(
                    "%{other} stands for something of the running system, which is not to be in an image; write what is meant"
                ));
            }
            Some(other) => return Err(format!("no specifier is called %{other}; write %% for %")),
            None => return Err("a % at the end; write %% for %".to_owned()),
        }
    }
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("1.5G", Some(3 << 29)),
            ("64M", Some(64 << 20)),
            ("15E", Some(15 << 60)),
            ("16E", None),
            ("99999999999999999999", None),
            ("1.", None),
            ("", None),
            ("M", None),
            ("1MB", None),
            ("-1", None),
            ("1 G", Some(1 << 30)),
        ] {
            assert_eq!(parse_size(text), bytes, "{text}");
        }
    }

    #[test]
    fn flags_and_specifiers() {
        assert_eq!(parse_flags("0x8000000000000000"), Some(1 << 63));
        assert_eq!(parse_flags("0b101"), Some(5));
        assert_eq!(parse_flags("12"), Some(12));
        for text in ["", "0x", "0x+1", "0xfffffffffffffffff", "-1", "x"] {
            assert_eq!(parse_flags(text), None, "{text}");
        }
        assert_eq!(expand("100%% of %a").unwrap(), "100% of x86-64");
        for text in ["%m", "%q", "%"] {
            assert!(expand(text).is_err(), "{text}");
        }
    }
}
