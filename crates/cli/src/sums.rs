//! [`parse`]: lines of checksums, as sha256sum(1) prints and `drupe checksum -c` reads them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// A line of a file of sums: the sum and the name.
pub(crate) fn parse(line: &[u8]) -> Option<(String, OsString)> {
    let (escaped, line) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let space = line.iter().position(|&byte| byte == b' ')?;
    let (sum, rest) = line.split_at(space);
    let sum = str::from_utf8(sum).ok()?.to_ascii_lowercase();
    let is_hex = sum.bytes().all(|byte| byte.is_ascii_hexdigit());
    // Behind the space, another one, or * for binary files.
    let name = rest.get(2..).filter(|name| !name.is_empty() && is_hex)?;
    if !matches!(rest[1], b' ' | b'*') || sum.len() < 32 {
        return None;
    }
    let mut bytes = Vec::new();
    let mut from = name.iter();
    while let Some(&byte) = from.next() {
        bytes.push(match (escaped, byte) {
            (true, b'\\') => match from.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b'\\' => b'\\',
                _ => return None,
            },
            _ => byte,
        });
    }
    Some((sum, OsString::from_vec(bytes)))
}

/// The names in a file of sums, for what the command may use.
pub(crate) fn names(file: &Path) -> Vec<OsString> {
    let text = fs::read(file).unwrap_or_default();
    let lines = text.split(|&byte| byte == b'\n');
    lines.filter_map(parse).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let sum = "d41d8cd98f00b204e9800998ecf8427e";
        let line = |text: &str| parse(text.as_bytes());
        let wanted = |name: &str| Some((sum.to_owned(), OsString::from(name)));
        assert_eq!(line(&format!("{sum}  d.img:/a b")), wanted("d.img:/a b"));
        assert_eq!(line(&format!("{sum} *d.img:/a")), wanted("d.img:/a"));
        assert_eq!(
            line(&format!("\\{sum}  d.img:/a\\n\\\\")),
            wanted("d.img:/a\n\\")
        );
        for wrong in [
            "",
            "abc  x",
            &format!("{sum}x  y"),
            &format!("{sum} "),
            &format!("{sum}  "),
        ] {
            assert_eq!(line(wrong), None, "{wrong:?}");
        }
    }
}
