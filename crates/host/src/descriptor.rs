//! [`inherited`]: the descriptors that were open when the program was started, by number.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

/// A duplicate of the descriptor `number` that was open when the program was started:
/// standard output, or what a shell's `3> file` opens. Duplicates share one position in
/// the file.
///
/// # Errors
///
/// `EBADF`: the descriptor is not open, or the program itself has opened it. (Rust sets
/// `FD_CLOEXEC` on all that it opens; an inherited descriptor cannot have it.)
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

/// The inherited descriptors other than the standard streams. A program that goes on in
/// the background closes them, since they keep open what a shell opened, such as a file
/// that it has locked.
#[derive(Debug)]
pub struct Inherited(Vec<RawFd>);

impl Inherited {
    /// Lists the descriptors that are open now. Call it before the program opens any.
    ///
    /// # Errors
    ///
    /// Those of listing `/proc/self/fd`.
    pub fn list() -> io::Result<Inherited> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir("/proc/self/fd")? {
            let number = entry?.file_name();
            let number = number.to_str().and_then(|number| number.parse().ok());
            // The one that lists is gone by now, or is not left to the program either.
            numbers.extend(number.filter(|&number| number > 2 && inherited(number).is_ok()));
        }
        Ok(Inherited(numbers))
    }

    /// Closes the listed descriptors. Duplicates made with [`inherited`] stay open.
    pub fn close(self) {
        for number in self.0 {
            // SAFETY: it was left to the program, so nothing in it owns this number.
            unsafe { libc::close(number) };
        }
    }
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
