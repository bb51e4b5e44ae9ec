//! `tidy`: checks the rules of ARCHITECTURE.md that a program can check.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

mod manifests;
mod modules;
mod picture;

use crate::run::{cargo, output, root};
use picture::Layers;

/// Modules of a crate that may use each other in a circle, as ARCHITECTURE.md says.
///
/// A kernel owns its CPUs, a CPU enters the image of its kernel, and the thread that
/// enters is known by the CPU it is inside of and by its tasks in each kernel.
const CIRCLES_ALLOWED: &[(&str, &[&str])] = &[
    ("drupe-machine", &["instance", "vcpu", "thread"]),
    // Classes of Python: each makes objects of the other.
    ("drupe-python", &["mount", "partition"]),
];

/// The crates that may contain `unsafe`; all others forbid it in their root.
const UNSAFE: &[&str] = &[
    "drupe-abi",
    "drupe-bench",
    "drupe-capi",
    "drupe-host",
    "drupe-image",
    "drupe-links",
    "drupe-lkl",
    "drupe-machine",
    "drupe-netadmin",
    "drupe-python",
    "drupe-run",
    "drupe",
];

/// Code that only some files of a crate may contain: invariants of ARCHITECTURE.md.
const CONFINED: &[Confined] = &[
    Confined {
        beneath: "crates/machine/src",
        code: &["mmap", "munmap", "mprotect", "mremap", "madvise"],
        files: &["memory/mapping.rs"],
        rule: "makes mappings: memory/mapping.rs does",
    },
    Confined {
        beneath: "crates/machine/src",
        code: &[".image().enter"],
        files: &["vcpu/enter.rs"],
        rule: "enters the image",
    },
    Confined {
        beneath: "crates/machine/src",
        code: &["thread_local!"],
        files: &["thread/mod.rs"],
        rule: "has a thread-local: what a thread does is in its Context",
    },
    Confined {
        beneath: "crates/machine/src",
        code: &[".vcpus"],
        files: &["boot.rs", "instance.rs", "operations/mod.rs"],
        rule: "presumes how many CPUs there are: ask Instance::vcpu",
    },
    Confined {
        beneath: "crates/machine/src",
        code: &["sigaction("],
        files: &["process/fault.rs"],
        rule: "installs a signal handler",
    },
    made_without_lock("crates/drupe/src"),
    made_without_lock("crates/host/src"),
    made_without_lock("crates/image/src"),
    made_without_lock("crates/links/src"),
    made_without_lock("crates/machine/src"),
    made_without_lock("crates/snapshot/src"),
];

/// A rule that certain code is only in certain files.
struct Confined {
    /// The directory that the rule is for.
    beneath: &'static str,
    /// The code to look for.
    code: &'static [&'static str],
    /// The files that may contain it, relative to the directory.
    files: &'static [&'static str],
    /// What other files are told that contain it.
    rule: &'static str,
}

/// The rule that statics are made without a lock, which a child of fork(2) might find
/// locked.
const fn made_without_lock(beneath: &'static str) -> Confined {
    Confined {
        beneath,
        code: &["= OnceLock::new()", "= Once::new()", "= LazyLock::new("],
        files: &[],
        rule: "has a static that is made under a lock: use once_cell::race",
    }
}

/// Limit of the lines of a file.
const MAX_LINES: usize = 600;

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    crate::no_arguments(arguments)?;
    let metadata = output(cargo().args(["metadata", "--format-version=1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata")?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    let mut complaints = Vec::new();
    let layers = picture::layers()?;
    for package in packages {
        complaints.extend(dependencies(&layers, package));
        complaints.extend(circles(package)?);
        complaints.extend(unsafe_code(package)?);
        complaints.extend(manifests::complaints(package, packages));
    }
    let files = sources()?;
    for file in &files {
        let text = fs::read_to_string(root().join(file)).with_context(|| show(file))?;
        complaints.extend(file_complaints(file, &text));
    }
    if !complaints.is_empty() {
        bail!("untidy:\n  {}", complaints.join("\n  "));
    }
    println!(
        "{} crates and {} source files are tidy",
        packages.len(),
        files.len()
    );
    Ok(())
}

/// Dependencies within the workspace that do not point downwards.
fn dependencies(layers: &Layers, package: &Value) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let Some(own) = layers.of(name) else {
        return vec![format!("{name}: not in the picture of ARCHITECTURE.md")];
    };
    let dependencies = package["dependencies"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    dependencies
        .iter()
        // A crate's own tests may use what is above it.
        .filter(|dependency| dependency["kind"] != "dev")
        .filter_map(|dependency| dependency["name"].as_str())
        .filter(|used| layers.of(used).is_some_and(|used| used >= own))
        .map(|used| format!("{name}: uses {used}, which is not of a lower layer"))
        .collect()
}

/// Circles among the modules of a package's library and programs.
fn circles(package: &Value) -> Result<Vec<String>> {
    let name = package["name"].as_str().unwrap_or_default();
    let allowed = CIRCLES_ALLOWED.iter().find(|(of, _)| *of == name);
    let allowed = allowed.map_or(&[][..], |(_, modules)| modules);
    let mut complaints = Vec::new();
    for path in roots(package)? {
        complaints.extend(modules::circles(&root().join(&path), allowed)?);
    }
    Ok(complaints)
}

/// The kinds of cargo's targets that are libraries or programs.
const KINDS: [&str; 4] = ["lib", "bin", "cdylib", "staticlib"];

/// The files that a package's library and programs begin with.
fn roots(package: &Value) -> Result<Vec<PathBuf>> {
    let targets = package["targets"].as_array().map_or(&[][..], Vec::as_slice);
    let mut roots = Vec::new();
    for target in targets {
        let kinds = target["kind"].as_array().map_or(&[][..], Vec::as_slice);
        if kinds
            .iter()
            .any(|kind| KINDS.iter().any(|known| kind == known))
        {
            let path = target["src_path"].as_str();
            let path = Path::new(path.context("a target without a file")?);
            roots.push(path.strip_prefix(root()).unwrap_or(path).to_owned());
        }
    }
    Ok(roots)
}

/// Crate roots that should forbid `unsafe` and do not.
fn unsafe_code(package: &Value) -> Result<Vec<String>> {
    let name = package["name"].as_str().unwrap_or_default();
    if UNSAFE.contains(&name) {
        return Ok(Vec::new());
    }
    let mut complaints = Vec::new();
    for path in roots(package)? {
        let text = fs::read_to_string(root().join(&path)).with_context(|| show(&path))?;
        if !text.contains("#![forbid(unsafe_code)]") {
            complaints.push(format!("{}: lacks #![forbid(unsafe_code)]", path.display()));
        }
    }
    Ok(complaints)
}

/// The checkout's Rust files.
fn sources() -> Result<BTreeSet<PathBuf>> {
    let root = root();
    let mut found = BTreeSet::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).with_context(|| show(&directory))? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            let built = name == "target" || name.as_encoded_bytes().starts_with(b".");
            if entry.file_type()?.is_dir() && !built {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.extend(path.strip_prefix(&root).map(Path::to_owned));
            }
        }
    }
    Ok(found)
}

