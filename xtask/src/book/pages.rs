//! [`Book`]: the pages as mdBook gets them.
//!
//! A page of `book/src` may include other files of the checkout, whole or in part, as
//! mdBook has it (`{{#include FILE}}`, `{{#include FILE:PART}}`). Documents such as
//! `docs/cpu.md` are pages so, and link to each other as files: their links are made those
//! of the pages ([`super::links`]).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::links::{Links, rewrite};

/// All pages, by their paths beneath `book/src`.
#[derive(Debug)]
pub(super) struct Book {
    root: PathBuf,
    pages: BTreeMap<PathBuf, String>,
}

impl Book {
    /// The book of a checkout. All its links lead somewhere, all its includes are there.
    pub(super) fn read(root: &Path) -> Result<Book> {
        let source = root.join("book/src");
        let summary = read(&source.join("SUMMARY.md"))?;
        let files: Vec<PathBuf> = summary
            .split("](")
            .skip(1)
            .filter_map(|behind| behind.split_once(')'))
            .map(|(file, _)| file.into())
            .collect();
        let mut parts = BTreeMap::new();
        let mut links = Links::new(root);
        for file in &files {
            let text = read(&source.join(file))?;
            let expanded = expand(root, &Path::new("book/src").join(file), &text)
                .with_context(|| format!("book/src/{}", file.display()))?;
            for part in &expanded {
                links.add(file, part);
            }
            parts.insert(file.clone(), expanded);
        }
        let mut complaints = forgotten(&source, &files)?;
        let mut pages = BTreeMap::from([(PathBuf::from("SUMMARY.md"), summary)]);
        for (file, parts) in parts {
            let mut text = String::new();
            for part in parts {
                match rewrite(&links, &file, &part) {
                    Ok(rewritten) => text += &rewritten,
                    Err(error) => complaints.push(format!("{}: {error}", part.file.display())),
                }
            }
            pages.insert(file, without_tests(&text));
        }
        if !complaints.is_empty() {
            bail!("{}", complaints.join("\n"));
        }
        Ok(Book {
            root: root.to_owned(),
            pages,
        })
    }

    /// Writes it where mdBook is to find it.
    pub(super) fn write(&self, to: &Path) -> Result<()> {
        for (file, text) in &self.pages {
            let file = to.join("src").join(file);
            fs::create_dir_all(file.parent().unwrap_or(to))?;
            fs::write(&file, text).with_context(|| file.display().to_string())?;
        }
        for file in ["book.toml", "book.css"] {
            fs::copy(self.root.join("book").join(file), to.join(file)).context(file)?;
        }
        Ok(())
    }
}

/// A text of a page, and the file that it stands in.
#[derive(Debug)]
pub(super) struct Part {
    /// Beneath the checkout.
    pub(super) file: PathBuf,
    pub(super) text: String,
    /// All of the file.
    pub(super) whole: bool,
}

/// A page in parts: its own text, and what it includes.
fn expand(root: &Path, file: &Path, text: &str) -> Result<Vec<Part>> {
    let own = |text| Part {
        file: file.to_owned(),
        text,
        whole: true,
    };
    let mut parts = vec![own(String::new())];
    for line in text.lines() {
        let included = line.strip_prefix("{{#include ");
        let included = included.or_else(|| line.strip_prefix("{{#rustdoc_include "));
        let Some(included) = included.and_then(|rest| rest.strip_suffix("}}")) else {
            if let Some(last) = parts.last_mut() {
                last.text += &format!("{line}\n");
            }
            continue;
        };
        let (name, anchor) = match included.split_once(':') {
            Some((name, anchor)) => (name, Some(anchor)),
            None => (included, None),
        };
        let path = normal(&file.parent().unwrap_or(file).join(name));
        // What is made by the task itself, and not there in its tests.
        let generated = path == Path::new(super::COMMANDS);
        let text = match read(&root.join(&path)) {
            Ok(text) => text,
            Err(_) if generated => String::new(),
            Err(error) => return Err(error),
        };
        parts.push(Part {
            text: part(&text, anchor).with_context(|| included.to_owned())?,
            file: path,
            whole: anchor.is_none(),
        });
        parts.push(own(String::new()));
    }
    Ok(parts)
}

/// What is between the lines with `ANCHOR: name` and `ANCHOR_END: name`, or everything;
/// without such lines.
fn part(text: &str, anchor: Option<&str>) -> Result<String> {
    let mut inside = anchor.is_none();
    let mut found = inside;
    let mut part = String::new();
    for line in text.lines() {
        let behind = |mark: &str| line.split_once(mark).map(|(_, name)| name.trim());
        if let Some(name) = behind("ANCHOR: ") {
            found |= Some(name) == anchor;
            inside |= Some(name) == anchor;
        } else if let Some(name) = behind("ANCHOR_END: ") {
            inside &= Some(name) != anchor;
        } else if inside {
            part += &format!("{line}\n");
        }
    }
    match found {
        true => Ok(part),
        false => bail!("no such part"),
    }
}

