//! Completes commands and paths at the prompt.

use std::cell::RefCell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context as LineContext, Helper};

use crate::args::Line;
use crate::context::Context;
use crate::location::Location;

pub(super) struct Completion<'a, 'b> {
    pub(super) context: &'a RefCell<&'a mut Context<'b>>,
}

/// The word that is being typed: where it begins, and what it means so far.
fn word(line: &str) -> (usize, String) {
    let (mut start, mut text) = (0, String::new());
    let mut quote = None;
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (None, ' ' | '\t') => {
                start = at + 1;
                text.clear();
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if c == open => quote = None,
            (None | Some('"'), '\\') => text.extend(chars.next().map(|(_, c)| c)),
            _ => text.push(c),
        }
    }
    (start, text)
}

/// With a backslash in front of what means something to the shell.
fn escape(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if !(c.is_alphanumeric() || "/._-+:@,%=~^".contains(c)) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

impl Completion<'_, '_> {
    fn candidates(&self, first: &str, word: &str) -> Vec<Pair> {
        let (dir, prefix) = match word.rfind('/') {
            Some(slash) => word.split_at(slash + 1),
            None => match word.strip_prefix("host:") {
                Some(prefix) => ("host:", prefix),
                None => ("", word),
            },
        };
        let on_host = matches!(first, "lcd" | "put") || first.starts_with('!');
        let Ok(mut context) = self.context.try_borrow_mut() else {
            return Vec::new();
        };
        let listed = match on_host {
            true => host_names(Path::new(dir)),
            false => match context.location(dir.as_ref()) {
                Location::Host(dir) => host_names(&dir),
                Location::Image(dir) => {
                    let mount = context.session.mount(&dir.volume).ok();
                    mount.and_then(|mount| image_names(&mount, &dir.path))
                }
            },
        };
        let mut names = listed.unwrap_or_default();
        names.sort();
        let matching = names.into_iter().filter_map(|(name, is_dir)| {
            // What can't be typed can't be completed.
            let name = name.into_string().ok()?;
            let hidden = name.starts_with('.') && !prefix.starts_with('.');
            (name.starts_with(prefix) && !hidden && !name.contains(char::is_control)).then(|| {
                let end = if is_dir { "/" } else { " " };
                Pair {
                    replacement: format!("{}{}{end}", escape(dir), escape(&name)),
                    display: if is_dir { format!("{name}/") } else { name },
                }
            })
        });
        matching.collect()
    }
}

type Listed = Option<Vec<(OsString, bool)>>;

fn host_names(dir: &Path) -> Listed {
    let dir = match dir.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => dir.to_owned(),
    };
    let entries = std::fs::read_dir(dir).ok()?.filter_map(Result::ok);
    Some(
        entries
            .map(|entry| (entry.file_name(), entry.path().is_dir()))
            .collect(),
    )
}

fn image_names(mount: &drupe::Mount, dir: &Path) -> Listed {
    let entries = mount.read_dir(dir).ok()?.filter_map(Result::ok);
    let named = entries.map(|entry| {
        let kind = entry.file_type().ok();
        let is_dir = match kind {
            Some(kind) if kind.is_symlink() => mount
                .metadata(dir.join(entry.name()))
                .is_ok_and(|found| found.is_dir()),
            kind => kind.is_some_and(|kind| kind.is_dir()),
        };
        (entry.file_name(), is_dir)
    });
    Some(named.collect())
}

impl Completer for Completion<'_, '_> {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &LineContext<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let line = &line[..pos];
        let (start, text) = word(line);
        let before = line[..start].trim();
        if !before.is_empty() {
            let first = before.split_whitespace().next().unwrap_or("");
            return Ok((start, self.candidates(first, &text)));
        }
        let command = Line::command();
        let mut names: Vec<&str> = command
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        names.push("help");
        names.sort_unstable();
        names.dedup();
        let matching = names.into_iter().filter(|name| name.starts_with(&text));
        let pairs = matching.map(|name| Pair {
            display: name.to_owned(),
            replacement: format!("{name} "),
        });
        Ok((start, pairs.collect()))
    }
}

impl Hinter for Completion<'_, '_> {
    type Hint = String;
}
impl Highlighter for Completion<'_, '_> {}
impl Validator for Completion<'_, '_> {}
impl Helper for Completion<'_, '_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_as_they_are_typed() {
        for (line, start, text) in [
            ("", 0, ""),
            ("ls", 0, "ls"),
            ("ls ", 3, ""),
            ("ls a\\ b", 3, "a b"),
            ("ls 'a b", 3, "a b"),
            ("ls \"a b\"c", 3, "a bc"),
        ] {
            assert_eq!(word(line), (start, text.to_owned()), "{line}");
        }
        assert_eq!(escape("a b'/c.d"), "a\\ b\\'/c.d");
    }
}
