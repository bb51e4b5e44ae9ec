//! `licences`: checks that all dependencies have a licence that is compatible with
//! GPL-2.0-only, also those that only run in the build. A crate of this workspace under
//! MIT OR Apache-2.0 must use only permissive crates.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use spdx::{Expression, LicenseReq};

use crate::run::{cargo, output};

/// Licences that are compatible with GPL-2.0-only. Apache-2.0 is not: version 2 of the
/// GPL does not allow its patent clause.
const COMPATIBLE: &[&str] = &[
    "0BSD",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "GPL-2.0",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "ISC",
    "LGPL-2.1-only",
    "LGPL-2.1-or-later",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Permissive licences, under which a program may have any licence: not those of the
/// GPL's family.
const PERMISSIVE: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    crate::no_arguments(arguments)?;
    let metadata = output(cargo().args(["metadata", "--format-version=1", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata")?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    let compiled = compiled()?;
    let packages: Vec<&Value> = packages
        .iter()
        .filter(|package| compiled.contains(&name(package)))
        .collect();
    let bad: Vec<String> = packages
        .iter()
        .filter_map(|package| complaint(package))
        .collect();
    if !bad.is_empty() {
        bail!(
            "licences that do not go with GPL-2.0-only:\n  {}",
            bad.join("\n  ")
        );
    }
    let bad = tainted(&metadata)?;
    if !bad.is_empty() {
        bail!(
            "crates that promise a permissive licence and use what has none:\n  {}",
            bad.join("\n  ")
        );
    }
    println!(
        "the licences of all {} packages go with GPL-2.0-only",
        packages.len()
    );
    Ok(())
}

/// The packages that are compiled on some platform, by name and version. `cargo metadata`
/// also lists optional dependencies that no feature asks for, if another feature of the
/// same package mentions them (`ring?/alloc` of rustls-webpki).
pub(crate) fn compiled() -> Result<BTreeSet<String>> {
    let tree = output(cargo().args([
        "tree",
        "--workspace",
        "--locked",
        "--target=all",
        "--edges=normal,build,dev",
        "--prefix=none",
        "--format={p}",
    ]))?;
    let used: BTreeSet<String> = tree.lines().filter_map(name_in_tree).collect();
    match used.is_empty() {
        true => bail!("cargo tree lists no packages"),
        false => Ok(used),
    }
}

/// "name v1.2.3 (path)" as "name 1.2.3".
fn name_in_tree(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let (name, version) = (words.next()?, words.next()?);
    Some(format!("{name} {}", version.strip_prefix('v')?))
}

/// A package's name and version.
pub(crate) fn name(package: &Value) -> String {
    let field = |name: &str| package[name].as_str().unwrap_or("?");
    format!("{} {}", field("name"), field("version"))
}

/// What is wrong with the licence of a package, if anything.
fn complaint(package: &Value) -> Option<String> {
    let name = name(package);
    let Some(licence) = package["license"].as_str() else {
        return Some(format!("{name}: states no licence"));
    };
    match goes(licence) {
        Ok(true) => None,
        Ok(false) => Some(format!("{name}: {licence}")),
        Err(error) => Some(format!("{name}: {licence} (not understood: {error})")),
    }
}

/// Permissive crates of the workspace that use, directly or not, a crate that is not
/// permissive. Dependencies of tests do not count.
fn tainted(metadata: &Value) -> Result<Vec<String>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages: BTreeMap<String, Value> = list(&metadata["packages"])
        .into_iter()
        .filter_map(|package| Some((package["id"].as_str()?.to_owned(), package)))
        .collect();
    let uses: BTreeMap<String, Vec<String>> = list(&metadata["resolve"]["nodes"])
        .iter()
        .filter_map(|node| {
            let used = list(&node["deps"])
                .iter()
                .filter(|used| list(&used["dep_kinds"]).iter().any(|k| k["kind"] != "dev"))
                .filter_map(|used| Some(used["pkg"].as_str()?.to_owned()))
                .collect();
            Some((node["id"].as_str()?.to_owned(), used))
        })
        .collect();
    let permissive = |id: &str| -> Result<bool> {
        let licence = packages
            .get(id)
            .and_then(|package| package["license"].as_str());
        Ok(satisfied(licence.unwrap_or_default(), PERMISSIVE)?)
    };
    let mut complaints = Vec::new();
    for (id, package) in &packages {
        if !package["source"].is_null() || !permissive(id)? {
            continue;
        }
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![id.as_str()]);
        while let Some(next) = waiting.pop() {
            if !seen.insert(next) {
                continue;
            }
            if !permissive(next)? {
                complaints.push(format!(
                    "{}: {}, {}",
                    package["name"], packages[next]["name"], packages[next]["license"]
                ));
            }
            waiting.extend(uses.get(next).into_iter().flatten().map(String::as_str));
        }
    }
    Ok(complaints)
}

/// Whether a licence expression can be satisfied with compatible licences.
fn goes(licence: &str) -> Result<bool, spdx::ParseError> {
    satisfied(licence, COMPATIBLE)
}

/// Whether a licence expression can be satisfied with the licences of a list.
fn satisfied(licence: &str, list: &[&str]) -> Result<bool, spdx::ParseError> {
    // Old manifests separate with a slash; it means OR.
    let expression = Expression::parse(&licence.replace('/', " OR "))?;
    // An exception adds permissions, so it can only help. That of LLVM is made for
    // version 2 of the GPL: what is in its way is waived.
    let listed = |requirement: &LicenseReq| {
        let name = requirement.license.to_string();
        list.contains(&name.as_str()) || list.contains(&requirement.to_string().as_str())
    };
    Ok(expression.evaluate(listed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_with_a_compatible_side_goes() {
        for licence in [
            "MIT",
            "MIT OR Apache-2.0",
            "MIT/Apache-2.0",
            "GPL-2.0-only",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(goes(licence).unwrap(), "{licence}");
        }
        assert!(goes("(MIT OR Apache-2.0) AND Unicode-3.0").unwrap());
    }

    #[test]
    fn what_gpl_2_does_not_allow_does_not() {
        for licence in [
            "Apache-2.0",
            "MIT AND Apache-2.0",
            "GPL-3.0-only",
            "MPL-2.0",
        ] {
            assert!(!goes(licence).unwrap(), "{licence}");
        }
        assert!(goes("Not A Licence").is_err());
    }

    #[test]
    fn lines_of_the_tree() {
        let name = |line| name_in_tree(line).unwrap_or_default();
        assert_eq!(name("serde v1.0.2"), "serde 1.0.2");
        assert_eq!(name("xtask v0.1.0 (/src/xtask) (*)"), "xtask 0.1.0");
        assert_eq!(name(""), "");
    }

    #[test]
    fn a_package_without_a_licence_is_named() {
        let package = serde_json::json!({ "name": "odd", "version": "1.0.0", "license": null });
        assert_eq!(complaint(&package).unwrap(), "odd 1.0.0: states no licence");
    }

    #[test]
    fn a_permissive_crate_uses_permissive_ones_only() {
        let metadata = |kind: &str, licence: &str| {
            serde_json::json!({
                "packages": [
                    { "id": "ours", "name": "ours", "license": "MIT OR Apache-2.0", "source": null },
                    { "id": "b", "name": "b", "license": "MIT", "source": "registry" },
                    { "id": "c", "name": "c", "license": licence, "source": "registry" },
                ],
                "resolve": { "nodes": [
                    { "id": "ours", "deps": [{ "pkg": "b", "dep_kinds": [{ "kind": null }] }] },
                    { "id": "b", "deps": [{ "pkg": "c", "dep_kinds": [{ "kind": kind }] }] },
                ] },
            })
        };
        let bad = tainted(&metadata("build", "GPL-2.0-only")).unwrap();
        assert_eq!(bad, [r#""ours": "c", "GPL-2.0-only""#]);
        assert!(
            tainted(&metadata("dev", "GPL-2.0-only"))
                .unwrap()
                .is_empty()
        );
        assert!(
            tainted(&metadata("build", "Apache-2.0"))
                .unwrap()
                .is_empty()
        );
    }
}
