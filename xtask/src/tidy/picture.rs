//! [`Layers`]: the layers of crates, read from the picture in ARCHITECTURE.md.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::run::root;

/// The text before the picture.
const BEFORE: &str = "<!-- layers: cargo xtask tidy reads this -->\n```\n";

/// Names of crates, from the highest layer to the lowest.
#[derive(Debug)]
pub(super) struct Layers(Vec<Vec<String>>);

/// Reads the picture.
pub(super) fn layers() -> Result<Layers> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).context("ARCHITECTURE.md")?;
    let picture = text.split_once(BEFORE).map(|(_, picture)| picture);
    match picture.and_then(|picture| picture.split_once("```")) {
        Some((picture, _)) => Ok(Layers::parse(picture)),
        None => bail!("ARCHITECTURE.md has no picture of the crates"),
    }
}

impl Layers {
    /// A layer on each line, of names with commas between them; what is in
    /// parentheses behind them is for readers.
    pub(super) fn parse(picture: &str) -> Layers {
        let line = |line: &str| -> Vec<String> {
            let names = line.split('(').next().unwrap_or_default();
            let names = names.split(',').map(str::trim);
            let names = names.filter(|name| !name.is_empty());
            names.map(package).collect()
        };
        Layers(picture.lines().map(line).collect())
    }

    /// The height of a crate's layer.
    pub(super) fn of(&self, package: &str) -> Option<usize> {
        let mut from_below = self.0.iter().rev();
        from_below.position(|names| names.iter().any(|name| name == package))
    }
}

/// The name of the package that the picture calls `name`.
fn package(name: &str) -> String {
    match name {
        "drupe" | "xtask" => name.to_owned(),
        name => format!("drupe-{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_layers() {
        let layers = Layers::parse("cli, xtask (programs)\ndrupe\n\nhost, image\n");
        assert_eq!(layers.of("xtask"), layers.of("drupe-cli"));
        assert!(layers.of("drupe") > layers.of("drupe-host"));
        assert!(layers.of("drupe-cli") > layers.of("drupe"));
        assert_eq!(layers.of("drupe-new"), None);
    }
}
