//! [`Links`]: where a link of a document leads within the book.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::pages::{Part, normal};

/// What can be linked to.
#[derive(Debug)]
pub(super) struct Links {
    root: PathBuf,
    /// The page that a file of the checkout is, or is included by.
    pages: BTreeMap<PathBuf, PathBuf>,
    /// The headings of a page, as links name them.
    headings: BTreeMap<PathBuf, Vec<String>>,
}

impl Links {
    pub(super) fn new(root: &Path) -> Links {
        Links {
            root: root.to_owned(),
            pages: BTreeMap::new(),
            headings: BTreeMap::new(),
        }
    }

    /// Takes note of a part of a page.
    pub(super) fn add(&mut self, page: &Path, part: &Part) {
        if part.whole {
            self.pages.insert(part.file.clone(), page.to_owned());
        }
        let headings = self.headings.entry(page.to_owned()).or_default();
        for (line, code) in lines(&part.text) {
            let heading = line.trim_start_matches('#');
            if !code && heading.len() < line.len() && heading.starts_with(' ') {
                headings.push(id(heading.trim(), headings));
            }
        }
    }

    /// Where a link of `file`, which is in `page`, leads. `None`: out of the book, to a
    /// file of the checkout, which readers of the book do not have.
    fn lead(&self, page: &Path, file: &Path, target: &str) -> Result<Option<String>> {
        if target.contains("://") || target.starts_with("mailto:") {
            return Ok(Some(target.to_owned()));
        }
        let (path, heading) = match target.split_once('#') {
            Some((path, heading)) => (path, Some(heading)),
            None => (target, None),
        };
        let path = match path {
            "" => file.to_owned(),
            path => normal(&file.parent().unwrap_or(file).join(path)),
        };
        let Some(to) = self.pages.get(&path) else {
            match self.root.join(&path).exists() {
                true => return Ok(None),
                false => bail!("{target:?} leads nowhere"),
            }
        };
        let link = match to == page {
            true => String::new(),
            false => relative(page, to),
        };
        let Some(heading) = heading else {
            return Ok(Some(link));
        };
        let there = self
            .headings
            .get(to)
            .is_some_and(|all| all.iter().any(|one| one == heading));
        // The reference of the command is made when the book is.
        let generated = to == Path::new("reference/commands.md");
        match there || generated {
            true => Ok(Some(format!("{link}#{heading}"))),
            false => bail!("{target:?}: {} has no heading {heading:?}", to.display()),
        }
    }
}

/// A part of a page with the links that it has there.
pub(super) fn rewrite(links: &Links, page: &Path, part: &Part) -> Result<String> {
    let mut text = String::new();
    for (line, code) in lines(&part.text) {
        match code {
            true => text += line,
            false => text += &rewrite_line(links, page, part, line)?,
        }
        text.push('\n');
    }
    Ok(text)
}

fn rewrite_line(links: &Links, page: &Path, part: &Part, line: &str) -> Result<String> {
    let mut done = String::new();
    let mut rest = line;
    while let Some((before, behind)) = rest.split_once("](") {
        let text = format!("{done}{before}");
        let in_code = text.matches('`').count() % 2 == 1;
        let (Some((target, behind)), false) = (behind.split_once(')'), in_code) else {
            done = format!("{text}](");
            rest = behind;
            continue;
        };
        done = match links.lead(page, &part.file, target)? {
            Some(to) => format!("{text}]({to})"),
            // The text of the link alone.
            None => match text.rsplit_once('[') {
                Some((before, name)) => format!("{before}{name}"),
                None => text,
            },
        };
        rest = behind;
    }
    Ok(done + rest)
}

/// Lines, and whether each is code, or the fence of it.
fn lines(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut inside = false;
    text.lines().map(move |line| {
        let fence = line.starts_with("```");
        inside ^= fence;
        (line, inside || fence)
    })
}

/// As mdBook names a heading.
fn id(heading: &str, taken: &[String]) -> String {
    let kept = heading.chars().filter_map(|c| match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c.to_lowercase().to_string()),
        c if c.is_whitespace() => Some("-".into()),
        _ => None,
    });
    let id: String = kept.collect();
    let same = |one: &String| {
        let number = one
            .strip_prefix(&id)
            .and_then(|rest| rest.strip_prefix('-'));
        *one == id || number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    match taken.iter().filter(|one| same(one)).count() {
        0 => id,
        count => format!("{id}-{count}"),
    }
}

/// The way from one page to another one.
fn relative(from: &Path, to: &Path) -> String {
    let mut from: Vec<_> = from.parent().unwrap_or(from).components().collect();
    let mut to: Vec<_> = to.components().collect();
    while !from.is_empty() && from.first() == to.first() {
        from.remove(0);
        to.remove(0);
    }
    let up = from.iter().map(|_| "..".into());
    let down = to.iter().map(|part| part.as_os_str().to_string_lossy());
    up.chain(down).collect::<Vec<_>>().join("/")
}
