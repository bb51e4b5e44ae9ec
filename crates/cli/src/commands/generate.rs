//! `drupe completions` and `drupe man`: generated from the definition of the command line.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Context as _;
use clap_mangen::Man as Page;
use jiff::Timestamp;

use crate::args::{self, Completions, Man};
use crate::epoch;
use crate::exit::{ExitCode, Failure};
use crate::output::Stdout;
use drupe_tree::Time;
use drupe_tree::{Interrupt, OutputFile};

pub(crate) fn completions(command: &Completions) -> Result<ExitCode, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(command.shell, &mut args::definition(), "drupe", &mut text);
    Stdout::lines().write_all(&text)?;
    Ok(ExitCode::Success)
}

pub(crate) fn man(command: &Man) -> Result<ExitCode, Failure> {
    let all = args::definition();
    if let Some(dir) = &command.out {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        for page in pages(&all) {
            write(&page, dir)?;
        }
        return Ok(ExitCode::Success);
    }
    let name = match &command.command {
        Some(command) => format!("drupe-{command}"),
        None => "drupe".to_owned(),
    };
    let Some(page) = pages(&all).find(|page| page.get_name() == name) else {
        let command = command.command.as_deref().unwrap_or_default();
        let unknown = Failure::usage(format!("there is no command {command:?}"));
        return Err(unknown.with_hint("`drupe help` lists the commands"));
    };
    Stdout::lines().write_all(render(page)?.as_bytes())?;
    Ok(ExitCode::Success)
}

/// The commands that have a page: `drupe` itself, then `drupe-COMMAND` for each command,
/// with `drupe-COMMAND-SUBCOMMAND` behind it.
fn pages(all: &clap::Command) -> impl Iterator<Item = clap::Command> {
    let mut pages = vec![all.clone()];
    add_pages("drupe", all, &mut pages);
    pages.into_iter()
}

fn add_pages(above: &str, all: &clap::Command, pages: &mut Vec<clap::Command>) {
    let commands = all.get_subcommands();
    for command in commands.filter(|command| command.get_name() != "help") {
        let name = format!("{above}-{}", command.get_name());
        // Where a name is static, clap wants it so.
        let leaked: &'static str = Box::leak(name.into_boxed_str());
        pages.push(command.clone().name(leaked).bin_name(leaked));
        add_pages(leaked, command, pages);
    }
}

/// Writes a page into a directory, as `NAME.1`.
fn write(page: &clap::Command, dir: &Path) -> Result<(), Failure> {
    let path = dir.join(format!("{}.1", page.get_name()));
    let text = render(page.clone())?;
    let output = OutputFile::create(&path, true, &[], &Interrupt::default())?;
    let written = output.stream().write_all(text.as_bytes());
    written.with_context(|| format!("cannot write {}", path.display()))?;
    output.commit()?;
    Ok(())
}

/// A page, dated by `SOURCE_DATE_EPOCH` or today.
fn render(command: clap::Command) -> Result<String, Failure> {
    let stamp = epoch::get()?
        .and_then(Time::system)
        .unwrap_or_else(SystemTime::now);
    let date = Timestamp::try_from(stamp)?.strftime("%Y-%m-%d").to_string();
    let mut page = Vec::new();
    Page::new(command)
        .date(date)
        .manual("drupe")
        .render(&mut page)?;
    let page = String::from_utf8(page)?;
    let lines: Vec<&str> = page.lines().collect();
    let mut text = String::with_capacity(page.len());
    for (n, line) in lines.iter().enumerate() {
        // A break beside a space does nothing, and mandoc says so.
        let is_space = |line: &&str| matches!(*line, ".sp" | "");
        let before = n.checked_sub(1).and_then(|before| lines.get(before));
        if *line == ".br"
            && [before, lines.get(n + 1)]
                .into_iter()
                .flatten()
                .any(is_space)
        {
            continue;
        }
        // What stands behind the options in the help.
        text.push_str(match *line {
            ".SH EXTRA" => ".SH NOTES",
            line => line,
        });
        text.push('\n');
    }
    Ok(text)
}
