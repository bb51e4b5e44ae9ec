//! `drupe checksum`: sums of files, in the form of sha256sum(1), and their check.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use anyhow::Context as _;
use drupe_tree::{Algorithm, Error, Node, Visitor, Walk};

use crate::args::{Checksum, Sum};
use crate::context::Context;
use crate::exit::{ExitCode, Failure, Stop};
use crate::location::ImagePath;
use crate::output::{Report, Stdout};

fn algorithm(sum: Sum) -> Algorithm {
    match sum {
        Sum::Md5 => Algorithm::Md5,
        Sum::Sha1 => Algorithm::Sha1,
        Sum::Sha256 => Algorithm::Sha256,
        Sum::Sha512 => Algorithm::Sha512,
        Sum::Blake2b => Algorithm::Blake2b,
    }
}

pub(crate) fn run(context: &mut Context<'_>, command: &Checksum) -> Result<ExitCode, Failure> {
    if let Some(file) = &command.check {
        return check(context, command, file);
    }
    let mut report = Report::default();
    let mut out = Stdout::buffered();
    for argument in &command.paths {
        let path = context.path(argument)?;
        let mounted = context.session.mount(&path.volume);
        let Some(mount) = report.settle(mounted)? else {
            continue;
        };
        let mut visitor = Summer {
            out: &mut out,
            command,
            volume: ImagePath {
                path: "/".into(),
                volume: path.volume.clone(),
            },
            interrupt: context.signals.interrupt().clone(),
        };
        let top = path.on(&mount);
        report.walk(Walk::new(&top), &context.signals, &mut visitor)?;
    }
    out.flush()?;
    Ok(report.code())
}

struct Summer<'a, W> {
    out: &'a mut W,
    command: &'a Checksum,
    volume: ImagePath,
    interrupt: drupe_tree::Interrupt,
}

impl<W: Write> Visitor for Summer<'_, W> {
    type Error = Failure;

    fn visit(&mut self, node: &Node<'_>) -> Result<bool, Stop> {
        if node.metadata.is_dir() && self.command.recursive {
            return Ok(true);
        }
        if !node.metadata.is_file() {
            return match (node.depth, node.metadata.is_dir()) {
                (0, true) => Err(Error::new("read", "it is a directory; give -r").into()),
                (0, false) => Err(Error::new("read", "it is no regular file").into()),
                _ => Ok(false),
            };
        }
        let wanted = self
            .command
            .algorithm
            .map_or_else(Algorithm::default, algorithm);
        let sum = wanted.of(&node.open()?, &self.interrupt)?;
        let mut name = self.volume.volume.name().into_vec();
        name.push(b':');
        name.extend(node.path.as_os_str().as_bytes());
        // As coreutils: a line with escapes begins with a backslash.
        let special = name
            .iter()
            .any(|byte| matches!(byte, b'\\' | b'\n' | b'\r'));
        if special {
            self.out.write_all(b"\\")?;
        }
        write!(self.out, "{sum}  ")?;
        for byte in name {
            match byte {
                b'\\' => self.out.write_all(b"\\\\")?,
                b'\n' => self.out.write_all(b"\\n")?,
                b'\r' => self.out.write_all(b"\\r")?,
                byte => self.out.write_all(&[byte])?,
            }
        }
        self.out.write_all(b"\n")?;
        Ok(false)
    }
}

/// A line of a file of sums: the sum and the name.
fn parse(line: &[u8]) -> Option<(String, OsString)> {
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

fn check(context: &mut Context<'_>, command: &Checksum, file: &Path) -> Result<ExitCode, Failure> {
    let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut report = Report::default();
    let mut out = Stdout::lines();
    let (mut improper, mut failed, mut read) = (0, 0, 0);
    for line in text
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        context.check()?;
        let Some((sum, name)) = parse(line) else {
            improper += 1;
            continue;
        };
        let wanted = match (command.algorithm, sum.len()) {
            (Some(sum), _) => algorithm(sum),
            (None, 32) => Algorithm::Md5,
            (None, 40) => Algorithm::Sha1,
            (None, 64) => Algorithm::Sha256,
            (None, 128) => Algorithm::Sha512,
            (None, _) => {
                improper += 1;
                continue;
            }
        };
        if wanted.digits() != sum.len() {
            improper += 1;
            continue;
        }
        read += 1;
        let path = context.path(&name)?;
        let mounted = context.session.mount(&path.volume);
        let found = match report.settle(mounted)? {
            Some(mount) => {
                let open = mount.open(&path.path).map_err(Error::from);
                let found = open.and_then(|file| wanted.of(&file, context.signals.interrupt()));
                report.accept(path.label(), found)
            }
            None => None,
        };
        let said: &[u8] = match found {
            Some(found) if found == sum => {
                if context.options.quiet {
                    continue;
                }
                b": OK\n"
            }
            Some(_) => {
                failed += 1;
                b": FAILED\n"
            }
            None => b": FAILED open or read\n",
        };
        out.write_all(&crate::output::Names::for_stdout().show(OsStr::new(&name)))?;
        out.write_all(said)?;
    }
    let file = file.display();
    if read == 0 {
        report.error(&format!("{file}: no line is a sum and a name"));
    } else if improper > 0 {
        let text = format!("{file}: {improper} lines are no sum and name");
        crate::output::warning(&context.options, &text);
    }
    if failed > 0 {
        report.error(&format!("{file}: {failed} of {read} sums did not match"));
    }
    Ok(report.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let sum = "d41d8cd98f00b204e9800998ecf8427e";
        let line = |text: &str| parse(format!("{text}").as_bytes());
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
