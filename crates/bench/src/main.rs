//! The benchmarks: `cargo xtask bench`. This file selects and runs the groups of rows.
//!
//! Every row is measured beside the host doing the same, in the same run, and printed as
//! a ratio: other machines have other times, and similar ratios. Rows in which drupe is
//! slower stay.
//!
//! Groups of rows, a module each:
//! - `calls`: boot, and calls of one thread.
//! - `threads`: two threads that wait for each other, and task switches.
//! - `contended`: many threads that call into one kernel.
//! - `hog`: short calls beside long ones.
//! - `kernels`: many kernels in one process.
//! - `disks`: threads that wait for disks, beside io_uring.
//! - `network`: TCP and UDP inside a kernel, between two, and to the host.
//! - `programs`: iperf3 with the network of a drupe kernel.
//! - `images`: whole processes that copy files into and out of an ext4 image.
//! - `volumes`: an encrypted volume, beside OpenSSL.
//! - `archives`: new filesystems filled from archives and container images.
//! - `mounts`: fio, and Python's wheels, in a mounted ext4 image.
//!
//! Shared modules: `system` (system calls of drupe and the host), `measure`, `histogram`,
//! `table` (rows and printing).

mod archives;
mod calls;
mod contended;
mod copies;
mod disks;
mod histogram;
mod hog;
mod kernels;
mod measure;
mod mounts;
mod network;
mod programs;
mod smoltcp_peer;
mod system;
mod table;
mod threads;
mod volumes;

use anyhow::{Context, Result, bail};
use drupe_machine::Config;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use table::Table;

/// The configuration of kernels: they start from the snapshot, as in programs.
fn config() -> Config {
    Config {
        snapshot: drupe_snapshot::snapshot(),
        ..Config::default()
    }
}

const USAGE: &str = "drupe-bench [--json] [--quiet] [--list] [--command PATH-OF-DRUPE] [NAME…]";

/// Rows that are measured together.
#[derive(Debug)]
struct Group {
    name: &'static str,
    about: &'static str,
    run: Run,
}

/// The function of a group, by what it needs.
#[derive(Debug)]
enum Run {
    Alone(fn(&mut Table) -> Result<()>),
    /// With the `drupe` command.
    Command(fn(&mut Table, &Path) -> Result<()>),
}

const fn group(name: &'static str, about: &'static str, run: Run) -> Group {
    Group { name, about, run }
}

const GROUPS: &[Group] = &[
    group(
        "boot",
        "boot to the first system call",
        Run::Alone(calls::boot),
    ),
    group("calls", "calls of one thread", Run::Alone(calls::run)),
    group(
        "threads",
        "two threads that wait for each other; task switches",
        Run::Alone(threads::run),
    ),
    group(
        "contended",
        "1 to 64 threads that call into one kernel",
        Run::Alone(contended::run),
    ),
    group("hog", "short calls beside long ones", Run::Alone(hog::run)),
    group(
        "kernels",
        "memory of a kernel; 100 kernels at once",
        Run::Alone(kernels::run),
    ),
    group(
        "disks",
        "reads past the host's cache: threads and io_uring",
        Run::Alone(disks::run),
    ),
    group(
        "volumes",
        "an encrypted volume, and what OpenSSL encrypts",
        Run::Alone(volumes::run),
    ),
    group(
        "network",
        "TCP and UDP inside a kernel, between two, and to the host",
        Run::Alone(network::run),
    ),
    group(
        "programs",
        "iperf3 under drupe run, to the host (--command)",
        Run::Command(programs::run),
    ),
    group(
        "images",
        "files into ext4 images and out, by the command (--command)",
        Run::Command(copies::run),
    ),
    group(
        "archives",
        "tar archives and container images into new filesystems (--command)",
        Run::Command(archives::run),
    ),
    group(
        "mounts",
        "a file, and wheels, in a mounted ext4 image: drupe mount, fuse2fs, loop (--command)",
        Run::Command(mounts::run),
    ),
];

