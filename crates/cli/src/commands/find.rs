//! `drupe find`: finds files by name and attributes.

mod expression;

use std::ffi::OsString;
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;

use drupe::Mount;

use self::expression::{Action, Expression, Outcome};
use crate::args::Find;
use crate::context::Context;
use crate::describe::Json;
use crate::exit::{ExitCode, Failure, Stop};
use crate::json_list::JsonList;
use crate::location::prefixes;
use crate::output::{Names, Report, Stdout};
use drupe_tree::{Node, Visitor, Walk};

pub(crate) fn run(context: &mut Context<'_>, command: &Find) -> Result<ExitCode, Failure> {
    let (paths, words) = command.split();
    if paths.is_empty() {
        return Err(Failure::usage("find needs a path before the expression"));
    }
    let mut report = Report::default();
    let mut out = Stdout::buffered();
    let mut json = JsonList::new(&context.options);
    let located = paths.iter().map(|argument| context.path(argument));
    let located = located.collect::<Result<Vec<_>, _>>()?;
    let prefixes = prefixes(&located);
    for ((argument, path), prefix) in paths.iter().zip(located).zip(prefixes) {
        let mounted = match command.deletes() {
            true => context.mount_for_writing(&context.target(argument)?.volume),
            false => context.session.mount(&path.volume),
        };
        let Some(mount) = report.settle(mounted)? else {
            continue;
        };
        let expression = Expression::parse(
            words,
            &mut |reference| {
                let path = context.path(reference)?;
                let mount = context.session.mount(&path.volume)?;
                Ok(mount.metadata(&path.path)?)
            },
            &mount,
        )?;
        let mut finder = Finder {
            expression: &expression,
            json: json.as_mut(),
            prefix,
            names: Names::for_stdout(),
            out: &mut out,
        };
        let top = path.on(&mount);
        report.walk(Walk::new(&top).nofollow(), &context.signals, &mut finder)?;
    }
    if let Some(json) = json {
        json.finish(&mut out)?;
    }
    out.flush()?;
    Ok(report.code())
}

struct Finder<'a> {
    expression: &'a Expression,
    json: Option<&'a mut JsonList>,
    /// What stands before paths: the image, if there are several.
    prefix: String,
    names: Names,
    out: &'a mut BufWriter<Stdout>,
}

impl Finder<'_> {
    /// Evaluates the expression, unless it is for another depth.
    fn meet(&mut self, node: &Node<'_>) -> Result<bool, Stop> {
        if node.depth < self.expression.min_depth {
            return Ok(true);
        }
        let Outcome { actions, prune } = self.expression.evaluate(node)?;
        for action in actions {
            match action {
                Action::Print => self.print(node, b"\n")?,
                Action::Print0 => self.print(node, b"\0")?,
                Action::Delete => match node.depth {
                    0 if node.path.parent().is_none() => {}
                    _ => node.remove()?,
                },
            }
        }
        Ok(!prune)
    }

    fn print(&mut self, node: &Node<'_>, end: &[u8]) -> Result<(), Stop> {
        let path = node.path.as_os_str();
        if let Some(json) = &mut self.json {
            let object = Json::new(node.path, node.metadata, node.mount);
            return Ok(json.push(&mut self.out, &object)?);
        }
        let mut shown = OsString::from(&self.prefix);
        shown.push(path);
        match end {
            b"\0" => self.out.write_all(shown.as_bytes())?,
            _ => self.out.write_all(&self.names.show(&shown))?,
        }
        Ok(self.out.write_all(end)?)
    }
}

impl Visitor for Finder<'_> {
    type Error = Failure;

    fn visit(&mut self, node: &Node<'_>) -> Result<bool, Stop> {
        let deeper = node.depth < self.expression.max_depth;
        // What is deleted comes after what is in it.
        if self.expression.deletes && node.metadata.is_dir() && deeper {
            return Ok(true);
        }
        Ok(self.meet(node)? && deeper)
    }

    fn leave(&mut self, node: &Node<'_>) -> Result<(), Stop> {
        match self.expression.deletes {
            true => self.meet(node).map(drop),
            false => Ok(()),
        }
    }
}

/// Whether a file has nothing in it.
fn is_empty(node: &Node<'_>) -> Result<bool, Stop> {
    let metadata = node.metadata;
    if metadata.is_dir() {
        return Ok(node.open_dir()?.read_dir()?.next().transpose()?.is_none());
    }
    Ok(metadata.is_file() && metadata.len() == 0)
}

/// The number of a user or group of the image.
fn number(names: &drupe_tree::Names, word: &str) -> Option<u32> {
    let known = names.numbers.get(word.as_bytes()).copied();
    known.or_else(|| word.parse().ok())
}

fn users(mount: &Mount) -> Result<drupe_tree::Names, Failure> {
    Ok(drupe_tree::Names::users(mount)?)
}
