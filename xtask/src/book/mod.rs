//! `book`: the book, from `book/` into `target/book`.
//!
//! [`pages`] makes the pages from those of `book/src` and the documents that they include;
//! [`commands`] makes the reference of the command from its help. What the pages say is
//! tried by tests: commands by `crates/cli/tests/book`, programs and the tables of
//! filesystems (`book/generated`) by the examples that they are.

mod commands;
mod links;
mod pages;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::run::{cargo, output, root, run as run_command};
use pages::Book;

/// Where the reference of the command is put, for a page to include.
const COMMANDS: &str = "target/book-source/commands.md";

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    match arguments {
        [] => build(),
        [flag] if flag == "--check" => check(),
        [flag] if flag == "--update" => update(),
        _ => bail!("this task takes --check or --update, and got {arguments:?}"),
    }
}

/// The book as HTML.
fn build() -> Result<()> {
    if !has_mdbook() {
        bail!("mdbook is missing; install it with `cargo install mdbook --locked`");
    }
    // As the tests have built it already.
    run_command(cargo().args(["build", "--locked", "--package", "drupe-cli"]))?;
    let own = std::env::current_exe().context("where is this program?")?;
    let target = own.ancestors().nth(2).context("this program moved")?;
    let drupe = target.join("debug/drupe");
    let source = root().join("target/book-source");
    fs::create_dir_all(&source).with_context(|| source.display().to_string())?;
    fs::write(root().join(COMMANDS), commands::reference(&drupe)?)?;
    let book = Book::read(&root())?;
    // A page that is there no more is not to stay.
    let stage = source.join("book");
    if stage.exists() {
        fs::remove_dir_all(&stage)?;
    }
    book.write(&stage)?;
    let out = root().join("target/book");
    run_command(
        Command::new("mdbook")
            .args(["build", "--dest-dir"])
            .arg(&out)
            .arg(&stage),
    )?;
    println!("{}", out.join("index.html").display());
    Ok(())
}

/// All that the tests know of the book, and nothing else.
fn check() -> Result<()> {
    run_command(cargo().args(["test", "--locked", "--package", "xtask", "book"]))?;
    run_command(cargo().args([
        "test",
        "--locked",
        "--package",
        "drupe-cli",
        "--test",
        "book",
    ]))?;
    let examples = |package: &str, names: &[&str]| {
        let mut tests = cargo();
        tests.args(["test", "--locked", "--package", package]);
        for name in names {
            tests.args(["--example", name]);
        }
        run_command(&mut tests)
    };
    examples("drupe", &["filesystems", "power_cuts"])?;
    examples("drupe-netadmin", &["far_away", "passt"])?;
    examples("drupe-fuse", &["sqlite"])
}

/// The tables of filesystems, from what this machine finds.
fn update() -> Result<()> {
    let mut example = cargo();
    example.args(["run", "--locked", "--package", "drupe", "--example"]);
    let tables = output(example.arg("filesystems").stderr(Stdio::inherit()))?;
    let file: PathBuf = root().join("book/generated/filesystems.md");
    fs::write(&file, tables).with_context(|| file.display().to_string())?;
    println!("{}", file.display());
    Ok(())
}

fn has_mdbook() -> bool {
    let mut version = Command::new("mdbook");
    version.arg("--version").stdout(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}
