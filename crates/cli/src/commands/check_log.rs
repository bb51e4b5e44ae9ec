//! `drupe check-log`: reads everything in an image, and shows the kernel's complaints.

use std::io::Write;

use serde::Serialize;

use super::kernel_log::{KernelLog, Line};
use crate::args::CheckLog;
use crate::context::Context;
use crate::exit::{ExitCode, Failure, Stop};
use crate::interrupt::Signals;
use crate::json_list::{JsonList, bytes_of};
use crate::location::ImagePath;
use crate::output::{Report, Stdout};
use drupe_tree::{Node, Visitor, Walk};

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// An image; the JSON output is an array of these.
#[derive(Serialize)]
struct Json {
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_bytes: Option<Vec<u8>>,
    /// All could be read.
    readable: bool,
    complaints: Vec<Line>,
}

pub(crate) fn run(context: &mut Context<'_>, command: &CheckLog) -> Result<ExitCode, Failure> {
    let mut log = KernelLog::open(context.session.kernel()?)?;
    let mut report = Report::default();
    let mut json = JsonList::new(&context.options);
    let mut out = Stdout::lines();
    for image in &command.images {
        let path = context.path(image)?;
        let read = read_all(context, &path, command, &mut report);
        let complaints = log.complaints();
        let label = path.volume.label();
        if json.is_none() {
            for Line { level, text } in &complaints {
                writeln!(out, "{label}: {level}: {text}")?;
            }
        }
        let readable = report.settle(read)?.unwrap_or(false);
        if !complaints.is_empty() {
            report.complained();
        }
        if let Some(json) = &mut json {
            let object = Json {
                image: label,
                image_bytes: bytes_of(&path.volume.name()),
                readable,
                complaints,
            };
            json.push(&mut out, &object)?;
        }
    }
    if let Some(json) = json {
        json.finish(&mut out)?;
    }
    Ok(report.code())
}

/// Reads every file of a filesystem, with its attributes. Returns whether all could be
/// read.
fn read_all(
    context: &mut Context<'_>,
    path: &ImagePath,
    command: &CheckLog,
    report: &mut Report,
) -> Result<bool, Failure> {
    let mut own = Report::default();
    let mount = context.session.mount(&path.volume)?;
    let mut reader = Reader {
        contents: !command.metadata_only,
        signals: &context.signals,
        chunk: vec![0; CHUNK],
    };
    let top = path.on(&mount);
    own.walk(Walk::new(&top), &context.signals, &mut reader)?;
    let readable = own.code() == ExitCode::Success;
    report.add(own);
    Ok(readable)
}

struct Reader<'a> {
    contents: bool,
    signals: &'a Signals,
    chunk: Vec<u8>,
}

impl Visitor for Reader<'_> {
    type Error = Failure;

    fn visit(&mut self, node: &Node<'_>) -> Result<bool, Stop> {
        node.xattrs()?;
        if node.metadata.is_symlink() {
            node.read_link()?;
        }
        if self.contents && node.metadata.is_file() {
            let file = node.open()?;
            let mut offset = 0;
            loop {
                self.signals.check().map_err(Stop::All)?;
                match file.read_at(&mut self.chunk, offset)? {
                    0 => break,
                    len => offset += len as u64,
                }
            }
        }
        Ok(true)
    }
}