/// What only the tests read: comments with commands, and why a block is not tried.
fn without_tests(text: &str) -> String {
    let mut shown = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("<!-- sh") && !line.ends_with("-->") {
            lines.by_ref().find(|line| *line == "-->");
        } else if line.starts_with("```") {
            shown += &format!("{}\n", line.split(' ').next().unwrap_or(line));
        } else {
            shown += &format!("{line}\n");
        }
    }
    shown
}

/// Pages that are not in the summary.
fn forgotten(source: &Path, files: &[PathBuf]) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    let mut stack = vec![source.to_owned()];
    while let Some(dir) = stack.pop() {
        for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
            let path = entry?.path();
            let name = path.strip_prefix(source)?;
            if path.is_dir() {
                stack.push(path);
            } else if name != Path::new("SUMMARY.md") && !files.iter().any(|file| file == name) {
                complaints.push(format!("{}: not in SUMMARY.md", name.display()));
            }
        }
    }
    Ok(complaints)
}

/// A path without `.` and `..`.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if normal.pop() => {}
            other => normal.push(other),
        }
    }
    normal
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::root;

    /// Every link of the book, and of the documents that it includes, leads somewhere.
    #[test]
    fn the_book_is_whole() -> Result<()> {
        let book = Book::read(&root())?;
        let overview = &book.pages[Path::new("architecture/overview.md")];
        assert!(
            overview.contains("](cpu.md)"),
            "a link to a document is one to its page"
        );
        let looking = &book.pages[Path::new("tutorials/looking.md")];
        assert!(
            !looking.contains("reencrypt"),
            "what only tests do is shown"
        );
        Ok(())
    }

    /// A checkout with these files, of which two are a summary and a page.
    fn with(files: &[(&str, &str)]) -> Result<Book> {
        let dir = tempfile::tempdir()?;
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap_or(dir.path()))?;
            fs::write(path, text)?;
        }
        Book::read(dir.path())
    }

    const SUMMARY: (&str, &str) = ("book/src/SUMMARY.md", "- [A](a.md)\n- [C](sub/c.md)\n");
    const C: (&str, &str) = ("book/src/sub/c.md", "{{#include ../../../docs/c.md}}\n");

    #[test]
    fn links_of_documents_become_those_of_pages() -> Result<()> {
        let a = "See [C](sub/c.md#the-end), [`it`](../../docs/c.md), [us](https://x.y/),\n\
                 `[no](link)`, [here](#a), [code](../../src/x.rs).\n\n# A\n\
                 ```text\n[none](either)\n```\n";
        let c = "# C\n\n[a](../book/src/a.md#a) and [code](../src/x.rs)\n\n## The end\n";
        let files = [
            SUMMARY,
            ("book/src/a.md", a),
            C,
            ("docs/c.md", c),
            ("src/x.rs", ""),
        ];
        let book = with(&files)?;
        assert_eq!(
            book.pages[Path::new("a.md")],
            "See [C](sub/c.md#the-end), [`it`](sub/c.md), [us](https://x.y/),\n\
             `[no](link)`, [here](#a), code.\n\n# A\n\
             ```text\n[none](either)\n```\n"
        );
        assert_eq!(
            book.pages[Path::new("sub/c.md")],
            "# C\n\n[a](../a.md#a) and code\n\n## The end\n"
        );
        Ok(())
    }

    #[test]
    fn what_leads_nowhere_is_told() {
        for (page, complaint) in [
            ("[x](b.md)", "book/src/a.md: \"b.md\" leads nowhere"),
            ("[x](sub/c.md#end)", "no heading \"end\""),
            ("[x](#end)", "no heading \"end\""),
            ("{{#include ../../docs/d.md}}", "docs/d.md"),
            ("{{#include ../../docs/c.md:part}}", "no such part"),
        ] {
            let files = [SUMMARY, ("book/src/a.md", page), C, ("docs/c.md", "# C\n")];
            let error = format!("{:#}", with(&files).expect_err(page));
            assert!(error.contains(complaint), "{page}: {error}");
        }
        let more = ("book/src/b.md", "");
        let files = [SUMMARY, ("book/src/a.md", ""), C, ("docs/c.md", ""), more];
        let error = with(&files).expect_err("a page that nobody finds");
        assert_eq!(error.to_string(), "b.md: not in SUMMARY.md");
    }

    #[test]
    fn a_part_is_what_is_between_its_anchors() -> Result<()> {
        let text = "a\n// ANCHOR: x\nb\n// ANCHOR: y\nc\n// ANCHOR_END: x\nd\n";
        assert_eq!(part(text, Some("x"))?, "b\nc\n");
        assert_eq!(part(text, Some("y"))?, "c\nd\n");
        assert_eq!(part(text, None)?, "a\nb\nc\nd\n");
        assert!(part(text, Some("z")).is_err());
        Ok(())
    }
}
