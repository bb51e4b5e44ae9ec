//! How a mount ends, for those who wait for it: [`Waiting`], [`wait_for_end`].
//!
//! ```text
//!  drupe umount DIR                        the process that serves DIR
//!  ────────────────                        ───────────────────────────
//!  pipe
//!  getxattr(DIR, "drupe.tell-of-end.N") ──▶ opens /proc/PID/fd/N, keeps it
//!  umount(DIR) ───────────────────────────▶ writes out, unmounts, closes the image
//!  reads the pipe  ◀── code, message ───── writes how that went, and ends
//! ```
//!
//! N is the pipe's write end. An attribute, because reading one is what FUSE passes on
//! to whoever serves, whatever its name, from a mount that is read-only too; and what is
//! mounted by others has none of that name.
//!
//! A pipe that is closed without a word: the process has died.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use drupe::Errno;

use crate::table::lock;

/// Reading this attribute of the root asks the process that serves a mount to write to
/// a pipe of the caller's how it ends; its descriptor follows.
const TELL_OF_END: &str = "drupe.tell-of-end.";

/// The descriptor in an attribute's name, if it is [`TELL_OF_END`].
pub(crate) fn pipe_of(name: &OsStr) -> Option<u32> {
    name.to_str()?.strip_prefix(TELL_OF_END)?.parse().ok()
}

/// Who waits for the end of a mount.
#[derive(Debug, Clone, Default)]
pub struct Waiting(Arc<Mutex<Vec<File>>>);

/// How a mount has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The exit code of the process that served it.
    pub code: u8,
    /// What it had to say: nothing, if all is well.
    pub message: String,
}

impl Waiting {
    /// Takes in the pipe of a process: `fd` is its number there.
    pub(crate) fn add(&self, uid: u32, pid: u32, fd: u32) -> Result<(), Errno> {
        // This process writes with its own rights to what the other one has open: so
        // only to what that one may write to as well.
        if uid != 0 && uid != rustix::process::geteuid().as_raw() {
            return Err(Errno::PERM);
        }
        let pipe = open_pipe(&format!("/proc/{pid}/fd/{fd}"));
        lock(&self.0).push(pipe.map_err(|_| Errno::BADF)?);
        Ok(())
    }

    /// Tells all of them. Whoever has gone meanwhile does not want to know.
    pub fn tell(&self, ended: &Ended) {
        for mut pipe in lock(&self.0).drain(..) {
            let _ = pipe.write_all(&[ended.code]);
            let _ = pipe.write_all(ended.message.as_bytes());
        }
    }
}

fn open_pipe(path: &str) -> io::Result<File> {
    // Not a device, or a file that somebody else could mean.
    if !std::fs::metadata(path)?.file_type().is_fifo() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    OpenOptions::new().write(true).open(path)
}

/// Has the process that serves the mount on `dir` tell how it ends: `unmount` makes it
/// end. `None`: it has died.
///
/// # Errors
/// Those of asking, such as ENODATA: what is mounted there is none of ours, or EACCES: it
/// is somebody else's; then it is still mounted. Those of `unmount`.
pub fn wait_for_end<E: From<io::Error>>(
    dir: &Path,
    unmount: impl FnOnce() -> Result<(), E>,
) -> Result<Option<Ended>, E> {
    let (mut reading, writing) = io::pipe()?;
    ask(dir, &writing)?;
    drop(writing);
    unmount()?;
    let mut said = Vec::new();
    reading.read_to_end(&mut said)?;
    Ok(said.split_first().map(|(&code, message)| Ended {
        code,
        message: String::from_utf8_lossy(message).into_owned(),
    }))
}

/// Hands the pipe over.
fn ask(dir: &Path, pipe: &io::PipeWriter) -> io::Result<()> {
    let name = format!("{TELL_OF_END}{}", pipe.as_raw_fd());
    let mut nothing = [0u8; 1];
    Ok(rustix::fs::getxattr(dir, name, &mut nothing).map(drop)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_told() {
        let (mut reading, writing) = io::pipe().expect("a pipe");
        let waiting = Waiting::default();
        let (uid, pid) = (rustix::process::geteuid().as_raw(), std::process::id());
        let fd = writing.as_raw_fd() as u32;
        waiting.add(uid, pid, fd).expect("ours");
        drop(writing);
        let ended = Ended {
            code: 3,
            message: "full".into(),
        };
        waiting.tell(&ended);
        let mut said = Vec::new();
        reading.read_to_end(&mut said).expect("readable");
        assert_eq!(said, b"\x03full");
    }

    #[test]
    fn the_attribute() {
        let pipe = |name: &str| pipe_of(OsStr::new(name));
        assert_eq!(pipe("drupe.tell-of-end.17"), Some(17));
        assert_eq!(pipe("drupe.tell-of-end."), None);
        assert_eq!(pipe("user.drupe.tell-of-end.17"), None);
    }

    #[test]
    fn nothing_but_pipes_of_the_same_user() {
        let waiting = Waiting::default();
        let (uid, pid) = (rustix::process::geteuid().as_raw(), std::process::id());
        let file = File::open("/dev/null").expect("there");
        let fd = file.as_raw_fd() as u32;
        assert_eq!(waiting.add(uid, pid, fd), Err(Errno::BADF));
        assert_eq!(waiting.add(uid, pid, u32::MAX), Err(Errno::BADF));
        assert_eq!(waiting.add(uid + 1, pid, fd), Err(Errno::PERM));
    }
}
