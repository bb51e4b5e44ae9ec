//! libdrupe as the tests of it have it.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use drupe_testing::c::Library;
pub(crate) use drupe_testing::c::{Linked, ext4, run};
use tempfile::TempDir;

const LIBRARY: Library = Library {
    name: "drupe",
    task: "capi",
    own: env!("CARGO_MANIFEST_DIR"),
    tmp: env!("CARGO_TARGET_TMPDIR"),
};

/// The directory of this crate.
pub(crate) fn own() -> &'static Path {
    LIBRARY.own()
}

/// Where the library is installed; `cargo xtask capi` does it.
pub(crate) fn prefix() -> PathBuf {
    LIBRARY.prefix()
}

/// A C program, compiled with all warnings as errors.
pub(crate) fn compile(source: &Path, linked: Linked, dir: &TempDir) -> PathBuf {
    LIBRARY.compile(source, linked, dir)
}

/// Compiles a program and runs it.
pub(crate) fn check<A: AsRef<OsStr>>(name: &str, linked: Linked, arguments: &[A]) {
    LIBRARY.check(name, linked, arguments);
}

/// A tree with files, links, times.
pub(crate) fn tree(dir: &Path) {
    fs::create_dir_all(dir.join("empty")).expect("a directory");
    for n in 0..20 {
        let sub = dir.join(format!("{}", n % 3));
        fs::create_dir_all(&sub).expect("a directory");
        let text = format!("file {n}\n").repeat(n * 500);
        fs::write(sub.join(format!("{n}")), text).expect("a file");
    }
    std::os::unix::fs::symlink("0/3", dir.join("link")).expect("a link");
    fs::hard_link(dir.join("0/3"), dir.join("hard")).expect("a link");
}
