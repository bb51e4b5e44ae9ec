//! The table of the project's tasks: `cargo xtask TASK`.
//!
//! [`TASKS`] has each task with a line of help; modules implement them. Only [`setup`]
//! installs packages on the machine.
#![forbid(unsafe_code)]

mod book;
mod capi;
mod check;
mod demo;
mod dist;
mod fio;
mod fsx;
mod fuzz;
mod kernel;
mod licences;
mod lkl;
mod mounts;
mod pjdfstest;
mod progress;
mod python;
mod run;
mod setup;
mod test;
mod tidy;
mod xfstests;

use std::env;
use std::process::ExitCode;

use anyhow::{Result, bail};

/// A task: its name, help and function.
struct Task {
    name: &'static str,
    /// Arguments, as the help shows them.
    arguments: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Result<()>,
}

const TASKS: &[Task] = &[
    Task {
        name: "demo",
        arguments: "",
        help: "set up, then copy a tree into a real ext4 image, out again, and check everything",
        run: demo::run,
    },
    Task {
        name: "test",
        arguments: "",
        help: "set up, then run all tests and check the kernel port",
        run: test::run,
    },
    Task {
        name: "ci",
        arguments: "",
        help: "what CI runs: format, lints, documentation, licences, layout, tests",
        run: test::ci,
    },
    Task {
        name: "setup",
        arguments: "",
        help: "install with apt-get what building and testing need, and say what",
        run: setup::run,
    },
    Task {
        name: "kernel",
        arguments: "[check] [--flavour NAME] [--verbose]",
        help: "build the kernel image; check: no warnings, checkpatch clean, tree untouched, numbers of calls complete",
        run: kernel::run,
    },
    Task {
        name: "capi",
        arguments: "[--dev] PREFIX",
        help: "build libdrupe for C, and install it with drupe.h and drupe.pc beneath PREFIX",
        run: capi::run,
    },
    Task {
        name: "lkl",
        arguments: "[--dev] PREFIX",
        help: "build liblkl, the interface of the Linux Kernel Library, and install it with its headers beneath PREFIX",
        run: lkl::run,
    },
    Task {
        name: "python",
        arguments: "[--test] [--dev]",
        help: "build the wheel for Python into target/dist; --test: with each Python that there is",
        run: python::run,
    },
    Task {
        name: "lint",
        arguments: "",
        help: "format, clippy and rustdoc, with warnings as errors",
        run: check::run,
    },
    Task {
        name: "licences",
        arguments: "",
        help: "check that every dependency's licence goes with GPL-2.0-only, and that of MIT crates with MIT",
        run: licences::run,
    },
    Task {
        name: "tidy",
        arguments: "",
        help: "check which crate and module uses which, where unsafe is, manifests, headers, file sizes",
        run: tidy::run,
    },
    Task {
        name: "loom",
        arguments: "",
        help: "model-check who owns the CPU (crates/cpu), and who wakes whom (crates/links)",
        run: test::loom,
    },
    Task {
        name: "tsan",
        arguments: "",
        help: "the CPU's stress test under ThreadSanitizer (needs a nightly toolchain)",
        run: test::tsan,
    },
    Task {
        name: "soak",
        arguments: "[ARGUMENTS]",
        help: "run the long tests, those marked #[ignore], in a release build",
        run: test::soak,
    },
    Task {
        name: "fuzz",
        arguments: "[TARGET] [--minutes NUMBER]",
        help: "fuzz the parsers of foreign bytes (needs nightly, cargo-fuzz); 3 minutes each",
        run: fuzz::run,
    },
    Task {
        name: "pjdfstest",
        arguments: "[--fs ext4|xfs|btrfs]",
        help: "that suite over drupe mount and over a loop mount, compared (as root)",
        run: pjdfstest::run,
    },
    Task {
        name: "xfstests",
        arguments: "PATH [TEST…]",
        help: "the generic quick group of that suite, built at PATH, over drupe mount (as root)",
        run: xfstests::run,
    },
    Task {
        name: "fsx",
        arguments: "[--operations NUMBER]",
        help: "100,000 random operations on a file in each of four mounts, compared (as root)",
        run: fsx::run,
    },
    Task {
        name: "fio",
        arguments: "",
        help: "fio's verify jobs in each of four mounts, read back after another mount (as root)",
        run: fio::run,
    },
    Task {
        name: "dist",
        arguments: "[PART…] [--root DIR…] [--check]",
        help: "make what is given to others into target/dist (parts: crates, command, c, python), and try each as its users do",
        run: dist::run,
    },
    Task {
        name: "book",
        arguments: "[--check|--update]",
        help: "make the book into target/book; check: run all that tests it; update: the tables of filesystems",
        run: book::run,
    },
    Task {
        name: "bench",
        arguments: "[ARGUMENTS]",
        help: "measure, with ratios to the host in the same run",
        run: test::bench,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let Some((name, rest)) = arguments.split_first() else {
        print_help();
        return Ok(());
    };
    if ["help", "--help", "-h"].contains(&name.as_str()) {
        print_help();
        return Ok(());
    }
    match TASKS.iter().find(|task| task.name == name) {
        Some(task) => (task.run)(rest),
        None => bail!("no task {name:?}; `cargo xtask` lists them"),
    }
}

fn print_help() {
    println!("usage: cargo xtask TASK\n");
    for Task {
        name,
        arguments,
        help,
        ..
    } in TASKS
    {
        println!("  {:<46} {help}", format!("{name} {arguments}"));
    }
}

/// Refuses arguments for a task that takes none.
fn no_arguments(arguments: &[String]) -> Result<()> {
    match arguments.first() {
        None => Ok(()),
        Some(argument) => bail!("this task takes no argument, and got {argument:?}"),
    }
}
