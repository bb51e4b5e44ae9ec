//! `drupe subvolume` and `drupe snapshot`: of btrfs.

use std::io::Write;
use std::path::{Path, PathBuf};

use drupe::{Cause, Dir, Errno, Mount};
use drupe_tree::Error;
use drupe_tree::paths::base_name;
use serde::Serialize;

use crate::args::{Snapshot, Subvolume, SubvolumeAction};
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::json_list::{JsonList, bytes_of, text_of};
use crate::output::{Names, Report, Stdout};

/// A subvolume; the JSON output is an array of these.
#[derive(Serialize)]
struct Json {
    id: u64,
    parent: u64,
    generation: u64,
    read_only: bool,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<Vec<u8>>,
}

pub(crate) fn run(context: &mut Context<'_>, command: &Subvolume) -> Result<ExitCode, Failure> {
    if command.action == SubvolumeAction::List {
        return list(context, command);
    }
    let mut report = Report::default();
    for (path, mount) in context.targets(&command.paths, &mut report)? {
        let changed = at(&mount, &path.path).and_then(|(dir, name)| match command.action {
            SubvolumeAction::Delete => dir.delete_subvolume(name),
            _ => dir.create_subvolume(name),
        });
        report.accept(path.label(), changed.map_err(explained));
    }
    Ok(report.code())
}

/// The directory of a path, and its name in that.
fn at(mount: &Mount, path: &Path) -> drupe::Result<(Dir, std::ffi::OsString)> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let name = base_name(path).unwrap_or_default().to_owned();
    Ok((mount.open_dir(parent)?, name))
}

/// What the kernel's error means here.
fn explained(error: drupe::Error) -> Error {
    match error.cause() {
        Cause::Errno(Errno::NOTTY) => Error::new("find subvolumes", "this filesystem is no btrfs"),
        Cause::Errno(Errno::NOTEMPTY) => {
            Error::new("delete subvolume", "another subvolume is in it")
        }
        Cause::Errno(Errno::INVAL) => Error::new("find subvolume", "it is no subvolume"),
        _ => error.into(),
    }
}

fn list(context: &mut Context<'_>, command: &Subvolume) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    let mut out = Stdout::buffered();
    let names = Names::for_stdout();
    let mut json = JsonList::new(&context.options);
    for argument in &command.paths {
        let volume = context.path(argument)?.volume;
        let mounted = context.session.mount(&volume);
        let Some(mount) = report.settle(mounted)? else {
            continue;
        };
        let found = mount.subvolumes().map_err(explained);
        let Some(mut found) = report.accept(volume.label(), found) else {
            continue;
        };
        found.sort_by_key(|subvolume| subvolume.id);
        for subvolume in found {
            if let Some(json) = &mut json {
                let object = Json {
                    id: subvolume.id,
                    parent: subvolume.parent,
                    generation: subvolume.generation,
                    read_only: subvolume.read_only,
                    path: text_of(&subvolume.path),
                    path_bytes: bytes_of(&subvolume.path),
                };
                json.push(&mut out, &object)?;
                continue;
            }
            let (id, generation, parent) = (subvolume.id, subvolume.generation, subvolume.parent);
            write!(out, "ID {id} gen {generation} top level {parent} path ")?;
            out.write_all(&names.show(subvolume.path.as_os_str()))?;
            writeln!(out)?;
        }
    }
    if let Some(json) = json {
        json.finish(&mut out)?;
    }
    out.flush()?;
    Ok(report.code())
}

pub(crate) fn snapshot(context: &mut Context<'_>, command: &Snapshot) -> Result<ExitCode, Failure> {
    let source = context.target(&command.source)?;
    let dest = context.target(&command.dest)?;
    if source.volume != dest.volume {
        return Err(Failure::usage(format!(
            "{} and {} are not on the same filesystem",
            source.label(),
            dest.label()
        )));
    }
    let mount = context.mount_for_writing(&dest.volume)?;
    let mut path = dest.path.clone();
    if mount.metadata(&path).is_ok_and(|found| found.is_dir()) {
        let name = base_name(&source.path).map_or_else(|| PathBuf::from("."), PathBuf::from);
        path.push(name);
    }
    let mut report = Report::default();
    let made = mount.open_dir(&source.path).and_then(|from| {
        let (dir, name) = at(&mount, &path)?;
        dir.snapshot(&from, name, command.read_only_snapshot)
    });
    report.accept(source.label(), made.map_err(explained));
    Ok(report.code())
}
