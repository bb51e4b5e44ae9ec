//! [`Page`]: the code blocks of a page of the book, and what is to be done with each.
//!
//! - ```` ```console ````: commands behind `$ ` (and `> `, where one goes on), each followed
//!   by all that it prints.
//! - ```` ```sh ````: commands; a block ```` ```text ```` right behind it is what they print.
//! - Either with `file=NAME`: a file of that name.
//! - `<!-- sh … -->`: commands that a reader does not see.
//! - ```` ```text ```` elsewhere, ```` ```toml ````, ```` ```yaml ````: to be read only.
//! - Any other language: nothing but an `{{#include}}` of a file that other tests compile
//!   and run.
//!
//! In the line of the fence, `untested="REASON"` leaves a block out. So does
//! `root="REASON"` unless root runs the tests, and `fuse="REASON"` where there is no FUSE,
//! which is said then.

use crate::harness::Outcome;

/// What a page says that can be tried.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) steps: Vec<Step>,
    /// Files that other tests compile and run.
    pub(crate) included: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Line of the page, from 1.
    pub(crate) line: usize,
    pub(crate) command: String,
    /// What it prints; `None`: the page does not say.
    pub(crate) prints: Option<String>,
    /// What it needs, and why.
    pub(crate) needs: Option<(Need, String)>,
}

/// What not every machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Root,
    Fuse,
}

/// A fenced block, or a comment with commands.
struct Block<'a> {
    line: usize,
    /// What stands behind the fence.
    info: &'a str,
    body: Vec<&'a str>,
    /// It comes right behind the block before it.
    adjacent: bool,
}

impl Page {
    pub(crate) fn parse(text: &str) -> Outcome<Page> {
        let mut page = Page {
            steps: Vec::new(),
            included: Vec::new(),
        };
        let mut shell = false;
        for block in blocks(text)? {
            let at = |problem: String| format!("line {}: {problem}", block.line);
            let info = Info::parse(block.info).map_err(at)?;
            let shell_before = std::mem::take(&mut shell);
            let step = |command: String, prints: Option<String>| Step {
                line: block.line,
                command,
                prints,
                needs: info.needs.map(|(need, why)| (need, why.to_owned())),
            };
            match (info.language, info.file) {
                _ if info.untested => {}
                ("sh" | "text", Some(file)) => {
                    let command = here_document(file, &block.body);
                    page.steps.push(step(command, Some(String::new())));
                }
                ("sh", None) => {
                    shell = true;
                    page.steps.push(step(block.body.join("\n"), None));
                }
                ("console", None) => page.steps.extend(console(&block, step).map_err(at)?),
                ("text", None) if shell_before && block.adjacent => {
                    if let Some(step) = page.steps.last_mut() {
                        step.prints = Some(block.body.join("\n"));
                    }
                }
                ("text" | "toml" | "yaml", None) => {}
                (language, _) => {
                    let file = include(&block.body).ok_or_else(|| {
                        at(format!("{language:?} is no include of a tested file"))
                    })?;
                    page.included.push(file.to_owned());
                }
            }
        }
        Ok(page)
    }
}

struct Info<'a> {
    language: &'a str,
    file: Option<&'a str>,
    needs: Option<(Need, &'a str)>,
    untested: bool,
}

impl<'a> Info<'a> {
    fn parse(text: &'a str) -> Result<Info<'a>, String> {
        let (language, mut rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut info = Info {
            // mdBook's own attributes stand behind a comma.
            language: language.split(',').next().unwrap_or(language),
            file: None,
            needs: None,
            untested: false,
        };
        if info.language.is_empty() {
            return Err("a block without a language; `text` is one".into());
        }
        while let Some((name, behind)) = rest.split_once('=') {
            let (value, behind) = match behind.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').ok_or("a quote without an end")?,
                None => behind.split_once(' ').unwrap_or((behind, "")),
            };
            match name.trim() {
                "file" => info.file = Some(value),
                "root" if !value.is_empty() => info.needs = Some((Need::Root, value)),
                "fuse" if !value.is_empty() => info.needs = Some((Need::Fuse, value)),
                "untested" if !value.is_empty() => info.untested = true,
                name => return Err(format!("what is {name:?} with the value {value:?}?")),
            }
            rest = behind;
        }
        match rest.trim() {
            "" => Ok(info),
            rest => Err(format!("what is {rest:?}?")),
        }
    }
}

fn blocks(text: &str) -> Outcome<Vec<Block<'_>>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut adjacent = false;
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let hidden = line
            .strip_prefix("<!-- ")
            .filter(|info| !info.ends_with("-->"));
        let opened = match (line.strip_prefix("```"), hidden) {
            (Some(info), _) => Some((info, "```")),
            (None, Some(info)) if info.split(' ').next() == Some("sh") => Some((info, "-->")),
            _ => None,
        };
        let Some((info, end)) = opened else {
            adjacent &= line.trim().is_empty();
            continue;
        };
        let mut block = Block {
            line: number + 1,
            info,
            body: Vec::new(),
            adjacent,
        };
        loop {
            match lines.next() {
                Some((_, line)) if line == end => break,
                Some((_, line)) => block.body.push(line),
                None => return Err(format!("line {}: no end of it", block.line).into()),
            }
        }
        blocks.push(block);
        adjacent = true;
    }
    Ok(blocks)
}

