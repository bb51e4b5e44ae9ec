//! What each filesystem can do in drupe, found by doing it: prints the tables of the book
//! (`book/generated/filesystems.md`).
//!
//! Each is made by its own tool, used by a kernel, unmounted, looked at by another mount,
//! and checked by its own checker. Only what is still there then counts.
//!
//! ```text
//! cargo run --example filesystems > book/generated/filesystems.md
//! ```

mod probe;
mod rows;
mod tools;

use std::error::Error;
use std::fmt::Write;

use rows::{FROM_A_DIRECTORY, Row, WRITABLE};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    print!("{}", tables()?);
    Ok(())
}

fn tables() -> Result<String> {
    let mut text = "<!-- Made by `cargo xtask book --update`. -->\n\n".to_owned();
    for (heading, rows) in WRITABLE {
        writeln!(text, "## {heading}\n")?;
        header(&mut text, &probe::COLUMNS)?;
        for row in *rows {
            let cells = probe::written(row).map_err(|error| format!("{}: {error}", row.made))?;
            line(&mut text, row, &cells)?;
        }
        text.push('\n');
    }
    writeln!(text, "## Those that are made from a directory\n")?;
    header(&mut text, &probe::COLUMNS_READ)?;
    for row in FROM_A_DIRECTORY {
        let cells = probe::read(row).map_err(|error| format!("{}: {error}", row.made))?;
        line(&mut text, row, &cells)?;
    }
    Ok(text)
}

fn header(text: &mut String, columns: &[&str]) -> Result<()> {
    writeln!(text, "| Made by | {} |", columns.join(" | "))?;
    writeln!(text, "|---|{}", ":-:|".repeat(columns.len()))?;
    Ok(())
}

fn line(text: &mut String, row: &Row, cells: &[String]) -> Result<()> {
    let Row { made, options, .. } = row;
    let mounted = match *options {
        "" => String::new(),
        options => format!(", mounted with `{options}`"),
    };
    writeln!(text, "| `{made}`{mounted} | {} |", cells.join(" | "))?;
    Ok(())
}

#[test]
fn the_book_is_true() -> Result<()> {
    let book = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let book = std::fs::read_to_string(book.join("../../book/generated/filesystems.md"))?;
    let found = tables()?;
    let differ = |one: &str, other: &str| -> Vec<String> {
        let others: Vec<&str> = other.lines().collect();
        let lines = one.lines().filter(|line| !others.contains(line));
        lines.map(str::to_owned).collect()
    };
    let (told, found) = (differ(&book, &found), differ(&found, &book));
    assert!(
        told.is_empty() && found.is_empty(),
        "the book says\n{}\nand this machine finds\n{}\nhint: `cargo xtask book --update` \
         writes what it finds into the book",
        told.join("\n"),
        found.join("\n")
    );
    Ok(())
}
