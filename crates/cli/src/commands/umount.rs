//! `drupe umount`: unmounts a mount of `drupe mount`, waits, and reports its errors.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use anyhow::anyhow;
use drupe_fuse::{Ended, NotUnmounted, unmount};

use crate::args::Umount;
use crate::exit::{ExitCode, Failure};
use crate::location::Volume;
use crate::output;

pub(crate) fn run(command: &Umount) -> Result<ExitCode, Failure> {
    let mut code = ExitCode::Success;
    for dir in &command.dirs {
        if let Err(failure) = one(dir) {
            output::failure(&failure);
            code = failure.code;
        }
    }
    Ok(code)
}

/// An image in place of the directory that it is mounted on; `None`: it is none.
fn image(argument: &Path) -> Option<Failure> {
    let volume = Volume::parse(argument.as_os_str());
    let image = volume.image.canonicalize().ok()?;
    let found = image.metadata().ok()?;
    if !found.is_file() && !found.file_type().is_block_device() {
        return None;
    }
    // With the part behind it; and without, any part of it.
    let mut named = image.clone().into_os_string();
    if let Some(part) = &volume.part {
        named.push("@");
        named.push(part);
    }
    let is_source = |source: &Path| {
        let rest = source.as_os_str().as_bytes().strip_prefix(named.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || (volume.part.is_none() && rest[0] == b'@'))
    };
    let dirs = drupe_fuse::mounted_from(is_source).ok()?;
    let shown = argument.display();
    let dirs: Vec<_> = dirs.iter().map(|dir| dir.display().to_string()).collect();
    Some(match &dirs[..] {
        [] => Failure::from(anyhow!("{shown}: is a file that is not mounted")),
        dirs => {
            let what = anyhow!("{shown}: is an image; it is mounted on {}", dirs.join(", "));
            Failure::from(what).with_hint(format!("drupe umount {}", dirs.join(" ")))
        }
    })
}

fn one(dir: &Path) -> Result<(), Failure> {
    let named = || dir.display().to_string();
    let ended = unmount(dir).map_err(|not| {
        // Not before: a mount's process may not answer.
        if let NotUnmounted::NotOurs = not
            && let Some(failure) = image(dir)
        {
            return failure;
        }
        let hint = match not {
            NotUnmounted::NoKeeper => Some("`fusermount3 -u` unmounts without waiting"),
            _ => None,
        };
        let error = match not {
            NotUnmounted::Host(error) => match drupe::Errno::from_io_error(&error) {
                Some(errno) => anyhow!(drupe::Cause::Errno(errno).to_string()),
                None => anyhow!(error),
            },
            not => anyhow!(not),
        };
        let failure = Failure::from(error.context(named()));
        match hint {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    })?;
    match ended {
        Some(Ended { code: 0, .. }) => Ok(()),
        Some(Ended { code, message }) => {
            let code = ExitCode::from_code(code.into()).unwrap_or(ExitCode::Failed);
            Err(Failure::new(code, anyhow!(message)))
        }
        None => Err(Failure::new(
            ExitCode::Image,
            anyhow!("the process that served it died before the image was clean").context(named()),
        )
        .with_hint(
            "what fsync has acknowledged is there: the next command that writes to the image \
             replays its journal, and --replay reads it",
        )),
    }
}
