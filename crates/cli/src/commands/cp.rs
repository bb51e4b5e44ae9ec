//! `drupe cp`: copies files into an image, out of one, or between two.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use drupe_tree::{Backup, CopyOptions, Interrupt, Location, Overrides, Policy, Replacing, Umask};

use crate::args::Cp;
use crate::context::Context;
use crate::epoch;
use crate::exit::{ExitCode, Failure};
use crate::interrupt::Signals;
use crate::location;
use crate::output::Report;

pub(crate) fn run(context: &mut Context<'_>, command: &Cp) -> Result<ExitCode, Failure> {
    let mut paths: Vec<location::Location> = command
        .paths
        .iter()
        .map(|path| context.location(path))
        .collect();
    let Some(dest) = paths.pop() else {
        return Err(Failure::usage("nothing to copy"));
    };
    let is_host = |path: &location::Location| matches!(path, location::Location::Host(_));
    if is_host(&dest) && paths.iter().any(is_host) {
        let mistaken = command.paths.iter().find_map(location::with_colon);
        let hint = mistaken.unwrap_or("a path in an image is written IMAGE:/PATH".into());
        let what = "a source and the destination are both files of the host";
        return Err(Failure::usage(what).with_hint(hint));
    }
    if let location::Location::Image(image) = &dest {
        context.open_for_writing(&image.volume.image)?;
    }
    let dest = context.locate(dest)?;
    let (uid, gid) = match (&command.chown, &dest) {
        (None, _) => (None, None),
        (Some(owners), Location::Image(image)) => owners.resolve(&image.mount)?,
        (Some(_), Location::Host(_)) => {
            return Err(Failure::usage("--chown is for copies into an image"));
        }
    };
    context.signals.install()?;
    let options = CopyOptions {
        recursive: command.recursive,
        archive: command.archive,
        overrides: Overrides {
            uid,
            gid,
            mode: command.mode.clone(),
            modified: command.mtime,
            epoch: epoch::get()?,
        },
        replacing: replacing(command, &context.signals)?,
        ..CopyOptions::default()
    };
    context.asks = matches!(options.replacing.policy, Policy::Ask(_));
    if context.asks {
        context.own_stdin()?;
    }
    let mut report = Report::default();
    let mut sources = Vec::new();
    let several = paths.len() > 1;
    for path in paths {
        match context.locate(path) {
            // The rest goes into a directory as if it were not there.
            Err(failure) if several && is_dir(&dest) => {
                report.settle(Err::<(), _>(failure))?;
            }
            source => sources.push(source?),
        }
    }
    if sources.is_empty() {
        return Ok(report.code());
    }
    let copied = context.work(command.verbose, |work| {
        let umask = Umask::take();
        drupe_tree::copy(
            &sources,
            &dest,
            &options,
            &umask,
            work.interrupt,
            work.progress,
        )
    })?;
    if context.asks {
        // A signal was the answer to the last question.
        context.signals.check()?;
    }
    Ok(match copied {
        ExitCode::Success | ExitCode::Failed if report.code() != ExitCode::Success => report.code(),
        code => code,
    })
}

fn is_dir(location: &Location) -> bool {
    match location {
        Location::Host(path) => path.is_dir(),
        Location::Image(image) => {
            let found = image.mount.metadata(&image.path);
            found.is_ok_and(|found| found.is_dir())
        }
    }
}

/// What to do about names that are taken.
fn replacing(command: &Cp, signals: &Signals) -> Result<Replacing, Failure> {
    let control = match &command.backup {
        Some(control) => control,
        None if command.b => "existing",
        None => "none",
    };
    let backup = Backup::parse(control, command.suffix.clone());
    let backup = backup.map_err(|error| Failure::usage(format!("--backup: {error}")))?;
    if backup.is_some() && command.no_clobber {
        return Err(Failure::usage("-n leaves nothing to make a backup of"));
    }
    Ok(Replacing {
        policy: match (command.no_clobber, command.interactive) {
            (true, _) => Policy::Never,
            (false, true) => {
                let interrupt = signals.interrupt().clone();
                Policy::Ask(Arc::new(move |path| ask(path, &interrupt)))
            }
            (false, false) => Policy::Always,
        },
        backup,
        force: command.force,
    })
}

/// Asks as `cp -i` does. A signal is no.
fn ask(path: &str, interrupt: &Interrupt) -> io::Result<bool> {
    write!(io::stderr(), "drupe: overwrite {path:?}? ")?;
    let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut input = interrupt.waiting(stdin);
    let mut answer = Vec::new();
    let mut byte = [0];
    // Not more than the line: the rest answers the next question.
    loop {
        match input.read(&mut byte) {
            Err(_) if interrupt.requested() => return Ok(false),
            Err(error) => return Err(error),
            Ok(0) => break,
            Ok(_) if byte == *b"\n" => break,
            Ok(_) => answer.push(byte[0]),
        }
    }
    Ok(answer.trim_ascii_start().starts_with(b"y") || answer.trim_ascii_start().starts_with(b"Y"))
}

impl Cp {
    /// Without any other option.
    pub(crate) fn new(recursive: bool, archive: bool, paths: Vec<OsString>) -> Cp {
        Cp {
            recursive,
            archive,
            paths,
            ..Cp::default()
        }
    }
}
