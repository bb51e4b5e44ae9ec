//! `drupe umount`: unmounts what `drupe mount` has mounted, and tells how that went.

mod mounts;

use std::io;
use std::os::unix::process::CommandExt;
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
        match one(dir) {
            Ok(ExitCode::Success) => {}
            Ok(failed) => code = failed,
            Err(failure) => {
                output::failure(&failure);
                code = failure.code;
            }
        }
    }
    Ok(code)
}

/// Unmounts one; the exit code of who has done it and said why it failed.
fn one(dir: &Path) -> Result<ExitCode, Failure> {
    let named = || dir.display().to_string();
    let dir = std::path::absolute(dir).with_context(named)?;
    let ended = match wait_for_end(&dir, || take_away(&dir)) {
        Err(failed) if failed.is_refused() && rustix::process::geteuid().is_root() => {
            return in_the_name_of_the_mounter(&dir);
        }
        ended => ended,
    };
    let ended = ended.map_err(|failed| {
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
        Some(Ended { code: 0, .. }) => Ok(ExitCode::Success),
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

/// Root: what another user has mounted is not root's to look into (fuse(4), without
/// `allow_other`). So this command is run again as that user, who asks the process that
/// serves it. If that cannot be, it is unmounted, and nobody waits.
fn in_the_name_of_the_mounter(dir: &Path) -> Result<ExitCode, Failure> {
    let named = || dir.display().to_string();
    let table = std::fs::read("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
    let owner =
        mounts::owner(&table, &mounts::real(dir)).map_err(|why| anyhow!(why).context(named()))?;
    let mut again = Command::new("/proc/self/exe");
    again.arg0("drupe").args(["umount", "--"]).arg(dir);
    again.uid(owner.uid).gid(owner.gid).current_dir("/");
    if let Ok(status) = again.status() {
        let ended = status.code().and_then(ExitCode::from_code);
        return Ok(ended.unwrap_or(ExitCode::Failed));
    }
    take_away(dir).map_err(|failed| anyhow!(failed.0).context(named()))?;
    let uid = owner.uid;
    let told = anyhow!(
        "is unmounted, but whether the image is clean is not known: the process of user {uid} \
         that served it cannot be asked"
    );
    Err(told.context(named()).into())
}

/// Why it could not be unmounted.
struct Unmounting(io::Error);

impl Unmounting {
    /// The host did not let us ask.
    fn is_refused(&self) -> bool {
        self.0.kind() == io::ErrorKind::PermissionDenied
    }
}

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
