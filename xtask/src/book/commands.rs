//! The reference of the command, as Markdown, from what its `help` prints.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::output;

/// Sections that all commands have that open images; they are shown once.
const SHARED: [&str; 2] = ["Image options", "Output options"];

/// A part of a help text: the lines from one that is not indented, if it ends with a
/// colon, to the next such line.
#[derive(Debug, PartialEq, Eq)]
struct Section<'a> {
    /// Without its colon; empty before the first one.
    heading: &'a str,
    lines: Vec<&'a str>,
}

/// All commands, by the help of the program `drupe`.
pub(super) fn reference(drupe: &Path) -> Result<String> {
    let help = |arguments: &[&str]| {
        let mut command = Command::new(drupe);
        // Of the width of a page.
        output(
            command
                .args(arguments)
                .env("COLUMNS", "84")
                .env_remove("DRUPE_SANDBOX"),
        )
    };
    let general = help(&["help"])?;
    let general = sections(&general);
    let part = |heading: &str| {
        let found = general.iter().find(|section| section.heading == heading);
        found.with_context(|| format!("`drupe help` has no section {heading:?}"))
    };
    let mut text = String::new();
    for heading in ["Paths in images", "Exit codes", SHARED[0], SHARED[1]] {
        // Its heading is that of the text, too.
        let lines = part(heading)?.lines.iter().skip(1);
        let lines: Vec<_> = lines
            .map(|line| line.strip_prefix("  ").unwrap_or(line))
            .collect();
        text += &format!("## {heading}\n\n{}", fenced(&lines));
    }
    for name in names(part("Commands")?) {
        // `help` has no help of its own.
        if name != "help" {
            let own = help(&["help", name])?;
            text += &command(name, &own, &general);
            let own = sections(&own);
            let below = own.iter().find(|section| section.heading == "Commands");
            for below in below.map(names).into_iter().flatten() {
                if below != "help" {
                    let own = help(&["help", name, below])?;
                    text += &command(&format!("{name} {below}"), &own, &general);
                }
            }
        }
    }
    Ok(text)
}

/// The section of one command.
fn command(name: &str, help: &str, general: &[Section<'_>]) -> String {
    let mut text = format!("## drupe {name}\n\n");
    let mut shown: Vec<&str> = Vec::new();
    let mut shared = Vec::new();
    for section in sections(help) {
        let all = general
            .iter()
            .find(|all| SHARED.contains(&all.heading) && all.heading == section.heading);
        if let Some(left_out) = all.and_then(|all| left_out(&section, all)) {
            let anchor = section.heading.to_lowercase().replace(' ', "-");
            let but = match &left_out[..] {
                [] => String::new(),
                names => format!(" but `{}`", names.join("` and `")),
            };
            shared.push(format!(
                "[{}](#{anchor}){but}",
                section.heading.to_lowercase()
            ));
            continue;
        }
        shown.extend(&section.lines);
        shown.push("");
    }
    text += &fenced(&shown);
    if !shared.is_empty() {
        text += &format!("It takes the {}.\n\n", shared.join(" and the "));
    }
    text
}

/// The options of `all` that `some` has not. `None`: `some` has others, or few of them.
fn left_out<'a>(some: &Section<'_>, all: &Section<'a>) -> Option<Vec<&'a str>> {
    const FEW: usize = 2;
    let (some, all) = (options(some), options(all));
    // A command's help has a line for each, the general help has more; and lines are
    // broken where there is room.
    let is = |(name, text): &(&str, &str), (known, more): &(&str, &str)| {
        name == known && (more.starts_with(text) || text.starts_with(more))
    };
    let is_known = some
        .iter()
        .all(|option| all.iter().any(|known| is(option, known)));
    let missing = all
        .iter()
        .filter(|known| !some.iter().any(|option| is(option, known)));
    let missing: Vec<_> = missing.map(|(name, _)| *name).collect();
    (is_known && missing.len() <= FEW).then_some(missing)
}

/// The long names of the options of a section, and the first lines of what they do.
fn options<'a>(section: &Section<'a>) -> Vec<(&'a str, &'a str)> {
    let mut found = Vec::new();
    let mut lines = section.lines.iter().peekable();
    while let Some(line) = lines.next() {
        let text = line.trim_start();
        if line.len() - text.len() > 6 || !text.starts_with('-') {
            continue;
        }
        let (names, text) = match text.split_once("   ").or_else(|| text.split_once("  ")) {
            Some((names, text)) => (names, text.trim()),
            None => (text, lines.peek().map_or("", |next| next.trim())),
        };
        let Some(name) = names.split([' ', ',']).find(|name| name.starts_with("--")) else {
            continue;
        };
        found.push((name, text));
    }
    found
}

fn sections(help: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    // Whether the section has a heading, and what stands beneath it is indented.
    let mut headed = false;
    for line in help.lines() {
        let indented = line.starts_with(' ') || line.is_empty();
        let heading = line.strip_suffix(':').filter(|_| !indented);
        // What stands behind all options belongs to none of them.
        if sections.is_empty() || heading.is_some() || (headed && !indented) {
            headed = heading.is_some();
            sections.push(Section {
                heading: heading.unwrap_or_default(),
                lines: Vec::new(),
            });
        }
        if let Some(section) = sections.last_mut() {
            section.lines.push(line);
        }
    }
    for section in &mut sections {
        while section.lines.last().is_some_and(|line| line.is_empty()) {
            section.lines.pop();
        }
    }
    sections
}

/// The names in a list of commands.
fn names<'a>(section: &Section<'a>) -> Vec<&'a str> {
    let lines = section.lines.iter().skip(1);
    // Lines of more blanks go on with a description.
    let lines = lines.filter_map(|line| line.strip_prefix("  "));
    let lines = lines.filter(|line| !line.starts_with(' '));
    lines.filter_map(|line| line.split(' ').next()).collect()
}

fn fenced(lines: &[&str]) -> String {
    let text = lines.join("\n");
    format!("```text\n{}\n```\n\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENERAL: &str = "\
Looks into images.

Usage: drupe [OPTIONS] <COMMAND>

Commands:
  ls    List files
          and more
  run   Run

Options:
  -h    Help

Image options:
  --x   Do x

Exit codes:
  0  done

Commands that read never write.
";

    const LS: &str = "\
List files

Usage: drupe ls <PATH>

Options:
  -l  Long

Image options:
  --x   Do x

What else there is
to say of it.
";

    #[test]
    fn what_all_commands_have_is_there_once() {
        let general = sections(GENERAL);
        let headings: Vec<_> = general.iter().map(|section| section.heading).collect();
        assert_eq!(
            headings,
            ["", "Commands", "Options", "Image options", "Exit codes", ""]
        );
        assert_eq!(names(&general[1]), ["ls", "run"]);
        let text = command("ls", LS, &general);
        assert_eq!(
            text,
            "## drupe ls\n\n```text\nList files\n\nUsage: drupe ls <PATH>\n\nOptions:\n  \
             -l  Long\n\nWhat else there is\nto say of it.\n```\n\n\
             It takes the [image options](#image-options).\n\n"
        );
        // Of a few of them, those that are not there are named.
        let more = GENERAL.replace(
            "  --x   Do x",
            "  --x\n          Do x\n\n          All of it.\n\n  -y, --y <Z>\n          Do y",
        );
        let text = command("ls", LS, &sections(&more));
        assert!(text.ends_with("It takes the [image options](#image-options) but `--y`.\n\n"));
        // Other options by that name are shown.
        let other = LS.replace("Do x", "Do y");
        assert!(command("ls", &other, &general).contains("--x   Do y"));
    }
}
