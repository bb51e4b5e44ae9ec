//! `drupe getfattr` and `drupe setfattr`: extended attributes, in the form of attr(5)'s
//! tools.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use drupe_tree::{Error, Node, Visitor, Walk};
use regex_lite::Regex;

use crate::args::{Encoding, Getfattr, Setfattr};
use crate::context::Context;
use crate::exit::{ExitCode, Failure, Stop};
use crate::output::{Report, Stdout};

pub(crate) fn get(context: &mut Context<'_>, command: &Getfattr) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    let wanted = match (&command.name, &*command.pattern) {
        (Some(name), _) => Wanted::Name(name.clone()),
        (None, "-") => Wanted::All,
        (None, pattern) => Wanted::Matching(Regex::new(pattern).map_err(|error| {
            Failure::usage(format!("{pattern:?} is no regular expression: {error}"))
        })?),
    };
    let mut out = Stdout::buffered();
    for argument in &command.paths {
        let path = context.path(argument)?;
        let mounted = context.session.mount(&path.volume);
        let Some(mount) = report.settle(mounted)? else {
            continue;
        };
        let mut visitor = Printer {
            out: &mut out,
            command,
            wanted: &wanted,
        };
        let top = path.on(&mount);
        let walk = match command.no_dereference {
            true => Walk::new(&top).nofollow(),
            false => Walk::new(&top),
        };
        report.walk(walk, &context.signals, &mut visitor)?;
    }
    out.flush()?;
    Ok(report.code())
}

enum Wanted {
    Name(OsString),
    All,
    Matching(Regex),
}

struct Printer<'a, W> {
    out: &'a mut W,
    command: &'a Getfattr,
    wanted: &'a Wanted,
}

impl<W: Write> Visitor for Printer<'_, W> {
    type Error = Failure;

    fn visit(&mut self, node: &Node<'_>) -> Result<bool, Stop> {
        let recursive = self.command.recursive;
        let mut found = match node.depth == 0 && !self.command.no_dereference {
            // The target of a symbolic link.
            true => followed(node)?,
            false => node.xattrs()?,
        };
        found.retain(|(name, _)| match self.wanted {
            Wanted::Name(wanted) => name == wanted,
            Wanted::All => true,
            Wanted::Matching(pattern) => pattern.is_match(&name.to_string_lossy()),
        });
        found.sort();
        if let (Wanted::Name(wanted), true) = (self.wanted, found.is_empty()) {
            if recursive && node.depth > 0 {
                return Ok(true);
            }
            let name = wanted.display();
            return Err(Error::new("get", format!("it has no attribute {name}")).into());
        }
        self.print(node.path, &found)?;
        Ok(recursive)
    }
}

fn followed(node: &Node<'_>) -> drupe::Result<Vec<(OsString, Vec<u8>)>> {
    let names = node.mount.list_xattr(node.path)?;
    let values = names.into_iter().filter_map(|name| {
        let value = node.mount.get_xattr(node.path, &name).transpose()?;
        Some(value.map(|value| (name, value)))
    });
    values.collect()
}

impl<W: Write> Printer<'_, W> {
    fn print(&mut self, path: &Path, found: &[(OsString, Vec<u8>)]) -> io::Result<()> {
        if found.is_empty() {
            return Ok(());
        }
        let command = self.command;
        if command.only_values {
            return found
                .iter()
                .try_for_each(|(_, value)| self.out.write_all(value));
        }
        self.out.write_all(b"# file: ")?;
        let path = shown(path, command.absolute_names);
        self.out.write_all(&quoted(path.as_bytes(), b"\n\r"))?;
        self.out.write_all(b"\n")?;
        for (name, value) in found {
            self.out.write_all(&quoted(name.as_bytes(), b"=\n\r"))?;
            if command.dump || command.name.is_some() {
                self.out.write_all(b"=")?;
                self.out.write_all(&encoded(value, command.encoding))?;
            }
            self.out.write_all(b"\n")?;
        }
        self.out.write_all(b"\n")
    }
}

/// A path as the tools print it: without the slash at its beginning.
pub(super) fn shown(path: &Path, absolute: bool) -> &OsStr {
    match path.strip_prefix("/") {
        Ok(relative) if !absolute && relative.as_os_str().is_empty() => OsStr::new("."),
        Ok(relative) if !absolute => relative.as_os_str(),
        _ => path.as_os_str(),
    }
}

/// With an octal escape for each of these bytes, and for backslashes.
pub(super) fn quoted<'a>(text: &'a [u8], special: &[u8]) -> Cow<'a, [u8]> {
    let is_special = |byte: &u8| *byte == b'\\' || special.contains(byte);
    if !text.iter().any(is_special) {
        return Cow::Borrowed(text);
    }
    let mut quoted = Vec::new();
    for byte in text {
        match is_special(byte) {
            true => quoted.extend(format!("\\{byte:03o}").into_bytes()),
            false => quoted.push(*byte),
        }
    }
    Cow::Owned(quoted)
}

