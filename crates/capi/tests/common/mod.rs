//! What the tests of libdrupe share: it is built and installed as its users have it, and C
//! programs are compiled and run.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// How a program gets the library.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Linked {
    /// libdrupe.so.
    Shared,
    /// libdrupe.a, and the system's libraries shared.
    Static,
    /// libdrupe.a, and the system's libraries static too: the program needs no other file.
    Alone,
    /// libdrupe.so, and the program with AddressSanitizer, which finds leaks too.
    Sanitized,
}

/// The directory of this crate.
pub(crate) fn own() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where the library is installed; `cargo xtask capi` does it.
pub(crate) fn prefix() -> PathBuf {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let prefix = tmp.join("capi");
    // One at a time: tests of other processes use it too.
    let lock = File::create(tmp.join("capi.lock")).expect("the build's own directory");
    lock.lock().expect("a lock");
    let profile = if cfg!(debug_assertions) {
        &["--dev"][..]
    } else {
        &[]
    };
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut command = Command::new(cargo);
    // What cargo tells this test is not for other packages' builds.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
    run(command
        .args([
            "run",
            "--quiet",
            "--locked",
            "--package",
            "xtask",
            "--",
            "capi",
        ])
        .args(profile)
        .arg(&prefix)
        .current_dir(own()));
    prefix
}

/// A C program, compiled with all warnings as errors.
pub(crate) fn compile(source: &Path, linked: Linked, dir: &TempDir) -> PathBuf {
    let prefix = prefix();
    let name = source.file_stem().expect("a program has a name");
    let program = dir.path().join(format!("{}-{linked:?}", name.display()));
    let mut cc = Command::new("cc");
    cc.args([
        "-std=gnu11",
        "-O1",
        "-g",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pthread",
    ]);
    cc.arg("-o").arg(&program).arg(source);
    cc.arg("-I").arg(own().join("tests/c"));
    let flags: &[&str] = match linked {
        Linked::Static | Linked::Alone => &["--static", "--cflags", "--libs"],
        _ => &["--cflags", "--libs"],
    };
    let config = Command::new("pkg-config")
        .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"))
        .args(flags)
        .arg("drupe")
        .output()
        .expect("pkg-config runs");
    let config = String::from_utf8(succeeded("pkg-config", config).stdout).expect("UTF-8");
    for flag in config.split_whitespace() {
        match flag {
            "-ldrupe" if linked == Linked::Static => cc.arg("-l:libdrupe.a"),
            flag => cc.arg(flag),
        };
    }
    match linked {
        Linked::Shared => {}
        // Without what debuggers want.
        Linked::Static => {
            cc.arg("-s");
        }
        Linked::Alone => {
            cc.args(["-static-pie", "-s"]);
        }
        Linked::Sanitized => {
            cc.arg("-fsanitize=address");
        }
    }
    if matches!(linked, Linked::Shared | Linked::Sanitized) {
        let rpath = prefix.join("lib");
        cc.arg(format!("-Wl,-rpath,{}", rpath.display()));
    }
    run(&mut cc);
    program
}

/// Compiles one of `tests/c`.
pub(crate) fn program(name: &str, linked: Linked, dir: &TempDir) -> PathBuf {
    compile(&own().join(format!("tests/c/{name}.c")), linked, dir)
}

/// Compiles a program and runs it.
pub(crate) fn check<A: AsRef<OsStr>>(name: &str, linked: Linked, arguments: &[A]) {
    let dir = tempfile::tempdir().expect("a directory");
    let program = program(name, linked, &dir);
    run(Command::new(program)
        .env("ASAN_OPTIONS", "detect_leaks=1")
        .args(arguments));
}

/// Runs a program, which must succeed.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output();
    succeeded(&format!("{command:?}"), output.expect("it runs"))
}

fn succeeded(what: &str, output: Output) -> Output {
    assert!(
        output.status.success(),
        "{what}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output
}

/// An empty ext4 image.
pub(crate) fn ext4(path: &Path, mib: u64) {
    let file = File::create(path).expect("an image");
    file.set_len(mib << 20).expect("room");
    run(Command::new("mkfs.ext4")
        .args(["-q", "-F", "-O", "^has_journal"])
        .arg(path));
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
