//! [`matches()`]: shell patterns as in fnmatch(3), on bytes.

/// Whether a pattern of `*`, `?`, `[a-z]`, `[!a-z]`, `[[:alpha:]]` and `\` matches all of
/// a name. A star matches slashes and leading dots too, as in find(1). `fold` ignores
/// case.
pub fn matches(pattern: &[u8], name: &[u8], fold: bool) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to go on when the star last seen takes one byte more.
    let mut retry = None;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            p += 1;
            retry = Some((p, n));
            continue;
        }
        let step = match name.get(n) {
            None if p == pattern.len() => return true,
            // Only stars could match nothing.
            None => return false,
            Some(&byte) => one(&pattern[p..], byte, fold),
        };
        match (step, retry) {
            (Some(len), _) => (p, n) = (p + len, n + 1),
            (None, Some((star, at))) => {
                (p, n) = (star, at + 1);
                retry = Some((star, at + 1));
            }
            (None, None) => return false,
        }
    }
}

/// Matches a byte with the pattern's first item. Returns the item's length; `None`: no
/// match.
fn one(pattern: &[u8], byte: u8, fold: bool) -> Option<usize> {
    let same = |a: u8, b: u8| a == b || fold && a.eq_ignore_ascii_case(&b);
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'\\', literal, ..] => same(*literal, byte).then_some(2),
        [b'[', rest @ ..] => match set(rest, byte, fold) {
            Some((found, len)) => found.then_some(len + 1),
            // It has no end: the bracket is itself.
            None => same(b'[', byte).then_some(1),
        },
        [literal, ..] => same(*literal, byte).then_some(1),
    }
}

/// Matches a byte with a set, from behind its opening bracket on. Returns the result and
/// the set's length.
fn set(rest: &[u8], byte: u8, fold: bool) -> Option<(bool, usize)> {
    let negated = matches!(rest.first(), Some(b'!' | b'^'));
    let start = usize::from(negated);
    let mut at = start;
    let mut found = false;
    let among = |low: u8, high: u8| {
        let within = |byte: u8| (low..=high).contains(&byte);
        within(byte)
            || fold && (within(byte.to_ascii_lowercase()) || within(byte.to_ascii_uppercase()))
    };
    loop {
        match *rest.get(at..)? {
            [] => return None,
            [b']', ..] if at > start => return Some((found != negated, at + 1)),
            [b'[', b':', ref class @ ..] if let Some((name, len)) = class_name(class) => {
                found |= is_of_class(name, byte, fold);
                at += len + 4;
            }
            [low, b'-', high, ..] if high != b']' => {
                found |= among(low, high);
                at += 3;
            }
            [only, ..] => {
                found |= among(only, only);
                at += 1;
            }
        }
    }
}

/// The name of a character class, up to its `:]`, and the length.
fn class_name(rest: &[u8]) -> Option<(&[u8], usize)> {
    let len = rest.windows(2).position(|pair| pair == b":]")?;
    let name = &rest[..len];
    name.iter()
        .all(u8::is_ascii_lowercase)
        .then_some((name, len))
}

/// Whether a byte is in a class of the C locale; `false` for unknown classes.
fn is_of_class(name: &[u8], byte: u8, fold: bool) -> bool {
    match name {
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"cntrl" => byte.is_ascii_control(),
        b"digit" => byte.is_ascii_digit(),
        b"graph" => byte.is_ascii_graphic(),
        b"lower" | b"upper" if fold => byte.is_ascii_alphabetic(),
        b"lower" => byte.is_ascii_lowercase(),
        b"print" => byte.is_ascii_graphic() || byte == b' ',
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => byte.is_ascii_whitespace() || byte == 0x0b,
        b"upper" => byte.is_ascii_uppercase(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*.c", "a.c", true),
            ("*.c", "a.cc", false),
            ("a*b*c", "axxbyybzc", true),
            ("a*b*c", "axxbyybz", false),
            ("?", "", false),
            ("?b", "ab", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[a-]", "-", true),
            ("[a", "[a", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("", "", true),
            ("", "x", false),
            ("**", "ab", true),
            ("[[:alpha:]]x", "bx", true),
            ("[[:alpha:]]x", "1x", false),
            ("[![:digit:]_]", "1", false),
            ("[![:digit:]_]", "a", true),
            ("[a[:upper:]z]", "Q", true),
            ("[[:nosuch:]a]", "a", true),
            ("[[:nosuch:]]", "n", false),
            ("[[:]", ":", true),
        ] {
            let found = matches(pattern.as_bytes(), name.as_bytes(), false);
            assert_eq!(found, expected, "{pattern} {name}");
        }
        assert!(matches(b"A[X-Z]*", b"ayq", true));
        assert!(!matches(b"A", b"a", false));
        // Many stars must not take exponential time.
        let name = [b'a'; 5000];
        assert!(!matches(b"*a*a*a*a*a*a*a*a*b", &name, false));
    }
}
