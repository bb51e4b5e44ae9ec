//! `drupe ln`: makes hard and symbolic links.

use std::ffi::OsStr;
use std::path::{Component, Path};

use drupe::Errno;

use super::place::{Place, Rules};
use crate::args::Ln;
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::output::Report;
use drupe_tree::{Error, Result, make_temporary};

pub(crate) fn run(
    context: &mut Context<'_>,
    command: &Ln,
) -> std::result::Result<ExitCode, Failure> {
    let rules = Rules {
        is_name: command.no_target_directory,
        stay: command.no_dereference,
    };
    let (targets, place) = Place::find(context, &command.paths, rules)?;
    let mut report = Report::default();
    for target in targets {
        let link;
        let made = if command.symbolic {
            link = place.path_for(target)?;
            let is_there = || place.mount.symlink_metadata(&link).is_ok();
            match command.force && leads_to(target, &link) && is_there() {
                true => Err(Error::new("link", "they are the same file")),
                false => make(&place, &link, command.force, |link| {
                    Ok(place.mount.symlink(target, link)?)
                }),
            }
        } else {
            let original = place.beside(context, target, "link", "make a symbolic link with -s")?;
            link = place.path_for(original.path.as_os_str())?;
            make(&place, &link, command.force, |link| {
                Ok(place.mount.hard_link(&original.path, link)?)
            })
        };
        report.accept(place.label(&link), made);
    }
    Ok(report.code())
}

/// Whether a symbolic link at `link` to `target` would lead to itself: forced, it would
/// take the place of what it is to lead to.
fn leads_to(target: &OsStr, link: &Path) -> bool {
    let target = link.with_file_name(target);
    let parts = target
        .components()
        .filter(|part| *part != Component::CurDir);
    parts.eq(link.components())
}

/// Makes a link; with `force`, in place of what is there, unless that is a directory:
/// it stays until the link is made, under another name.
fn make(place: &Place, link: &Path, force: bool, make: impl Fn(&Path) -> Result<()>) -> Result<()> {
    match make(link) {
        Err(failed) if force && failed.errno() == Some(Errno::EXIST) => {}
        result => return result,
    }
    let mount = &place.mount;
    if mount.symlink_metadata(link)?.is_dir() {
        return Err(Error::new("replace", "it is a directory"));
    }
    let is_taken = |failed: &Error| failed.errno() == Some(Errno::EXIST);
    let (name, ()) = make_temporary(is_taken, |name| make(&link.with_file_name(name)))?;
    let temporary = link.with_file_name(name);
    let renamed = mount.rename(&temporary, link);
    // Where it still has that name: rename(2) failed, or both are names of one file. The
    // first failure is the one to tell.
    let _ = mount.remove_file(&temporary);
    Ok(renamed?)
}
