//! `drupe shell` and `drupe script`: many commands on one kernel.
//!
//! [`run_line`] runs a line; [`script`] takes lines from a file, [`prompt`] from
//! a person.

mod complete;
mod prompt;
mod script;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Parser;
use clap::error::ErrorKind;

use crate::args::{Cp, Line, Transfer, Verb};
use crate::commands::cp;
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::location::ImagePath;
use crate::output::{Names, Stdout};

pub(crate) use prompt::shell;
pub(crate) use script::script;

/// Commands that are about the current directory if nothing is named.
const HERE: [&str; 10] = [
    "ls",
    "tree",
    "du",
    "df",
    "find",
    "fstrim",
    "check-log",
    "label",
    "uuid",
    "scrub",
];

/// What a line has done.
#[derive(Debug, PartialEq, Eq)]
enum Done {
    /// A command, and how it went.
    Code(ExitCode),
    /// It was the last one.
    Exit,
}

/// Enters a directory of an image, which all paths begin at from then on.
fn enter(context: &mut Context<'_>, argument: &OsStr) -> Result<(), Failure> {
    let path = context.path(argument)?;
    let mount = context.session.mount(&path.volume)?;
    let real = mount.canonicalize(&path.path)?;
    match mount.metadata(&real)?.is_dir() {
        true => {
            context.here = Some(ImagePath {
                volume: path.volume,
                path: real,
            });
            Ok(())
        }
        false => Err(anyhow!("{} is not a directory", path.label()).into()),
    }
}

/// Runs a line: a command, `!` and a command of the host, a comment, nothing.
fn run_line(context: &mut Context<'_>, line: &[u8]) -> Result<Done, Failure> {
    let line = line.trim_ascii();
    if let Some(command) = line.strip_prefix(b"!") {
        return on_host(context, OsStr::from_bytes(command));
    }
    let Some(words) = shlex::bytes::split(line) else {
        return Err(Failure::usage("a quote or a backslash has no end"));
    };
    if words.is_empty() {
        return Ok(Done::Code(ExitCode::Success));
    }
    if let Some(operator) = operator(line) {
        let message = format!("{operator}: there are no redirections and no pipes here");
        let hint = "`put` and `get` copy files of the host in and out; !COMMAND runs a command \
                    of the host in its shell, and a name like this needs quotes";
        return Err(Failure::usage(message).with_hint(hint));
    }
    let mut words: Vec<OsString> = words.into_iter().map(OsString::from_vec).collect();
    let mut parsed = Line::try_parse_from(&words);
    if let Err(error) = &parsed
        && error.kind() == ErrorKind::MissingRequiredArgument
        && HERE.iter().any(|name| words[0] == *name)
    {
        let here = context.here.as_ref();
        words.push(here.map_or_else(|| ".".into(), |here| here.path.clone().into()));
        parsed = Line::try_parse_from(&words);
    }
    let line = match parsed {
        Ok(line) => line,
        Err(error) => return explain(&error),
    };
    let mut options = context.options.clone();
    options.json |= line.json;
    options.json_lines |= line.json_lines;
    options.quiet |= line.quiet;
    let before = std::mem::replace(&mut context.options, options);
    let done = verb(context, &line.verb);
    context.options = before;
    // What has no newline behind it must not wait for the next command.
    let flushed = io::stdout().flush();
    let done = done?;
    flushed?;
    Ok(done)
}

/// An operator of a shell in a line, that is not in quotes.
fn operator(line: &[u8]) -> Option<String> {
    const ALONE: [&[u8]; 7] = [b"<", b"<<", b"|", b"||", b"&&", b"2>", b"2>>"];
    // Sizes may begin like one: `truncate -s >1M`.
    let is_size = line.starts_with(b"truncate ");
    let mut quote = None;
    let mut start = Some(0);
    for (at, &byte) in line.iter().enumerate() {
        match (quote, byte) {
            (Some(b'\\'), _) => quote = None,
            (Some(open), _) => quote = (byte != open).then_some(open),
            (None, b'\'' | b'"' | b'\\') => quote = Some(byte),
            (None, _) if byte.is_ascii_whitespace() => {
                start = Some(at + 1);
                continue;
            }
            (None, _) => {}
        }
        if start.take() != Some(at) {
            continue;
        }
        let word = line[at..].split(u8::is_ascii_whitespace).next()?;
        if ALONE.contains(&word) || (byte == b'>' && !is_size) {
            return Some(String::from_utf8_lossy(word).into_owned());
        }
    }
    None
}

