//! `drupe mkdir` and `drupe rmdir`.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use drupe::{Dir, Errno, Mount};

use crate::args::{Mkdir, Rmdir};
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::output::{self, Report};
use drupe_tree::Umask;
use drupe_tree::paths::{base_name, parent};
use drupe_tree::{Error, Result};

pub(crate) fn mkdir(
    context: &mut Context<'_>,
    command: &Mkdir,
) -> std::result::Result<ExitCode, Failure> {
    let umask = Umask::get();
    let mut report = Report::default();
    for (path, mount) in context.targets(&command.paths, &mut report)? {
        let made = match command.parents {
            true => make_all(&mount, &path.path, command, umask),
            false => make(&mount, &path.path, command, umask),
        };
        let lacks_parent = made
            .as_ref()
            .is_err_and(|error| error.errno() == Some(Errno::NOENT));
        report.accept(path.label(), made);
        if lacks_parent && !command.parents {
            output::hint("-p makes the directories above it too");
        }
    }
    Ok(report.code())
}

fn make(mount: &Mount, path: &Path, command: &Mkdir, umask: u32) -> Result<()> {
    let name = base_name(path).ok_or(Errno::EXIST);
    let name = name.map_err(|_| Error::new("create directory", "it exists already"))?;
    let dir = open_parent(mount, path)?;
    make_in(&dir, &name, command, umask)
}

/// Makes one directory; what the umask takes away is not for `-m`.
fn make_in(dir: &Dir, name: &OsStr, command: &Mkdir, umask: u32) -> Result<()> {
    let plain = 0o777 & !umask;
    let Some(change) = &command.mode else {
        return Ok(dir.create_dir(name, plain)?);
    };
    let mode = change.apply(0o777, true, umask);
    dir.create_dir(name, mode & 0o777)?;
    // Also what it inherits, a set-group-ID bit for one, is to be so.
    let made = dir.open_dir(name)?;
    Ok(made.set_permissions(Permissions::from_mode(mode))?)
}

/// Makes what is missing of a path. What is made above can be entered by its
/// owner, and the mode of `-m` is not for it.
fn make_all(mount: &Mount, path: &Path, command: &Mkdir, umask: u32) -> Result<()> {
    let plain = Mkdir {
        mode: None,
        parents: true,
        paths: Vec::new(),
    };
    let mut missing = Vec::new();
    let mut at = path;
    let found = loop {
        match mount.metadata(at) {
            Ok(metadata) if metadata.is_dir() => break at,
            Ok(_) => return Err(Error::new("create directory", "there is something else")),
            Err(error) if error.errno() == Some(Errno::NOENT) => missing.push(at),
            Err(error) => return Err(error.into()),
        }
        at = at.parent().unwrap_or(Path::new("/"));
    };
    let mut dir = mount.open_dir(found)?;
    while let Some(next) = missing.pop() {
        // "a/." and "a/..": there once "a" is.
        let Some(name) = base_name(next) else {
            dir = mount.open_dir(next)?;
            continue;
        };
        match missing.is_empty() {
            true => make_in(&dir, &name, command, umask)?,
            false => make_in(&dir, &name, &plain, umask & !0o300)?,
        }
        if !missing.is_empty() {
            dir = dir.open_dir(&name)?;
        }
    }
    Ok(())
}

pub(crate) fn rmdir(
    context: &mut Context<'_>,
    command: &Rmdir,
) -> std::result::Result<ExitCode, Failure> {
    let mut report = Report::default();
    for (mut path, mount) in context.targets(&command.paths, &mut report)? {
        loop {
            let removed = mount.remove_dir(&path.path).map_err(Error::from);
            if report.accept(path.label(), removed).is_none() || !command.parents {
                break;
            }
            match path.path.parent() {
                Some(parent) if parent.parent().is_some() => path.path = parent.to_owned(),
                _ => break,
            }
        }
    }
    Ok(report.code())
}

/// The directory that a path is in, open.
fn open_parent(mount: &Mount, path: &Path) -> drupe::Result<Dir> {
    let dir = parent(path);
    match dir.as_os_str().is_empty() {
        true => mount.open_dir("/"),
        false => mount.open_dir(dir),
    }
}
