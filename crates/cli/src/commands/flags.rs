//! `drupe lsattr` and `drupe chattr`: flags and project numbers of inodes.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use drupe::{DirEntry, Errno};
use drupe_tree::flags::{FlagChange, long, short};
use drupe_tree::{Error, Node, Visitor, Walk};

use crate::args::{Chattr, Lsattr};
use crate::context::Context;
use crate::exit::{ExitCode, Failure, Stop};
use crate::output::{Names, Report, Stdout};

/// Where `struct fsxattr` has the project number.
const PROJECT: std::ops::Range<usize> = 12..16;

fn project_of(attributes: &[u8; 28]) -> u32 {
    let bytes = attributes[PROJECT].first_chunk();
    u32::from_ne_bytes(bytes.copied().unwrap_or_default())
}

/// What has no flags says so in two ways.
fn explained(error: drupe::Error) -> Error {
    match error.errno() {
        Some(Errno::NOTTY | Errno::OPNOTSUPP) => {
            Error::new("use flags", "this filesystem has none of this kind")
        }
        _ => error.into(),
    }
}

pub(crate) fn list(context: &mut Context<'_>, command: &Lsattr) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    let mut out = Stdout::buffered();
    for argument in &command.paths {
        let path = context.path(argument)?;
        let mounted = context.session.mount(&path.volume);
        let Some(mount) = report.settle(mounted)? else {
            continue;
        };
        let mut visitor = Lister {
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

struct Lister<'a, W> {
    out: &'a mut W,
    command: &'a Lsattr,
    names: Names,
}

impl<W: Write> Visitor for Lister<'_, W> {
    type Error = Failure;

    fn lists(&self, entry: &DirEntry) -> bool {
        self.command.all || !entry.file_name().as_bytes().starts_with(b".")
    }

    fn visit(&mut self, node: &Node<'_>) -> Result<bool, Stop> {
        let metadata = node.metadata;
        let is_top_dir = node.depth == 0 && metadata.is_dir();
        if is_top_dir && !self.command.directory {
            return Ok(true);
        }
        if !(metadata.is_dir() || metadata.is_file()) {
            return match node.depth {
                0 => Err(Error::new("get flags", "only files and directories have them").into()),
                _ => Ok(false),
            };
        }
        let file = node.open()?;
        let flags = file.flags().map_err(explained)?;
        if self.command.project {
            let project = project_of(&file.fsxattr().map_err(explained)?);
            write!(self.out, "{project:5} ")?;
        }
        let name = self.names.show(node.path.as_os_str());
        match self.command.long {
            true => {
                self.out.write_all(&name)?;
                let padding = 28usize.saturating_sub(name.len());
                writeln!(self.out, "{} {}", " ".repeat(padding), long(flags))?;
            }
            false => {
                write!(self.out, "{} ", short(flags))?;
                self.out.write_all(&name)?;
                writeln!(self.out)?;
            }
        }
        Ok(self.command.recursive && !self.command.directory)
    }
}

pub(crate) fn change(context: &mut Context<'_>, command: &Chattr) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    let (flags, paths) = command.split();
    let flags: String = flags.iter().map(|word| word.to_string_lossy()).collect();
    let change = match flags.is_empty() {
        true => None,
        false => Some(FlagChange::parse(&flags).map_err(Failure::usage)?),
    };
    if change.is_none() && command.project.is_none() {
        return Err(Failure::usage(
            "give flags, such as +i or -A, or -p PROJECT",
        ));
    }
    if paths.is_empty() {
        return Err(Failure::usage("give a file of an image, behind the flags"));
    }
    for (path, mount) in context.targets(paths, &mut report)? {
        let mut visitor = Changer {
            change,
            project: command.project,
            recursive: command.recursive,
        };
        let top = path.on(&mount);
        report.walk(Walk::new(&top), &context.signals, &mut visitor)?;
    }
    Ok(report.code())
}

struct Changer {
    change: Option<FlagChange>,
    project: Option<u32>,
    recursive: bool,
}

impl Changer {
    fn change(&self, node: &Node<'_>) -> Result<(), Stop> {
        let file = node.open()?;
        if let Some(project) = self.project {
            let mut attributes = file.fsxattr().map_err(explained)?;
            if project_of(&attributes) != project {
                attributes[PROJECT].copy_from_slice(&project.to_ne_bytes());
                file.set_fsxattr(&attributes).map_err(explained)?;
            }
        }
        if let Some(change) = &self.change {
            let before = file.flags().map_err(explained)?;
            let after = change.apply(before, node.metadata.is_dir());
            if after != before {
                file.set_flags(after).map_err(explained)?;
            }
        }
        Ok(())
    }
}

impl Visitor for Changer {
    type Error = Failure;

    fn visit(&mut self, node: &Node<'_>) -> Result<bool, Stop> {
        let metadata = node.metadata;
        if metadata.is_dir() || metadata.is_file() {
            self.change(node)?;
        } else if node.depth == 0 {
            return Err(Error::new("set flags", "only files and directories have them").into());
        }
        Ok(self.recursive)
    }
}
