//! `licences`: everything that is linked into the program, or runs when it is
//! built, must have a licence that goes with GPL-2.0-only.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use spdx::{Expression, LicenseReq};

use crate::run::{cargo, output};

/// Licences that go with GPL-2.0-only. Apache-2.0 is not among them: its patent
/// clause is a restriction that version 2 of the GPL does not allow.
const COMPATIBLE: &[&str] = &[
    "0BSD",
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

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    crate::no_arguments(arguments)?;
    let metadata = output(cargo().args(["metadata", "--format-version=1", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata")?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    let bad: Vec<String> = packages.iter().filter_map(complaint).collect();
    if !bad.is_empty() {
        bail!(
            "licences that do not go with GPL-2.0-only:\n  {}",
            bad.join("\n  ")
        );
    }
    println!(
        "the licences of all {} packages go with GPL-2.0-only",
        packages.len()
    );
    Ok(())
}

/// What is wrong with the licence of a package, if anything.
fn complaint(package: &Value) -> Option<String> {
    let field = |name: &str| package[name].as_str();
    let name = format!(
        "{} {}",
        field("name").unwrap_or("?"),
        field("version").unwrap_or("?")
    );
    let Some(licence) = field("license") else {
        return Some(format!("{name}: states no licence"));
    };
    match goes(licence) {
        Ok(true) => None,
        Ok(false) => Some(format!("{name}: {licence}")),
        Err(error) => Some(format!("{name}: {licence} (not understood: {error})")),
    }
}

/// Whether an expression can be satisfied with compatible licences.
fn goes(licence: &str) -> Result<bool, spdx::ParseError> {
    // Old manifests separate with a slash; it means OR.
    let expression = Expression::parse(&licence.replace('/', " OR "))?;
    Ok(expression.evaluate(compatible))
}

fn compatible(requirement: &LicenseReq) -> bool {
    // An exception adds permissions, so it can only help.
    let name = requirement.license.to_string();
    COMPATIBLE.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_with_a_compatible_side_goes() {
        for licence in ["MIT", "MIT OR Apache-2.0", "MIT/Apache-2.0", "GPL-2.0-only"] {
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
    fn a_package_without_a_licence_is_named() {
        let package = serde_json::json!({ "name": "odd", "version": "1.0.0", "license": null });
        assert_eq!(complaint(&package).unwrap(), "odd 1.0.0: states no licence");
    }
}
