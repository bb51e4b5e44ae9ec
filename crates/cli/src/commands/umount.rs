//! `drupe umount`: unmounts what `drupe mount` has mounted, and tells how that went.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow};
use drupe_fuse::{Ended, wait_for_end};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

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
    let dir = std::path::absolute(dir).with_context(named)?;
    let ended = wait_for_end(&dir, || take_away(&dir)).map_err(|failed| {
        let why = match failed.0.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NODATA | Errno::NOSYS | Errno::OPNOTSUPP) => {
                anyhow!("nothing that drupe has mounted is mounted there")
            }
            Some(Errno::BUSY) => anyhow!("is in use: end the programs that have files in it open"),
            Some(Errno::NOTCONN) => anyhow!(
                "the process that served it has died, and what was not synced is lost: \
                 take it away with fusermount3 -u"
            ),
            Some(Errno::ACCESS | Errno::PERM) => {
                anyhow!("somebody else has mounted it: only that user or root can unmount it")
            }
            Some(errno) => anyhow!(drupe::Cause::Errno(errno).to_string()),
            None => anyhow!(failed.0),
        };
        Failure::from(why.context(named()))
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
        )),
    }
}

/// Why it could not be unmounted.
struct Unmounting(io::Error);

impl From<io::Error> for Unmounting {
    fn from(error: io::Error) -> Unmounting {
        Unmounting(error)
    }
}

fn take_away(dir: &Path) -> Result<(), Unmounting> {
    match unmount(dir, UnmountFlags::empty()) {
        Ok(()) => Ok(()),
        Err(Errno::PERM) => by_fusermount(dir),
        Err(errno) => Err(Unmounting(errno.into())),
    }
}

/// fusermount3(1) may do it for an ordinary user.
fn by_fusermount(dir: &Path) -> Result<(), Unmounting> {
    let output = Command::new("fusermount3")
        .args(["-u", "--"])
        .arg(dir)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("fusermount3: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Unmounting(match said.contains("busy") {
        true => Errno::BUSY.into(),
        false => io::Error::other(said.split_whitespace().collect::<Vec<_>>().join(" ")),
    }))
}