/// The command line.
#[derive(Debug)]
struct Options {
    json: bool,
    quiet: bool,
    list: bool,
    groups: Vec<&'static Group>,
    command: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Options> {
        let mut options = Options {
            json: false,
            quiet: false,
            list: false,
            groups: GROUPS.iter().collect(),
            command: None,
        };
        let mut names = Vec::new();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let value = arguments.next();
                value.with_context(|| format!("{argument:?} needs a value; usage: {USAGE}"))
            };
            match argument.to_str() {
                Some("--json") => options.json = true,
                Some("--quiet") => options.quiet = true,
                Some("--list") => options.list = true,
                Some("--command") => options.command = Some(value()?.into()),
                Some(name) if !name.starts_with('-') => names.push(name.to_owned()),
                _ => bail!("unknown argument {argument:?}; usage: {USAGE}"),
            }
        }
        if !names.is_empty() {
            options.groups = select(&names)?;
        }
        Ok(options)
    }

    /// Runs the group's measurements, if it has what it needs.
    fn run(&self, table: &mut Table) -> Result<()> {
        let needs = |group: &&&Group| matches!(group.run, Run::Command(_));
        if self.command.is_none()
            && let Some(group) = self.groups.iter().find(needs)
        {
            bail!("{} needs --command PATH-OF-DRUPE", group.name);
        }
        for group in &self.groups {
            match (&group.run, &self.command) {
                (Run::Alone(run), _) => run(table),
                (Run::Command(run), Some(command)) => run(table, command),
                (Run::Command(_), None) => unreachable!("checked above"),
            }
            .with_context(|| format!("measuring {}", group.name))?;
        }
        Ok(())
    }
}

/// The groups named, in the order of the table.
fn select(names: &[String]) -> Result<Vec<&'static Group>> {
    let known = |name: &&String| GROUPS.iter().any(|group| group.name == **name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let choices: Vec<_> = GROUPS.iter().map(|group| group.name).collect();
        bail!(
            "no rows are called {unknown:?}; there are: {}",
            choices.join(", ")
        );
    }
    let named = |group: &&Group| names.iter().any(|name| group.name == name);
    let chosen = GROUPS.iter().filter(named);
    Ok(chosen.collect())
}

fn measure() -> Result<()> {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == programs::INNER)
    {
        return programs::inner();
    }
    let options = Options::parse(std::env::args_os().skip(1))?;
    if options.list {
        for group in &options.groups {
            println!("{:<10} {}", group.name, group.about);
        }
        return Ok(());
    }
    let mut table = Table::new(options.quiet);
    options.run(&mut table)?;
    if options.json {
        println!("{:#}", table.json());
    } else {
        print!("{table}");
    }
    Ok(())
}

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("drupe-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options> {
        Options::parse(arguments.iter().map(OsString::from))
    }

    fn names(options: &Options) -> Vec<&str> {
        options.groups.iter().map(|group| group.name).collect()
    }

    #[test]
    fn rows_are_chosen_by_name() {
        assert_eq!(parse(&[]).unwrap().groups.len(), GROUPS.len());
        let some = parse(&["hog", "calls", "--json"]).unwrap();
        assert_eq!(names(&some), ["calls", "hog"]);
        assert!(some.json && !some.quiet);
    }

    #[test]
    fn what_cannot_be_says_what_can() {
        let error = parse(&["calls", "hogs"]).unwrap_err().to_string();
        assert!(
            error.contains("\"hogs\"") && error.contains("boot, calls, "),
            "{error}"
        );
        let error = parse(&["--command"]).unwrap_err().to_string();
        assert!(error.contains("needs a value"), "{error}");
        let error = parse(&["--fast"]).unwrap_err().to_string();
        assert!(error.contains("--command"), "{error}");
    }

    #[test]
    fn some_need_the_command() {
        let options = parse(&["images"]).unwrap();
        let error = options.run(&mut Table::new(true)).unwrap_err();
        assert!(error.to_string().contains("--command"), "{error}");
    }
}
