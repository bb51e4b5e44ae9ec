//! `--sandbox`: what the process gives up before it looks into an image.
//!
//! Whoever made the image may know a fault of the kernel that reads it, and run
//! code in this process. Landlock (landlock(7)) leaves it only the files that
//! were named on the command line; seccomp(2) only the system calls that the
//! commands need ([`calls`]): no program is started, no socket made, no other
//! process touched.

mod calls;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use crate::args::{Command, Global};
use crate::exit::{ExitCode, Failure};
use crate::location::{Location, Volume};
use crate::output;

/// When to confine the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sandbox {
    /// When an image belongs to another user
    Auto,
    /// Always; an error where the host cannot
    Always,
    /// Never
    Never,
}

/// What stays allowed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Needs {
    /// Files and directories, with all that is in them.
    paths: Vec<PathBuf>,
    write: bool,
    /// An image is on the network.
    network: bool,
    /// An image belongs to somebody else.
    foreign: bool,
}

/// Read whatever the command: the time zone, the terminal, and the program,
/// which has the kernel in it.
const COMMON: &[&str] = &[
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/dev/null",
    "/dev/tty",
    "/proc/self/exe",
];

/// The same for images on the network: how names of hosts are looked up.
const NAMES: &[&str] = &[
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/gai.conf",
    "/usr/lib",
    "/lib",
];

/// Gives up what `command` does not need, if it is to be. There must be no other
/// threads yet.
pub(crate) fn confine(options: &Global, command: &Command) -> Result<(), Failure> {
    let when = options.sandbox;
    let write = match command {
        // They may name any image later, or start programs of the host.
        Command::Shell(_) | Command::Script(_) if when == Sandbox::Always => {
            let message = "a shell or script can't be confined: it may name any file";
            return Err(Failure::usage(message));
        }
        // It starts fusermount3, and serves any program.
        Command::Mount(_) if when == Sandbox::Always => {
            return Err(Failure::usage("a mount can't be confined"));
        }
        Command::Shell(_) | Command::Script(_) | Command::Mount(_) => return Ok(()),
        Command::Info(_)
        | Command::Ls(_)
        | Command::Cat(_)
        | Command::Tree(_)
        | Command::Stat(_)
        | Command::Df(_)
        | Command::Du(_)
        | Command::CheckLog(_) => false,
        Command::Find(_) => std::env::args_os().any(|word| word == "-delete"),
        _ => true,
    };
    let words = std::env::args_os().skip(1);
    let needs = Needs::of(words, write, options.backing);
    match when {
        Sandbox::Never => return Ok(()),
        Sandbox::Auto if !needs.foreign => return Ok(()),
        Sandbox::Auto | Sandbox::Always => {}
    }
    let confined = files(&needs, when == Sandbox::Always)
        .context("Landlock")
        .and_then(|()| calls::confine(needs.network).context("seccomp"));
    match confined {
        Err(error) if when == Sandbox::Always => Err(Failure::new(
            ExitCode::Failed,
            error.context("the sandbox can't be set up"),
        )),
        Err(error) => {
            output::error(&format!("the sandbox can't be set up: {error:#}"));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

impl Needs {
    /// Every word of the command line that names a file, or could.
    fn of(words: impl Iterator<Item = OsString>, write: bool, backing: bool) -> Needs {
        let own = rustix::process::geteuid().as_raw();
        let mut needs = Needs {
            write,
            ..Needs::default()
        };
        for word in words {
            // As in --key-file=FILE.
            let value = match word.as_bytes().iter().position(|&byte| byte == b'=') {
                Some(at) if word.as_bytes().starts_with(b"--") => {
                    OsStr::from_bytes(&word.as_bytes()[at + 1..])
                }
                _ => &word,
            };
            let uri = |path: &Path| path.to_str().is_some_and(drupe::is_uri);
            let (path, image) = match Location::parse(value) {
                Location::Image(path) if uri(&path.volume.image) => {
                    needs.network = true;
                    needs.foreign = true;
                    continue;
                }
                Location::Image(path) => (path.volume.image, true),
                Location::Host(path) if path.exists() => (path, !write),
                Location::Host(path) => match Volume::parse(value) {
                    volume if volume.image.exists() => (volume.image, true),
                    _ => (path, false),
                },
            };
            let file = path.metadata().ok();
            needs.foreign |= image && file.is_some_and(|file| file.uid() != own);
            if image {
                // It may be in several files, or name others.
                needs.paths.extend(drupe::image_files(&path, backing));
            }
            if write && let Some(parent) = path.parent().filter(|_| !image) {
                // It may be made, or replaced.
                let empty = parent.as_os_str().is_empty();
                let parent = if empty { Path::new(".") } else { parent };
                needs.paths.push(parent.to_owned());
            }
            needs.paths.push(path);
        }
        needs
    }
}

fn files(needs: &Needs, required: bool) -> anyhow::Result<()> {
    let abi = ABI::V6;
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .scope(Scope::from_all(abi))?;
    let ruleset = match needs.network {
        true => ruleset.create()?,
        false => ruleset.handle_access(AccessNet::from_all(abi))?.create()?,
    };
    let read = AccessFs::from_read(abi) & !AccessFs::Execute;
    let all = AccessFs::from_all(abi) & !AccessFs::Execute;
    let own = if needs.write { all } else { read };
    let names = if needs.network { NAMES } else { &[] };
    let common = COMMON.iter().chain(names);
    let common = common.map(|path| (Path::new(path), read));
    let named = needs.paths.iter().map(|path| (path.as_path(), own));
    // What is not there cannot be opened anyway, and is named when that is tried.
    let rules = common
        .chain(named)
        .filter_map(|(path, access)| Some(PathBeneath::new(PathFd::new(path).ok()?, access)));
    let status = ruleset
        .add_rules(rules.map(Ok::<_, RulesetError>))?
        .restrict_self()?;
    match status.ruleset {
        RulesetStatus::NotEnforced if required => bail!("the host's kernel does not have it"),
        _ => Ok(()),
    }
}
