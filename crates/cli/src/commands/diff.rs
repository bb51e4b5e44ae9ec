//! `drupe diff`: what differs between two trees of files.

use std::ffi::OsStr;
use std::io::Write;

use drupe_tree::{Change, DiffOptions, Difference, Field};
use serde::Serialize;

use crate::args::Diff;
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::json_list::{JsonList, bytes_of, text_of};
use crate::location::{ImagePath, Location};
use crate::output::{Names, Stdout};

/// A file that differs; the JSON output is an array of these.
#[derive(Serialize)]
struct Json {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<Vec<u8>>,
    change: &'static str,
    fields: Vec<JsonField>,
}

#[derive(Serialize)]
struct JsonField {
    name: String,
    before: String,
    after: String,
}

/// A directory of the host, or an image, whose root is meant if there is no path.
pub(crate) fn location(context: &Context<'_>, argument: &OsStr) -> Location {
    match context.location(argument) {
        Location::Host(path) if !path.is_dir() => Location::Image(ImagePath::parse(argument)),
        location => location,
    }
}

pub(crate) fn run(context: &mut Context<'_>, command: &Diff) -> Result<ExitCode, Failure> {
    let before = location(context, &command.before);
    let before = context.locate(before)?;
    let after = location(context, &command.after);
    let after = context.locate(after)?;
    let options = DiffOptions {
        ignore_times: command.ignore_times,
        ignore_owners: command.ignore_owners,
        ignore_xattrs: command.ignore_xattrs,
    };
    let mut out = Stdout::buffered();
    let mut json = JsonList::new(&context.options);
    let mut differs = false;
    let names = Names::for_stdout();
    let mut printed = Ok(());
    let mut print = |difference: Difference| -> std::io::Result<()> {
        differs = true;
        match &mut json {
            Some(json) => json.push(&mut out, &object(&difference)),
            None => text(&mut out, names, &difference),
        }
    };
    let code = context.work(false, |work| {
        let mut found = |difference: Difference| {
            let done = print(difference);
            done.map_err(|error| {
                let told = drupe_tree::Error::new("print", error.to_string());
                printed = Err(error);
                told
            })
        };
        let (interrupt, progress) = (work.interrupt, work.progress);
        drupe_tree::diff(&before, &after, &options, interrupt, progress, &mut found)
    });
    printed?;
    let code = code?;
    if let Some(json) = json {
        json.finish(&mut out)?;
    }
    out.flush()?;
    Ok(match (code, differs) {
        (ExitCode::Success, true) => ExitCode::Failed,
        (code, _) => code,
    })
}

fn object(difference: &Difference) -> Json {
    let (change, fields) = match &difference.change {
        Change::Added => ("added", &[][..]),
        Change::Removed => ("removed", &[][..]),
        Change::Changed(fields) => ("changed", &fields[..]),
    };
    let fields = fields.iter().map(|field| JsonField {
        name: field.name.clone(),
        before: field.before.clone(),
        after: field.after.clone(),
    });
    Json {
        path: text_of(&difference.path),
        path_bytes: bytes_of(&difference.path),
        change,
        fields: fields.collect(),
    }
}

fn text(out: &mut impl Write, names: Names, difference: &Difference) -> std::io::Result<()> {
    let (sign, fields) = match &difference.change {
        Change::Added => ("+", &[][..]),
        Change::Removed => ("-", &[][..]),
        Change::Changed(fields) => ("=", &fields[..]),
    };
    write!(out, "{sign} ")?;
    out.write_all(&names.show(difference.path.as_os_str()))?;
    let mut separator = ": ";
    for field in fields {
        out.write_all(separator.as_bytes())?;
        let Field {
            name,
            before,
            after,
        } = field;
        let said = match (&**before, &**after) {
            ("", "") => name.clone(),
            ("", after) => format!("{name} added {after}"),
            (before, "") => format!("{name} removed {before}"),
            (before, after) => format!("{name} {before} -> {after}"),
        };
        out.write_all(&names.show(OsStr::new(&said)))?;
        separator = ", ";
    }
    writeln!(out)
}
