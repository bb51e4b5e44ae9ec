//! `drupe du`: space that files use.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use drupe::Metadata;
use serde::Serialize;

use crate::args::Du;
use crate::context::Context;
use crate::describe::human;
use crate::exit::{ExitCode, Failure, Stop};
use crate::json_list::{JsonList, bytes_of, text_of};
use crate::location::prefixes;
use crate::output::{Names, Report, Stdout};
use drupe_tree::{Node, Visitor, Walk};

/// What a path takes; the JSON output is an array of these.
#[derive(Serialize)]
struct Json {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<Vec<u8>>,
    bytes: u64,
}

struct Adder<'a> {
    command: &'a Du,
    json: Option<JsonList>,
    out: Stdout,
    /// What stands before paths: the image, if there are several.
    prefix: String,
    names: Names,
    /// Of the directories we are in, in bytes.
    sums: Vec<u64>,
    /// Files with several names count once.
    seen: HashSet<(u64, u64)>,
    total: u64,
}

pub(crate) fn run(context: &mut Context<'_>, command: &Du) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    let mut adder = Adder {
        command,
        json: JsonList::new(&context.options),
        out: Stdout::lines(),
        prefix: String::new(),
        names: Names::for_stdout(),
        sums: Vec::new(),
        seen: HashSet::new(),
        total: 0,
    };
    let paths = command.paths.iter().map(|argument| context.path(argument));
    let paths = paths.collect::<Result<Vec<_>, _>>()?;
    let prefixes = prefixes(&paths);
    for (path, prefix) in paths.into_iter().zip(prefixes) {
        let mounted = context.session.mount(&path.volume);
        let Some(mount) = report.settle(mounted)? else {
            continue;
        };
        adder.prefix = prefix;
        let top = path.on(&mount);
        report.walk(Walk::new(&top).nofollow(), &context.signals, &mut adder)?;
    }
    if command.total {
        let total = adder.total;
        adder.prefix.clear();
        adder.line(Path::new("total"), total)?;
    }
    if let Some(json) = adder.json.take() {
        json.finish(&mut adder.out)?;
    }
    Ok(report.code())
}

impl Adder<'_> {
    fn size(&self, metadata: &Metadata) -> u64 {
        match (self.command.bytes, metadata.is_dir()) {
            (true, true) => 0,
            (true, false) => metadata.len(),
            (false, _) => metadata.blocks() * 512,
        }
    }

    fn add(&mut self, bytes: u64) {
        match self.sums.last_mut() {
            Some(sum) => *sum += bytes,
            None => self.total += bytes,
        }
    }

    fn is_shown(&self, depth: usize) -> bool {
        let most = match self.command.summarize {
            true => 0,
            false => self.command.max_depth.unwrap_or(usize::MAX),
        };
        depth <= most
    }

    fn line(&mut self, path: &Path, bytes: u64) -> io::Result<()> {
        if let Some(json) = &mut self.json {
            let object = Json {
                path: text_of(path),
                path_bytes: bytes_of(path),
                bytes,
            };
            return json.push(&mut self.out, &object);
        }
        let size = match (self.command.human, self.command.bytes) {
            (true, _) => human(bytes),
            (false, true) => bytes.to_string(),
            (false, false) => bytes.div_ceil(1024).to_string(),
        };
        let mut shown = OsString::from(&self.prefix);
        shown.push(path);
        write!(self.out, "{size}\t")?;
        self.out.write_all(&self.names.show(&shown))?;
        writeln!(self.out)
    }
}

impl Visitor for Adder<'_> {
    type Error = Failure;

    fn visit(&mut self, node: &Node<'_>) -> Result<bool, Stop> {
        let metadata = node.metadata;
        let size = self.size(metadata);
        // Directories that could not be read were not left.
        while self.sums.len() > node.depth {
            let sum = self.sums.pop().unwrap_or(0);
            self.add(sum);
        }
        if metadata.is_dir() {
            self.sums.push(size);
            return Ok(true);
        }
        if metadata.nlink() > 1 && !self.seen.insert((metadata.dev(), metadata.ino())) {
            return Ok(false);
        }
        self.add(size);
        // A file that is named has a line of its own in any case.
        if node.depth == 0 || self.command.all && self.is_shown(node.depth) {
            self.line(node.path, size)?;
        }
        Ok(false)
    }

    fn leave(&mut self, node: &Node<'_>) -> Result<(), Stop> {
        let sum = self.sums.pop().unwrap_or(0);
        self.add(sum);
        if self.is_shown(node.depth) {
            self.line(node.path, sum)?;
        }
        Ok(())
    }
}
