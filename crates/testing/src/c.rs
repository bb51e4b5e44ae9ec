//! C programs as tests of a library: it is built and installed as its users have it, and
//! programs are compiled and run.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// How a program gets the library.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Linked {
    /// The shared library.
    Shared,
    /// The archive, and the system's libraries shared.
    Static,
    /// The archive, and the system's libraries static too: the program needs no other file.
    Alone,
    /// The shared library, and the program with AddressSanitizer, which finds leaks too.
    Sanitized,
}

/// A library for C.
#[derive(Clone, Copy, Debug)]
pub struct Library {
    /// Of pkg-config, and of the library's files: "drupe" of libdrupe.so.
    pub name: &'static str,
    /// The task of `cargo xtask` that installs it.
    pub task: &'static str,
    /// `CARGO_MANIFEST_DIR` of its crate, whose `tests/c` has the programs.
    pub own: &'static str,
    /// `CARGO_TARGET_TMPDIR` of its tests.
    pub tmp: &'static str,
}

impl Library {
    /// The directory of its crate.
    pub fn own(&self) -> &'static Path {
        Path::new(self.own)
    }

    /// Where the library is installed.
    pub fn prefix(&self) -> PathBuf {
        let tmp = Path::new(self.tmp);
        let prefix = tmp.join(self.task);
        // One at a time: tests of other processes use it too.
        let lock = File::create(tmp.join(format!("{}.lock", self.task)));
        let lock = lock.expect("the build's own directory");
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
            .args(["run", "--quiet", "--locked", "--package", "xtask", "--"])
            .arg(self.task)
            .args(profile)
            .arg(&prefix)
            .current_dir(self.own));
        prefix
    }

    /// A C program, compiled with all warnings as errors.
    pub fn compile(&self, source: &Path, linked: Linked, dir: &TempDir) -> PathBuf {
        let prefix = self.prefix();
        let name = source.file_stem().expect("a program has a name");
        let program = dir.path().join(format!("{}-{linked:?}", name.display()));
        let mut cc = Command::new("cc");
        cc.args(["-std=gnu11", "-O1", "-g", "-pthread"]);
        cc.args(["-Wall", "-Wextra", "-Werror"]);
        cc.arg("-o").arg(&program).arg(source);
        cc.arg("-I").arg(self.own().join("tests/c"));
        let flags: &[&str] = match linked {
            Linked::Static | Linked::Alone => &["--static", "--cflags", "--libs"],
            _ => &["--cflags", "--libs"],
        };
        let config = Command::new("pkg-config")
            .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"))
            .args(flags)
            .arg(self.name)
            .output()
            .expect("pkg-config runs");
        let config = String::from_utf8(succeeded("pkg-config", config).stdout).expect("UTF-8");
        let shared = format!("-l{}", self.name);
        for flag in config.split_whitespace() {
            match flag {
                flag if flag == shared && linked == Linked::Static => {
                    cc.arg(format!("-l:lib{}.a", self.name))
                }
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
    pub fn program(&self, name: &str, linked: Linked, dir: &TempDir) -> PathBuf {
        let source = self.own().join(format!("tests/c/{name}.c"));
        self.compile(&source, linked, dir)
    }

    /// Compiles a program and runs it.
    pub fn check<A: AsRef<OsStr>>(&self, name: &str, linked: Linked, arguments: &[A]) {
        let dir = tempfile::tempdir().expect("a directory");
        let program = self.program(name, linked, &dir);
        run(Command::new(program)
            .env("ASAN_OPTIONS", "detect_leaks=1")
            .args(arguments));
    }
}

/// Runs a program, which must succeed.
pub fn run(command: &mut Command) -> Output {
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
pub fn ext4(path: &Path, mib: u64) {
    let file = File::create(path).expect("an image");
    file.set_len(mib << 20).expect("room");
    run(Command::new("mkfs.ext4")
        .args(["-q", "-F", "-O", "^has_journal"])
        .arg(path));
}
