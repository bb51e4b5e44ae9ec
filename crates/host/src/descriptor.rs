//! [`inherited`]: descriptors that the program was started with, by their numbers.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

/// A copy of the descriptor `number` that whoever started the program has left to it:
/// standard output, or what a shell's `3> file` opens. Copies share one position in the
/// file.
///
/// # Errors
///
/// `EBADF`: it is not open, or the program has opened it itself. (All that Rust opens is
/// marked to be closed when another program is started, `FD_CLOEXEC`; what was left to
/// this one cannot be.)
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD touches no memory, and a number that is not open is EBADF.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    if flags & libc::FD_CLOEXEC != 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: as above; it makes a new descriptor.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsRawFd;

    #[test]
    fn only_what_was_left_to_the_program() {
        inherited(2).expect("standard error");
        let own = File::open("/dev/null").expect("there");
        for number in [own.as_raw_fd(), 1_000_000, -1] {
            let error = inherited(number).expect_err("none");
            assert_eq!(error.raw_os_error(), Some(libc::EBADF), "{number}");
        }
    }
}