fn file_complaints(file: &Path, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("//!") {
        complaints.push(format!("{}: does not open with //!", file.display()));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        complaints.push(format!("{}: {lines} lines; split it", file.display()));
    }
    complaints.extend(confined(file, text));
    complaints
}

/// The complaints about code of [`CONFINED`] in a file.
fn confined(file: &Path, text: &str) -> Vec<String> {
    let code = || {
        text.lines()
            .filter(|line| !line.trim_start().starts_with("//"))
    };
    let broken = CONFINED.iter().filter(|confined| {
        let Ok(within) = file.strip_prefix(confined.beneath) else {
            return false;
        };
        let allowed = confined
            .files
            .iter()
            .any(|allowed| within == Path::new(allowed));
        !allowed && code().any(|line| confined.code.iter().any(|code| line.contains(code)))
    });
    broken
        .map(|confined| format!("{}: {}", file.display(), confined.rule))
        .collect()
}

fn show(file: &Path) -> String {
    file.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, used: &str, kind: Value) -> Value {
        json!({ "name": name, "dependencies": [{ "name": used, "kind": kind }] })
    }

    fn dependencies(package: &Value) -> Vec<String> {
        let layers = Layers::parse("drupe\nmachine\nhost, image\ncpu");
        super::dependencies(&layers, package)
    }

    #[test]
    fn dependencies_point_down() {
        let none = || Value::Null;
        assert_eq!(
            dependencies(&package("drupe", "drupe-machine", none())),
            [""; 0]
        );
        assert_eq!(dependencies(&package("drupe", "libc", none())), [""; 0]);
        assert_eq!(
            dependencies(&package("drupe-host", "drupe-image", none())).len(),
            1
        );
        assert_eq!(
            dependencies(&package("drupe-cpu", "drupe", none())).len(),
            1
        );
        assert_eq!(
            dependencies(&package("drupe-cpu", "drupe", json!("build"))).len(),
            1
        );
        assert_eq!(
            dependencies(&package("drupe-cpu", "drupe", json!("dev"))),
            [""; 0]
        );
        assert_eq!(dependencies(&package("newcomer", "libc", none())).len(), 1);
    }

    #[test]
    fn what_is_confined_stays_there() {
        let complaints = |file: &str, text: &str| confined(Path::new(file), text).len();
        let other = "crates/machine/src/boot.rs";
        let maps = "    unsafe { libc::munmap(start, len) };";
        let enters = "    let enter = kernel.image().enter;";
        assert_eq!(complaints(other, maps), 1);
        assert_eq!(complaints(other, "    // as mmap(2) says"), 0);
        assert_eq!(complaints("crates/machine/src/memory/mapping.rs", maps), 0);
        assert_eq!(complaints("crates/run/src/memory.rs", maps), 0);
        assert_eq!(complaints(other, enters), 1);
        assert_eq!(complaints("crates/machine/src/vcpu/enter.rs", enters), 0);
        let shared = "    static MAX: OnceLock<u32> = OnceLock::new();";
        assert_eq!(complaints(other, shared), 1);
        assert_eq!(complaints(other, "        image: OnceLock::new(),"), 0);
    }

    #[test]
    fn files_open_with_their_purpose_and_end_soon() {
        let complaints = |text: &str| file_complaints(Path::new("a.rs"), text).len();
        assert_eq!(complaints("//! Purpose.\n"), 0);
        assert_eq!(complaints("fn main() {}\n"), 1);
        assert_eq!(
            complaints(&format!("//! Long.\n{}", "\n".repeat(MAX_LINES))),
            1
        );
    }
}
