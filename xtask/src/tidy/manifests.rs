//! Checks that the manifest and folder of a crate have everything for publishing.

use std::path::Path;

use serde_json::Value;

/// What crates.io allows.
const MAX_KEYWORDS: usize = 5;

/// The complaints about a crate that is to be published. `packages` are those of the
/// workspace.
pub(super) fn complaints(package: &Value, packages: &[Value]) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    if !is_published(package) {
        return Vec::new();
    }
    let mut lacks = Vec::new();
    for field in ["description", "repository", "license", "readme"] {
        if package[field].as_str().is_none_or(str::is_empty) {
            lacks.push(format!("{name}: its Cargo.toml has no {field}"));
        }
    }
    let keywords = package["keywords"].as_array().map_or(0, Vec::len);
    if !(1..=MAX_KEYWORDS).contains(&keywords) {
        lacks.push(format!("{name}: has {keywords} keywords, not 1 to 5"));
    }
    lacks.extend(texts(package));
    lacks.extend(dependencies(package, packages));
    lacks
}

/// Whether a crate is published.
fn is_published(package: &Value) -> bool {
    // null: anywhere; a list: there only.
    package["publish"]
        .as_array()
        .is_none_or(|to| !to.is_empty())
}

/// Texts of licences that are not in the crate's own folder, and so not in its package.
fn texts(package: &Value) -> Vec<String> {
    let licence = package["license"].as_str().unwrap_or_default();
    let wanted: &[&str] = match licence {
        "GPL-2.0-only" => &["LICENSE"],
        "MIT OR Apache-2.0" => &["LICENSE-MIT", "LICENSE-APACHE"],
        other => return vec![format!("{}: licence {other:?}", package["name"])],
    };
    let manifest = package["manifest_path"].as_str().unwrap_or_default();
    let folder = Path::new(manifest).parent().unwrap_or(Path::new(""));
    let lacks = wanted.iter().filter(|file| !folder.join(file).exists());
    lacks
        .map(|file| format!("{}: has no {file} beside its Cargo.toml", package["name"]))
        .collect()
}

/// Dependencies in the workspace that a user of the published crate would not find.
fn dependencies(package: &Value, packages: &[Value]) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let all = package["dependencies"].as_array();
    let local = all
        .into_iter()
        .flatten()
        .filter(|used| used["path"].is_string());
    let mut complaints = Vec::new();
    for used in local {
        let to = used["name"].as_str().unwrap_or_default();
        let has_version = used["req"] != "*";
        let published = packages
            .iter()
            .any(|package| package["name"] == to && is_published(package));
        // One for tests is left out of the package if it has no version.
        let wanted = used["kind"] != "dev";
        if wanted && !has_version {
            complaints.push(format!("{name}: uses {to} without a version"));
        }
        if has_version && !published {
            complaints.push(format!("{name}: uses {to}, which is not published"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(used: Value) -> Value {
        json!({
            "name": "ours", "publish": null, "description": "d", "repository": "r",
            "license": "GPL-2.0-only", "readme": "README.md", "keywords": ["k"],
            "manifest_path": concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/image/Cargo.toml"),
            "dependencies": used,
        })
    }

    fn used(name: &str, req: &str, kind: Value) -> Value {
        json!([{ "name": name, "req": req, "path": "/", "kind": kind }])
    }

    fn complaints(package: &Value) -> Vec<String> {
        let others = [
            json!({ "name": "known", "publish": null }),
            json!({ "name": "private", "publish": [] }),
        ];
        super::complaints(package, &others)
    }

    #[test]
    fn a_complete_manifest_is_complete() {
        assert_eq!(complaints(&package(json!([]))), [""; 0]);
        let used = used("known", "=0.1.0", Value::Null);
        assert_eq!(complaints(&package(used)), [""; 0]);
    }

    #[test]
    fn what_is_lacking_is_named() {
        let mut incomplete = package(json!([]));
        incomplete["keywords"] = json!([]);
        incomplete["description"] = Value::Null;
        incomplete["license"] = json!("MIT OR Apache-2.0");
        assert_eq!(complaints(&incomplete).len(), 4);
        incomplete["publish"] = json!([]);
        assert_eq!(complaints(&incomplete), [""; 0]);
    }

    #[test]
    fn dependencies_can_be_had() {
        let count = |name, req, kind| complaints(&package(used(name, req, kind))).len();
        assert_eq!(count("known", "*", Value::Null), 1);
        assert_eq!(count("private", "*", json!("dev")), 0);
        assert_eq!(count("private", "=0.1.0", json!("dev")), 1);
        assert_eq!(count("private", "=0.1.0", json!("build")), 1);
    }
}
