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
    read: Vec<PathBuf>,
    /// Directories whose entries, and those below, are listed, not read.
    list: Vec<PathBuf>,
    /// Like `read`, to be written too.
    write: Vec<PathBuf>,
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
        Command::Shell(_) | Command::Script(_) | Command::Mount(_) | Command::Umount(_) => {
            return Ok(());
        }
        Command::Info(_)
        | Command::Ls(_)
        | Command::Cat(_)
        | Command::Tree(_)
        | Command::Stat(_)
        | Command::Df(_)
        | Command::Du(_)
        | Command::Tar(_)
        | Command::CheckLog(_) => false,
        Command::Cp(_) => {
            destination(command).is_some_and(|to| matches!(Location::parse(to), Location::Image(_)))
        }
        Command::Find(_) => std::env::args_os().any(|word| word == "-delete"),
        _ => true,
    };
    let words = std::env::args_os().skip(1);
    let mut needs = Needs::of(
        words,
        write,
        matches!(command, Command::Cp(_)),
        options.backing,
    );
    needs
        .write
        .extend(destination(command).into_iter().flat_map(made));
    if let Command::Build(command) = command {
        // It need not be on the command line.
        needs.read.push(command.source.clone());
    }
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

/// Where a command puts what it makes on the host, if that is where.
fn destination(command: &Command) -> Option<&OsStr> {
    match command {
        Command::Cp(command) => command.paths.last().map(OsString::as_os_str),
        Command::Tar(command) => command.file.as_deref().map(Path::as_os_str),
        _ => None,
    }
}

/// A file of the host that is made or replaced, and the directory it is in.
fn made(to: &OsStr) -> Vec<PathBuf> {
    match Location::parse(to) {
        Location::Image(_) => Vec::new(),
        Location::Host(path) => {
            let mut places = vec![directory_of(&path), path.clone()];
            // It is made where a symbolic link leads.
            if path.is_symlink()
                && let Ok(real) = path.canonicalize()
            {
                places.push(directory_of(&real));
            }
            places
        }
    }
}

/// The directory that a file is in; of `/`, itself.
fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => ".".into(),
        parent => parent.unwrap_or(path).to_owned(),
    }
}

impl Needs {
    /// Every word of the command line that names something that is there.
    /// `write`: to images; `sources`: files of the host are no images.
    fn of(
        words: impl Iterator<Item = OsString>,
        write: bool,
        sources: bool,
        backing: bool,
    ) -> Needs {
        let own = rustix::process::geteuid().as_raw();
        let mut needs = Needs::default();
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
                Location::Host(path) if path.exists() => (path, !sources),
                Location::Host(_) => (Volume::parse(value).image, true),
            };
            let Ok(file) = path.metadata() else {
                continue;
            };
            needs.foreign |= image && file.uid() != own;
            if !image {
                // What is copied is opened by its name in there.
                needs.list.push(directory_of(&path));
            }
            let access = match image && write {
                true => &mut needs.write,
                false => &mut needs.read,
            };
            if image {
                // It may be in several files, or name others.
                access.extend(drupe::image_files(&path, backing));
            }
            access.push(path);
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
    let names = if needs.network { NAMES } else { &[] };
    let common = COMMON.iter().chain(names);
    let common = common.map(|path| (Path::new(path), read));
    let named = needs.read.iter().map(|path| (path.as_path(), read));
    let list = AccessFs::ReadDir.into();
    let listed = needs.list.iter().map(|path| (path.as_path(), list));
    let written = needs.write.iter().map(|path| (path.as_path(), all));
    // What is not there cannot be opened anyway, and is named when that is tried.
    let rules = common
        .chain(named)
        .chain(listed)
        .chain(written)
        .filter_map(|(path, access)| Some(PathBeneath::new(PathFd::new(path).ok()?, access)));
    let status = ruleset
        .add_rules(rules.map(Ok::<_, RulesetError>))?
        .restrict_self()?;
    match status.ruleset {
        RulesetStatus::NotEnforced if required => bail!("the host's kernel does not have it"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named() -> anyhow::Result<()> {
        let place = tempfile::tempdir()?;
        let [image, source] = ["disk.img", "source"].map(|name| place.path().join(name));
        std::fs::write(&image, [0; 512])?;
        std::fs::write(&source, "x")?;
        let words = || {
            let target = format!("{}:/", image.display());
            [
                "--sandbox=always".into(),
                "cp".into(),
                "-a".into(),
                source.clone().into_os_string(),
                target.into(),
            ]
            .into_iter()
        };
        let needs = Needs::of(words(), true, true, false);
        assert_eq!(needs.read, std::slice::from_ref(&source));
        assert_eq!(needs.list, [place.path()]);
        assert!(!needs.write.is_empty() && needs.write.iter().all(|path| *path == image));
        assert!(!needs.foreign && !needs.network);
        let needs = Needs::of(words(), false, true, false);
        assert!(needs.write.is_empty());
        let new = place.path().join("new");
        assert_eq!(made(new.as_os_str()), [place.path().to_owned(), new]);
        assert_eq!(made("new".as_ref()), [PathBuf::from("."), "new".into()]);
        Ok(())
    }
}