fn console(
    block: &Block<'_>,
    step: impl Fn(String, Option<String>) -> Step,
) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    for (number, line) in block.body.iter().enumerate() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step {
                line: block.line + 1 + number,
                ..step(command.to_owned(), Some(String::new()))
            });
            continue;
        }
        let step = steps.last_mut().ok_or("no command before its output")?;
        let Some(prints) = &mut step.prints else {
            continue;
        };
        match line.strip_prefix("> ") {
            Some(more) if prints.is_empty() => step.command += &format!("\n{more}"),
            _ => *prints += &format!("{line}\n"),
        }
    }
    Ok(steps)
}

fn here_document(file: &str, body: &[&str]) -> String {
    format!(
        "cat > '{file}' <<'END OF THE FILE'\n{}\nEND OF THE FILE",
        body.join("\n")
    )
}

/// The file of a block that is an include, and nothing else.
fn include<'a>(body: &[&'a str]) -> Option<&'a str> {
    let [line] = body else { return None };
    let inside = line.strip_prefix("{{#")?.strip_suffix("}}")?;
    let (kind, file) = inside.split_once(' ')?;
    ["include", "rustdoc_include"]
        .contains(&kind)
        .then_some(())?;
    // Behind it, a part of the file.
    file.split(':').next()
}

/// Whether `printed` is what `expected` says. A line `…` there stands for any number of
/// lines, `…` in a line for anything.
pub(crate) fn matches(expected: &str, printed: &str) -> bool {
    let lines = |text: &str| -> Vec<String> {
        let lines = text
            .trim_end()
            .lines()
            .map(|line| line.trim_end().to_owned());
        lines.collect()
    };
    lines_match(&lines(expected), &lines(printed))
}

fn lines_match(expected: &[String], printed: &[String]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first == "…" => {
            (0..=printed.len()).any(|skipped| lines_match(rest, &printed[skipped..]))
        }
        Some((first, rest)) => printed
            .split_first()
            .is_some_and(|(line, others)| line_matches(first, line) && lines_match(rest, others)),
    }
}

fn line_matches(expected: &str, printed: &str) -> bool {
    let Some((first, rest)) = expected.split_once('…') else {
        return expected == printed;
    };
    let Some(behind) = printed.strip_prefix(first) else {
        return false;
    };
    let ends = behind
        .char_indices()
        .map(|(at, _)| at)
        .chain([behind.len()]);
    ends.into_iter().any(|at| line_matches(rest, &behind[at..]))
}

#[test]
fn what_is_printed_may_vary_where_the_page_says_so() {
    assert!(matches("a\nb\n", "a\nb"));
    assert!(!matches("a\nb", "a\nb\nc"));
    assert!(!matches("", "a"));
    assert!(matches("a\n…", "a\nb\nc"));
    assert!(matches("…\nc", "a\nb\nc"));
    assert!(!matches("…\nd", "a\nb\nc"));
    assert!(matches("size … bytes", "size 12 bytes"));
    assert!(!matches("size … bytes", "size 12 bits"));
}

#[test]
fn each_kind_of_block_is_what_it_should_be() -> Outcome {
    let step = |line, command: &str, prints: Option<&str>| Step {
        line,
        command: command.into(),
        prints: prints.map(Into::into),
        needs: None,
    };
    let text = "\
```console
$ one
out
$ two \\
> more
```
words
```sh
three
```

```text
said
```

```text
a picture
```
<!-- sh
hidden
-->
```sh file=x.sh
inside
```
```sh untested=\"needs the moon\"
never
```
```rust
{{#include ../a.rs:part}}
```
";
    let page = Page::parse(text)?;
    assert_eq!(
        page.steps,
        [
            step(2, "one", Some("out\n")),
            step(4, "two \\\nmore", Some("")),
            step(8, "three", Some("said")),
            step(19, "hidden", None),
            step(
                22,
                "cat > 'x.sh' <<'END OF THE FILE'\ninside\nEND OF THE FILE",
                Some("")
            ),
        ]
    );
    assert_eq!(page.included, ["../a.rs"]);
    for wrong in [
        "```\nx\n```\n",
        "```rust\nfn main() {}\n```\n",
        "```sh untested=\"\"\nx\n```\n",
        "```sh later\nx\n```\n",
        "```console\nno command\n```\n",
        "```sh\nno end\n",
    ] {
        assert!(Page::parse(wrong).is_err(), "{wrong}");
    }
    Ok(())
}
