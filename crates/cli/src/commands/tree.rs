//! `drupe tree`: lists files as a tree.

use std::ffi::OsString;
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;

use drupe::DirEntry;

use crate::args::Tree;
use crate::context::Context;
use crate::describe::Json;
use crate::exit::{ExitCode, Failure, Stop};
use crate::json_list::JsonList;
use crate::location::prefixes;
use crate::output::{Names, Report, Stdout};
use drupe_tree::{Node, Visitor, Walk};

struct Painter<'a> {
    command: &'a Tree,
    json: Option<JsonList>,
    out: BufWriter<Stdout>,
    /// What stands before the top: the image, if there are several.
    prefix: String,
    names: Names,
    /// Of each directory we are in, whether more comes beside it.
    more: Vec<bool>,
    dirs: u64,
    files: u64,
}

pub(crate) fn run(context: &mut Context<'_>, command: &Tree) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    let mut painter = Painter {
        command,
        json: JsonList::new(&context.options),
        out: Stdout::buffered(),
        prefix: String::new(),
        names: Names::for_stdout(),
        more: Vec::new(),
        dirs: 0,
        files: 0,
    };
    let paths = command.paths.iter().map(|argument| context.path(argument));
    let paths = paths.collect::<Result<Vec<_>, _>>()?;
    let prefixes = prefixes(&paths);
    for (path, prefix) in paths.into_iter().zip(prefixes) {
        let mounted = context.session.mount(&path.volume);
        let Some(mount) = report.settle(mounted)? else {
            continue;
        };
        painter.prefix = prefix;
        let top = path.on(&mount);
        report.walk(Walk::new(&top), &context.signals, &mut painter)?;
    }
    if let Some(json) = painter.json.take() {
        json.finish(&mut painter.out)?;
    } else if !context.options.quiet {
        let (dirs, files) = (painter.dirs, painter.files);
        match command.directories {
            true => writeln!(painter.out, "\n{dirs} directories")?,
            false => writeln!(painter.out, "\n{dirs} directories, {files} files")?,
        }
    }
    painter.out.flush()?;
    Ok(report.code())
}

impl Visitor for Painter<'_> {
    type Error = Failure;

    fn visit(&mut self, node: &Node<'_>) -> Result<bool, Stop> {
        let is_dir = node.metadata.is_dir();
        // Directories that could not be read were not left.
        self.more.truncate(node.depth);
        if node.depth > 0 {
            *(if is_dir {
                &mut self.dirs
            } else {
                &mut self.files
            }) += 1;
        }
        if let Some(json) = &mut self.json {
            let object = Json::new(node.path, node.metadata, node.mount);
            json.push(&mut self.out, &object)?;
        } else {
            self.line(node)?;
        }
        let deeper = self.command.level.is_none_or(|level| node.depth < level);
        if is_dir && deeper {
            self.more.push(!node.last);
        }
        Ok(deeper)
    }

    fn lists(&self, entry: &DirEntry) -> bool {
        let hidden = !self.command.all && entry.name().as_bytes().starts_with(b".");
        let is_dir = || entry.file_type().is_ok_and(|kind| kind.is_dir());
        !hidden && (!self.command.directories || is_dir())
    }

    fn leave(&mut self, _node: &Node<'_>) -> Result<(), Stop> {
        self.more.pop();
        Ok(())
    }
}

impl Painter<'_> {
    fn line(&mut self, node: &Node<'_>) -> Result<(), Stop> {
        if node.depth > 0 {
            // Not for the top, which has no branches.
            for more in self.more.iter().skip(1) {
                let bar = if *more { "│   " } else { "    " };
                self.out.write_all(bar.as_bytes())?;
            }
            let branch = if node.last {
                "└── "
            } else {
                "├── "
            };
            self.out.write_all(branch.as_bytes())?;
        }
        let mut shown = OsString::new();
        if node.depth == 0 {
            shown.push(&self.prefix);
        }
        shown.push(node.name());
        self.out.write_all(&self.names.show(&shown))?;
        if node.metadata.is_symlink() {
            self.out.write_all(b" -> ")?;
            let target = node.read_link()?;
            self.out.write_all(&self.names.show(target.as_os_str()))?;
        }
        Ok(writeln!(self.out)?)
    }
}