fn encoded(value: &[u8], encoding: Option<Encoding>) -> Vec<u8> {
    let encoding = encoding.unwrap_or_else(|| {
        let text = value.strip_suffix(b"\0").unwrap_or(value);
        let odd = text.iter().filter(|byte| !matches!(byte, b' '..=b'~'));
        match text.len() >= odd.count() * 8 {
            true => Encoding::Text,
            false => Encoding::Base64,
        }
    });
    match encoding {
        Encoding::Text => {
            let mut text = vec![b'"'];
            for byte in value {
                match byte {
                    b'\0' | b'\n' | b'\r' => text.extend(format!("\\{byte:03o}").into_bytes()),
                    b'\\' | b'"' => text.extend([b'\\', *byte]),
                    _ => text.push(*byte),
                }
            }
            text.push(b'"');
            text
        }
        Encoding::Hex => {
            let digits = value.iter().map(|byte| format!("{byte:02x}"));
            format!("0x{}", digits.collect::<String>()).into_bytes()
        }
        Encoding::Base64 => format!("0s{}", base64(value)).into_bytes(),
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            text.push(match digit <= group.len() {
                true => DIGITS[(word >> (18 - 6 * digit) & 63) as usize].into(),
                false => '=',
            });
        }
    }
    text
}

/// The value that an argument means.
fn decoded(text: &[u8]) -> Result<Vec<u8>, Failure> {
    match text {
        [b'0', b'x' | b'X', digits @ ..] => {
            let wrong = || Failure::usage("behind 0x there are pairs of hexadecimal digits");
            let digit = |byte: &u8| char::from(*byte).to_digit(16).ok_or_else(wrong);
            let digits: Vec<u32> = digits.iter().map(digit).collect::<Result<_, _>>()?;
            match digits.len() % 2 {
                0 => Ok(digits
                    .chunks_exact(2)
                    .map(|pair| (pair[0] << 4 | pair[1]) as u8)
                    .collect()),
                _ => Err(wrong()),
            }
        }
        [b'0', b's' | b'S', digits @ ..] => {
            let wrong = || Failure::usage("behind 0s there are digits of base64");
            let end = digits
                .iter()
                .rposition(|byte| *byte != b'=')
                .map_or(0, |at| at + 1);
            if digits.len() % 4 != 0 || digits.len() - end > 2 {
                return Err(wrong());
            }
            let (mut word, mut bits, mut bytes) = (0u32, 0, Vec::new());
            for byte in &digits[..end] {
                let digit = DIGITS
                    .iter()
                    .position(|digit| digit == byte)
                    .ok_or_else(wrong)?;
                word = word << 6 | digit as u32;
                bits += 6;
                if bits >= 8 {
                    bits -= 8;
                    bytes.push((word >> bits) as u8);
                }
            }
            Ok(bytes)
        }
        [b'"', inner @ .., b'"'] => {
            let (mut rest, mut bytes) = (inner, Vec::new());
            while let Some((first, after)) = rest.split_first() {
                rest = after;
                if *first != b'\\' {
                    bytes.push(*first);
                    continue;
                }
                let octal = rest
                    .iter()
                    .take(3)
                    .take_while(|byte| matches!(byte, b'0'..=b'7'));
                match octal.count() {
                    3 => {
                        let value = rest[..3]
                            .iter()
                            .fold(0, |all, digit| all << 3 | u32::from(digit - b'0'));
                        bytes.push(value as u8);
                        rest = &rest[3..];
                    }
                    _ => {
                        let escaped = rest.split_first();
                        let (byte, after) =
                            escaped.ok_or_else(|| Failure::usage("a backslash has no end"))?;
                        bytes.push(*byte);
                        rest = after;
                    }
                }
            }
            Ok(bytes)
        }
        text => Ok(text.to_vec()),
    }
}

pub(crate) fn set(context: &mut Context<'_>, command: &Setfattr) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    let value = command
        .value
        .as_deref()
        .map_or(Ok(Vec::new()), |value| decoded(value.as_bytes()))?;
    for (path, mount) in context.targets(&command.paths, &mut report)? {
        let file = &path.path;
        let stay = command.no_dereference;
        let done = match (&command.name, &command.remove) {
            (Some(name), _) if stay => mount.lset_xattr(file, name, &value),
            (Some(name), _) => mount.set_xattr(file, name, &value),
            (None, Some(name)) if stay => mount.lremove_xattr(file, name),
            (None, Some(name)) => mount.remove_xattr(file, name),
            (None, None) => Ok(()),
        };
        report.accept(path.label(), done.map_err(Into::into));
    }
    Ok(report.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let round = |value: &[u8]| {
            for encoding in [
                None,
                Some(Encoding::Text),
                Some(Encoding::Hex),
                Some(Encoding::Base64),
            ] {
                let text = encoded(value, encoding);
                assert_eq!(decoded(&text).expect("a value"), value, "{encoding:?}");
            }
        };
        for value in [
            &b"a"[..],
            b"ab",
            b"abc",
            b"\"\\\n\0",
            b"\xff\x00\x01",
            b"0x",
        ] {
            round(value);
        }
        for wrong in [&b"0x1"[..], b"0xgg", b"0sa", b"0s!!!!", b"\"\\\""] {
            assert!(decoded(wrong).is_err(), "{wrong:?}");
        }
    }
}
