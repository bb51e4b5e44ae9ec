//! `drupe getcap` and `drupe setcap`: capabilities of files.

use std::ffi::OsString;
use std::io::Write;

use drupe::Errno;
use drupe_tree::capabilities::{Capabilities, XATTR};
use drupe_tree::{Error, Node, Visitor, Walk};

use crate::args::{Getcap, Setcap};
use crate::context::Context;
use crate::exit::{ExitCode, Failure, Stop};
use crate::output::{Names, Report, Stdout};

pub(crate) fn get(context: &mut Context<'_>, command: &Getcap) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
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
            names: Names::for_stdout(),
        };
        let top = path.on(&mount);
        report.walk(Walk::new(&top), &context.signals, &mut visitor)?;
    }
    out.flush()?;
    Ok(report.code())
}

struct Printer<'a, W> {
    out: &'a mut W,
    command: &'a Getcap,
    names: Names,
}

impl<W: Write> Visitor for Printer<'_, W> {
    type Error = Failure;

    fn visit(&mut self, node: &Node<'_>) -> Result<bool, Stop> {
        if !node.metadata.is_file() {
            return Ok(self.command.recursive);
        }
        let value = match node.mount.lget_xattr(node.path, XATTR) {
            Err(error) if error.errno() == Some(Errno::OPNOTSUPP) => None,
            value => value?,
        };
        if let Some(value) = value {
            let found = Capabilities::from_bytes(&value)?;
            self.out
                .write_all(&self.names.show(node.path.as_os_str()))?;
            write!(self.out, " {found}")?;
            if let (true, Some(root)) = (self.command.namespace, found.root) {
                write!(self.out, " [rootid={root}]")?;
            }
            writeln!(self.out)?;
        }
        Ok(false)
    }
}

pub(crate) fn set(context: &mut Context<'_>, command: &Setcap) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    let paths: Vec<OsString> = command.paths().map(OsString::from).collect();
    let mut wanted = Vec::new();
    if !command.remove {
        if !command.words.len().is_multiple_of(2) {
            return Err(Failure::usage(
                "give capabilities and a file, such as cap_net_raw=ep IMAGE:/PATH",
            ));
        }
        for text in command.words.iter().step_by(2) {
            let parsed = Capabilities::parse(&text.to_string_lossy()).map_err(Failure::usage)?;
            wanted.push(Capabilities {
                root: command.namespace,
                ..parsed
            });
        }
    }
    // Each file by itself: one that cannot be reached is left out of the list.
    for (index, argument) in paths.iter().enumerate() {
        let targets = context.targets(std::slice::from_ref(argument), &mut report)?;
        for (path, mount) in targets {
            let change = || -> drupe_tree::Result<()> {
                if !mount.metadata(&path.path)?.is_file() {
                    return Err(Error::new(
                        "set capabilities",
                        "only regular files have them",
                    ));
                }
                match wanted.get(index) {
                    Some(wanted) => mount.set_xattr(&path.path, XATTR, wanted.to_bytes())?,
                    None => mount.remove_xattr(&path.path, XATTR)?,
                }
                Ok(())
            };
            report.accept(path.label(), change());
        }
    }
    Ok(report.code())
}
