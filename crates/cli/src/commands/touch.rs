//! `drupe touch`: changes times, and makes empty files.

use std::time::SystemTime;

use drupe::{Errno, FileTimes, Mount, OpenOptions};

use crate::args::Touch;
use crate::context::Context;
use crate::epoch;
use crate::exit::{ExitCode, Failure};
use crate::location::ImagePath;
use crate::output::Report;
use drupe_tree::Result;
use drupe_tree::Umask;
use drupe_tree::{Time, times};

pub(crate) fn run(
    context: &mut Context<'_>,
    command: &Touch,
) -> std::result::Result<ExitCode, Failure> {
    let umask = Umask::get();
    let mut report = Report::default();
    let targets = context.targets(&command.paths, &mut report)?;
    let new = times_to_set(context, command)?;
    for (path, mount) in targets {
        let touched = touch(&mount, &path, command, new, umask);
        report.accept(path.label(), touched);
    }
    Ok(report.code())
}

fn times_to_set(
    context: &mut Context<'_>,
    command: &Touch,
) -> std::result::Result<FileTimes, Failure> {
    let (accessed, modified) = match &command.reference {
        Some(reference) => {
            let reference = context.path(reference)?;
            let mount = context.session.mount(&reference.volume)?;
            let found = mount.metadata(&reference.path)?;
            drupe_tree::times_of(&found)
        }
        None => {
            let given = command.date.or(command.stamp);
            let now = || epoch::get().map(|epoch| epoch.unwrap_or(SystemTime::now().into()));
            let time = given.map_or_else(now, Ok)?;
            (time, time)
        }
    };
    // Neither -a nor -m means both.
    let wanted = |time: Time, this: bool, other: bool| (this || !other).then_some(time);
    Ok(times(
        wanted(accessed, command.accessed, command.modified),
        wanted(modified, command.modified, command.accessed),
    ))
}

fn touch(
    mount: &Mount,
    path: &ImagePath,
    command: &Touch,
    new: FileTimes,
    umask: u32,
) -> Result<()> {
    let path = &path.path;
    let set = || match command.no_dereference {
        true => mount.set_times_nofollow(path, new),
        false => mount.set_times(path, new),
    };
    match set() {
        Err(error) if error.errno() == Some(Errno::NOENT) => {
            if command.no_create || command.no_dereference {
                return Ok(());
            }
            let mut options = OpenOptions::new();
            options.write(true).create(true).mode(0o666 & !umask);
            let file = mount.open_with(path, &options)?;
            Ok(file.set_times(new)?)
        }
        result => Ok(result?),
    }
}
