//! `drupe checksum`: sums of files, in the form of sha256sum(1), and their check.

use std::ffi::OsStr;
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
use crate::sums::parse;

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
