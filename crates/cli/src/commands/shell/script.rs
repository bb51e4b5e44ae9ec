//! Reads commands from a file or a pipe.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsFd;

use anyhow::Context as _;

use super::{Done, enter, run_line};
use crate::args::Script;
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::output;

pub(crate) fn script(context: &mut Context<'_>, command: &Script) -> Result<ExitCode, Failure> {
    if let Some(image) = &command.image {
        enter(context, image)?;
    }
    match &command.file {
        Some(path) if path.as_os_str() != "-" => {
            let shown = path.display().to_string();
            let file =
                drupe_tree::open_input(path).with_context(|| format!("cannot open {shown}"))?;
            lines(context, file, &shown, command.keep_going)
        }
        _ => standard_input(context, command.keep_going),
    }
}

pub(super) fn standard_input(
    context: &mut Context<'_>,
    keep_going: bool,
) -> Result<ExitCode, Failure> {
    let before = std::mem::replace(&mut context.stdin_is_script, true);
    let stdin = io::stdin().as_fd().try_clone_to_owned();
    let stdin = File::from(stdin.context("cannot read standard input")?);
    let done = lines(context, stdin, "standard input", keep_going);
    context.stdin_is_script = before;
    done
}

/// Runs lines until one fails, or all of them. Lines about what went wrong begin
/// with the file and the line.
fn lines(
    context: &mut Context<'_>,
    input: File,
    name: &str,
    keep_going: bool,
) -> Result<ExitCode, Failure> {
    context.signals.install()?;
    let mut input = BufReader::new(context.signals.interrupt().waiting(input));
    let mut first = ExitCode::Success;
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let len = input.read_until(b'\n', &mut line);
        output::set_place(String::new());
        context.check()?;
        if len.with_context(|| format!("cannot read {name}"))? == 0 {
            break;
        }
        output::set_place(format!("{name}:{number}: "));
        let code = match run_line(context, &line) {
            Ok(Done::Exit) => break,
            Ok(Done::Code(code)) => code,
            Err(failure) if keep_going && may_go_on(&failure) => {
                output::failure(&failure);
                failure.code
            }
            Err(failure) => return Err(failure),
        };
        context.check()?;
        if first == ExitCode::Success {
            first = code;
        }
        if code != ExitCode::Success && !keep_going {
            return Ok(code);
        }
    }
    output::set_place(String::new());
    Ok(first)
}

/// Not after a signal, nor if nobody reads what we write.
fn may_go_on(failure: &Failure) -> bool {
    failure.code != ExitCode::Interrupted && !output::is_broken_pipe(&failure.error)
}
