//! `drupe umount`: unmounts a mount of `drupe mount`, waits, and reports its errors.

use std::path::Path;

use anyhow::anyhow;
use drupe_fuse::{Ended, NotUnmounted, unmount};

use crate::args::Umount;
use crate::exit::{ExitCode, Failure};
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

fn one(dir: &Path) -> Result<(), Failure> {
    let named = || dir.display().to_string();
    let ended = unmount(dir).map_err(|not| {
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
