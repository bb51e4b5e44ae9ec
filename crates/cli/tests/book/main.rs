//! The book (`book/src`): every command of its pages is run, and prints what the page says.
//!
//! [`page`] says which block of a page is what. Links and includes are checked by
//! `cargo xtask book` and its tests; whole Rust and C programs by the tests of the crates
//! that they belong to.

#[allow(dead_code, reason = "shared with the other tests of the command")]
#[path = "../cli/harness.rs"]
mod harness;

mod page;
mod run;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use harness::Outcome;
use page::Page;

/// A test for each page with commands, so that they run side by side.
macro_rules! pages {
    ($($name:ident: $file:literal),* $(,)?) => {
        const PAGES: &[&str] = &[$($file),*];
        $(#[test]
        fn $name() {
            // As it is, not on one line.
            if let Err(error) = read($file).and_then(run::run) {
                panic!("book/src/{}: {error}", $file);
            }
        })*
    };
}

pages! {
    introduction: "introduction.md",
    install: "install.md",
    images: "tutorials/images.md",
    looking: "tutorials/looking.md",
    network: "tutorials/network.md",
    systems: "tutorials/systems.md",
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../book/src")
}

fn read(file: &str) -> Outcome<Page> {
    let text = fs::read_to_string(source().join(file))?;
    Page::parse(&text)
}

/// All pages, relative to `book/src`.
fn files() -> Outcome<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    let mut stack = vec![source()];
    while let Some(dir) = stack.pop() {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            match path.extension() {
                None => stack.push(path),
                Some(extension) if extension == "md" => {
                    let name = path.strip_prefix(source())?.to_str();
                    files.insert(name.ok_or("a name that is not UTF-8")?.to_owned());
                }
                Some(_) => {}
            }
        }
    }
    Ok(files)
}

#[test]
fn no_page_is_forgotten() -> Outcome {
    for file in files()? {
        let page = read(&file)?;
        let tested = PAGES.contains(&file.as_str());
        match page.steps.is_empty() {
            true => assert!(!tested, "{file}: there is nothing to run"),
            false => assert!(tested, "{file} has commands: put it into `pages!`"),
        }
    }
    Ok(())
}

/// Programs are whole files that the tests of their crate compile and run: examples that
/// are tests too.
#[test]
fn programs_are_tested_examples() -> Outcome {
    for file in files()? {
        for included in read(&file)?.included {
            let page = source().join(&file);
            let path = page.parent().ok_or("no directory")?.join(&included);
            let text = fs::read_to_string(&path)
                .map_err(|error| format!("book/src/{file}: {included}: {error}"))?;
            assert!(text.contains("#[test]"), "{file}: {included} has no test");
            let name = path.file_stem().and_then(|name| name.to_str());
            let name = name.ok_or("no name")?;
            let manifest = path.ancestors().nth(2).ok_or("no crate")?;
            let manifest = fs::read_to_string(manifest.join("Cargo.toml"))?;
            let declared = format!("[[example]]\nname = \"{name}\"\ntest = true\n");
            assert!(
                manifest.contains(&declared),
                "{included} is no test in its Cargo.toml"
            );
        }
    }
    Ok(())
}
