//! How a mount ends, for those who wait for it: [`Waiting`], [`wait_for_end`].
//!
//! ```text
//!  drupe umount DIR                        the process that serves DIR
//!  ────────────────                        ───────────────────────────
//!  pipe
//!  ioctl(DIR, TELL_OF_END, write end) ───▶ opens /proc/PID/fd/N, keeps it
//!  umount(DIR) ───────────────────────────▶ writes out, unmounts, closes the image
//!  reads the pipe  ◀── code, message ───── writes how that went, and ends
//! ```
//!
//! A pipe that is closed without a word: the process has died.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use drupe::Errno;
use rustix::fs::{Mode, OFlags};
use rustix::ioctl::{Opcode, Setter, ioctl, opcode};

use crate::table::lock;

/// Asks the process that serves a mount to write to a pipe of the caller's how it ends.
/// `_IOW('D', 0xd2, int)`: the descriptor.
pub(crate) const TELL_OF_END: u32 = TELL as u32;
const TELL: Opcode = opcode::write::<u32>(b'D', 0xd2);

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
/// Those of asking, such as ENOTTY: what is mounted there is none of ours, or EACCES: it
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
#[allow(unsafe_code, reason = "ioctl(2) of our own")]
fn ask(dir: &Path, pipe: &io::PipeWriter) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(dir, flags, Mode::empty())?;
    let descriptor = pipe.as_raw_fd() as u32;
    // SAFETY: takes a pointer to a number, which is read while it is called.
    unsafe { ioctl(&dir, Setter::<TELL, u32>::new(descriptor)) }?;
    Ok(())
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