/// One line of what clap has to say; or help, which was asked for.
fn explain(error: &clap::Error) -> Result<Done, Failure> {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        error.print()?;
        return Ok(Done::Code(ExitCode::Success));
    }
    let text = error.to_string();
    let first: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    let text = first.join(" ");
    Err(Failure::usage(
        text.strip_prefix("error: ").unwrap_or(&text),
    ))
}

fn verb(context: &mut Context<'_>, verb: &Verb) -> Result<Done, Failure> {
    let code = match verb {
        Verb::Exit => return Ok(Done::Exit),
        Verb::Cd { path } => {
            let root = OsStr::new("/");
            enter(context, path.as_deref().unwrap_or(root))?;
            ExitCode::Success
        }
        Verb::Pwd => {
            let here = context.here.as_ref();
            let here = here.ok_or_else(|| Failure::usage("there is no image yet: cd IMAGE:/"))?;
            let mut out = Stdout::lines();
            out.write_all(&Names::for_stdout().show(here.path.as_os_str()))?;
            writeln!(out)?;
            ExitCode::Success
        }
        Verb::Lcd { path } => {
            let home = || std::env::var_os("HOME").map(PathBuf::from);
            let path = path.clone().or_else(home).unwrap_or_else(|| "/".into());
            leave_directory(context)?;
            std::env::set_current_dir(&path)
                .with_context(|| format!("cannot change to {}", path.display()))?;
            ExitCode::Success
        }
        Verb::Lpwd => {
            let dir = std::env::current_dir()?;
            writeln!(Stdout::lines(), "{}", dir.display())?;
            ExitCode::Success
        }
        Verb::Put(transfer) => {
            let (sources, dest) = split(context, transfer)?;
            let mut paths: Vec<OsString> = sources.iter().map(|path| of_host(path)).collect();
            paths.push(dest.unwrap_or(OsStr::new(".")).to_owned());
            cp::run(context, &copying(transfer, paths))?
        }
        Verb::Get(transfer) => {
            let (sources, dest) = split(context, transfer)?;
            let mut paths = sources.to_vec();
            paths.push(of_host(dest.unwrap_or(OsStr::new("."))));
            cp::run(context, &copying(transfer, paths))?
        }
        Verb::Tool(command) => crate::execute(context, command)?,
    };
    Ok(Done::Code(code))
}

/// The host's directory changes: where the image is must not depend on it.
fn leave_directory(context: &mut Context<'_>) -> Result<(), Failure> {
    if let Some(here) = &mut context.here {
        here.volume.image = std::path::absolute(&here.volume.image)?;
    }
    Ok(())
}

/// What to copy, and where to, if that is said.
fn split<'a>(
    context: &Context<'_>,
    transfer: &'a Transfer,
) -> Result<(&'a [OsString], Option<&'a OsStr>), Failure> {
    if context.here.is_none() {
        return Err(Failure::usage("there is no image yet: cd IMAGE:/"));
    }
    Ok(match &transfer.paths[..] {
        [sources @ .., dest] if !sources.is_empty() => (sources, Some(dest)),
        only => (only, None),
    })
}

fn of_host(path: &OsStr) -> OsString {
    let mut argument = OsString::from("host:");
    argument.push(path);
    argument
}

fn copying(transfer: &Transfer, paths: Vec<OsString>) -> Cp {
    Cp::new(transfer.recursive, transfer.archive, paths)
}

/// Runs a command of the host with its shell.
fn on_host(context: &Context<'_>, command: &OsStr) -> Result<Done, Failure> {
    let mut sh = std::process::Command::new("/bin/sh");
    sh.arg("-c").arg(command);
    if context.stdin_is_script {
        sh.stdin(std::process::Stdio::null());
    }
    let status = sh.status().context("cannot run /bin/sh")?;
    match status.success() {
        true => Ok(Done::Code(ExitCode::Success)),
        false => Err(anyhow!("the command of the host failed: {status}").into()),
    }
}

/// Where the history is kept, by the XDG base directory specification.
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.filter(|path| path.is_absolute()).or_else(|| {
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
        Some(Path::new(&home).join(".local/state"))
    });
    Some(state?.join("drupe/history"))
}
