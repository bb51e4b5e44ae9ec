//! Makes `licences.txt`: the licence texts of all crates that are linked into the
//! command, which most licences require.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::licences;
use crate::run::{cargo, output};

/// The beginnings of names of licence files.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "UNLICENSE"];

/// The text, for some packages as they are built for `target`.
pub(super) fn text(target: &str, roots: &[&str]) -> Result<String> {
    let arguments = [
        "metadata",
        "--format-version=1",
        "--locked",
        "--filter-platform",
    ];
    let metadata = output(cargo().args(arguments).arg(target))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata")?;
    let mut list = String::new();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut packages = BTreeMap::new();
    for root in roots {
        for package in linked(&metadata, root)? {
            packages.insert(package["id"].as_str(), package);
        }
    }
    let compiled = licences::compiled()?;
    for package in packages.into_values() {
        let field = |name: &str| package[name].as_str().unwrap_or_default();
        let name = licences::name(package);
        if !compiled.contains(&name) {
            continue;
        }
        writeln!(list, "{name}: {}", field("license"))?;
        // Ours are in LICENSE, and in the crates' packages.
        if package["source"].is_null() {
            continue;
        }
        let folder = Path::new(field("manifest_path"))
            .parent()
            .context("a manifest")?;
        for text in licence_texts(folder)? {
            texts.entry(text).or_default().push(name.clone());
        }
    }
    let mut all = format!(
        "What is linked into the program, and the licences that its authors offer. The\n\
         GNU C Library is linked into it too, which is LGPL-2.1-or-later:\n\
         <https://sourceware.org/glibc/>.\n\n{list}"
    );
    for (text, names) in texts {
        let line = "-".repeat(72);
        write!(
            all,
            "\n{line}\n{}\n{line}\n\n{}\n",
            names.join(", "),
            text.trim_end()
        )?;
    }
    Ok(all)
}

/// The package `name` and all packages that are linked into it, sorted.
fn linked<'a>(metadata: &'a Value, name: &str) -> Result<Vec<&'a Value>> {
    let list = |value: &'a Value| value.as_array().map_or(&[][..], Vec::as_slice);
    let packages = list(&metadata["packages"]);
    let nodes = list(&metadata["resolve"]["nodes"]);
    let own = packages.iter().find(|package| package["name"] == name);
    let own = own.with_context(|| format!("no package {name}"))?;
    let mut waiting = vec![&own["id"]];
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if !seen.insert(id.as_str()) {
            continue;
        }
        let node = nodes.iter().find(|node| node["id"] == *id);
        for used in node.map_or(&[][..], |node| list(&node["deps"])) {
            // null: not for tests or builds only.
            if list(&used["dep_kinds"])
                .iter()
                .any(|kind| kind["kind"].is_null())
            {
                waiting.push(&used["pkg"]);
            }
        }
    }
    let linked = packages
        .iter()
        .filter(|package| seen.contains(&package["id"].as_str()));
    let mut linked: Vec<_> = linked.collect();
    linked.sort_by_key(|package| (package["name"].as_str(), package["version"].as_str()));
    Ok(linked)
}

/// The texts of licences in a crate's folder.
fn licence_texts(folder: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_uppercase();
        if path.is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
            files.push(path);
        }
    }
    files.sort();
    files
        .iter()
        .map(|file| fs::read_to_string(file).with_context(|| file.display().to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_listed_and_nothing_else() {
        let metadata = serde_json::json!({
            "packages": [
                { "id": "1", "name": "own", "version": "1" },
                { "id": "2", "name": "used", "version": "1" },
                { "id": "3", "name": "builds", "version": "1" },
                { "id": "4", "name": "alone", "version": "1" },
            ],
            "resolve": { "nodes": [{ "id": "1", "deps": [
                { "pkg": "2", "dep_kinds": [{ "kind": "dev" }, { "kind": null }] },
                { "pkg": "3", "dep_kinds": [{ "kind": "build" }] },
            ] }] },
        });
        let linked = linked(&metadata, "own").unwrap();
        let names: Vec<_> = linked.iter().map(|package| &package["name"]).collect();
        assert_eq!(names, ["own", "used"]);
    }

    #[test]
    fn texts_are_those_of_licences() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("LICENSE-MIT"), "mit").unwrap();
        fs::write(folder.path().join("Cargo.toml"), "no").unwrap();
        assert_eq!(licence_texts(folder.path()).unwrap(), ["mit"]);
    }
}
