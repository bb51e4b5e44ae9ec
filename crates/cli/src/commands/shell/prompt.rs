//! Reads commands from a terminal, with editing and history.

use std::cell::RefCell;
use std::fs;
use std::io::{self, IsTerminal};

use anyhow::Context as _;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};

use super::complete::Completion;
use super::script::standard_input;
use super::{Done, enter, history_file, run_line};
use crate::args::Shell;
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::output;

pub(crate) fn shell(context: &mut Context<'_>, command: &Shell) -> Result<ExitCode, Failure> {
    if context.here.is_some() {
        return Err(Failure::usage(
            "this is a shell already; cd IMAGE:/ changes the image",
        ));
    }
    enter(context, &command.image)?;
    if !io::stdin().is_terminal() {
        return standard_input(context, command.keep_going);
    }
    context.signals.install()?;
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .auto_add_history(true)
        .build();
    let shared = RefCell::new(context);
    let mut editor: Editor<Completion<'_, '_>, FileHistory> =
        Editor::with_config(config).context("cannot use the terminal")?;
    editor.set_helper(Some(Completion { context: &shared }));
    let history = history_file();
    if let Some(history) = &history {
        if let Some(dir) = history.parent() {
            // Without a history there is still a shell.
            let _ = fs::create_dir_all(dir);
        }
        let _ = editor.load_history(history);
    }
    let outcome = ask(&mut editor, &shared);
    if let Some(history) = &history {
        let _ = editor.save_history(history);
    }
    outcome
}

fn ask(
    editor: &mut Editor<Completion<'_, '_>, FileHistory>,
    shared: &RefCell<&mut Context<'_>>,
) -> Result<ExitCode, Failure> {
    loop {
        let prompt = prompt(*shared.borrow());
        let line = match editor.readline(&prompt) {
            Ok(line) => line,
            Err(ReadlineError::Eof) => return Ok(ExitCode::Success),
            // What was typed is dropped.
            Err(ReadlineError::Interrupted) => continue,
            Err(error) => {
                shared.borrow().check()?;
                return Err(anyhow::Error::new(error)
                    .context("cannot read the terminal")
                    .into());
            }
        };
        let mut context = shared.borrow_mut();
        let done = run_line(&mut context, line.as_bytes());
        // Its signal was for this command.
        context.signals.reset();
        match done {
            Ok(Done::Exit) => return Ok(ExitCode::Success),
            Ok(Done::Code(_)) => {}
            // Of less(1) behind "!", say.
            Err(failure) if output::is_broken_pipe(&failure.error) => {}
            Err(failure) => output::failure(&failure),
        }
    }
}

/// "disk.img:/etc> ".
fn prompt(context: &Context<'_>) -> String {
    let Some(here) = &context.here else {
        return "drupe> ".into();
    };
    let image = here.volume.image.file_name().unwrap_or_default();
    let image = image.to_string_lossy();
    let path = here.path.to_string_lossy();
    let text = match &here.volume.part {
        Some(number) => format!("{image}@{number}:{path}> "),
        None => format!("{image}:{path}> "),
    };
    text.replace(char::is_control, "?")
}
