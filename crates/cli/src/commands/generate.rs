//! `drupe completions` and `drupe man`: what is generated from the definition of
//! the command line.

use std::fs;
use std::io::Write;
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
    let Some(dir) = &command.out else {
        Stdout::lines().write_all(render(all)?.as_bytes())?;
        return Ok(ExitCode::Success);
    };
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let pages = all
        .get_subcommands()
        .filter(|command| command.get_name() != "help")
        .map(|command| {
            let name = format!("drupe-{}", command.get_name());
            // Where a name is static, clap wants it so.
            let leaked: &'static str = Box::leak(name.into_boxed_str());
            command.clone().name(leaked).bin_name(leaked)
        });
    let pages: Vec<_> = pages.collect();
    for page in std::iter::once(all.clone()).chain(pages) {
        let name = page.get_name().to_owned();
        let text = render(page)?;
        let path = dir.join(format!("{name}.1"));
        let output = OutputFile::create(&path, true, &[], &Interrupt::default())?;
        let written = output.stream().write_all(text.as_bytes());
        written.with_context(|| format!("cannot write {}", path.display()))?;
        output.commit()?;
    }
    Ok(ExitCode::Success)
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
        text.push_str(line);
        text.push('\n');
    }
    Ok(text)
}
