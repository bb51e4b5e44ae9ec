//! [`Listener`]: receives the program's intercepted calls, and answers them
//! (`Documentation/userspace-api/seccomp_filter.rst`).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

/// `_IOWR('!', 0, struct seccomp_notif)` and so on.
const RECV: u64 = 0xc050_2100;
const SEND: u64 = 0xc018_2101;
const ID_VALID: u64 = 0x4008_2102;
const ADDFD: u64 = 0x4018_2103;
const SET_FLAGS: u64 = 0x4008_2104;

/// Flag: wake the waiting thread on the same processor, since only one of both threads
/// runs at a time.
const SYNC_WAKE_UP: u64 = 1;
/// Flag of an answer: the host's kernel makes the call as if there were no filter.
const CONTINUE: u32 = 1;
/// Flag: the number of the new descriptor is the answer.
const ADDFD_SEND: u32 = 2;

/// `struct seccomp_notif`: a call that waits for its answer.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Notification {
    pub(crate) id: u64,
    /// The thread.
    pub(crate) pid: u32,
    flags: u32,
    pub(crate) nr: i32,
    arch: u32,
    instruction: u64,
    pub(crate) args: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// `struct seccomp_notif_addfd`.
#[repr(C)]
struct AddFd {
    id: u64,
    flags: u32,
    source: u32,
    number: u32,
    number_flags: u32,
}

/// The listener of one filter.
pub(crate) struct Listener(OwnedFd);

impl Listener {
    pub(crate) fn new(fd: OwnedFd) -> Listener {
        let listener = Listener(fd);
        // Not there before Linux 6.6, and only faster.
        // SAFETY: the argument is a number.
        let _ = unsafe { listener.ioctl(SET_FLAGS, SYNC_WAKE_UP as usize) };
        listener
    }

    /// # Safety
    /// The argument is what the request says.
    unsafe fn ioctl(&self, request: u64, argument: usize) -> Result<i32, Errno> {
        // SAFETY: the caller's.
        match unsafe { libc::ioctl(self.0.as_raw_fd(), request, argument) } {
            -1 => Err(last_error()),
            value => Ok(value),
        }
    }

    /// The next call. Blocks unless the listener is readable. ENOENT: the call was
    /// interrupted meanwhile.
    pub(crate) fn receive(&self) -> Result<Notification, Errno> {
        let mut notification = Notification::default();
        // SAFETY: writes a struct seccomp_notif, which is zeroed.
        unsafe { self.ioctl(RECV, &raw mut notification as usize) }?;
        Ok(notification)
    }

    /// Whether the call still waits. If so, its thread's number has not been reused.
    pub(crate) fn is_waiting(&self, id: u64) -> bool {
        // SAFETY: reads a u64.
        unsafe { self.ioctl(ID_VALID, &raw const id as usize) }.is_ok()
    }

    fn respond(&self, response: &Response) {
        // A call that was given up wants no answer.
        // SAFETY: reads a struct seccomp_notif_resp.
        let _ = unsafe { self.ioctl(SEND, std::ptr::from_ref(response) as usize) };
    }

    /// Makes the call return `value`.
    pub(crate) fn answer(&self, id: u64, value: i64) {
        self.respond(&Response {
            id,
            value,
            error: 0,
            flags: 0,
        });
    }

    /// Makes the call fail.
    pub(crate) fn fail(&self, id: u64, errno: Errno) {
        self.respond(&Response {
            id,
            value: 0,
            error: -errno.raw_os_error(),
            flags: 0,
        });
    }

    /// Lets the host's kernel make the call.
    pub(crate) fn go_on(&self, id: u64) {
        self.respond(&Response {
            id,
            value: 0,
            error: 0,
            flags: CONTINUE,
        });
    }

    /// Makes the call return a new descriptor of `file`. ENOENT: the call was
    /// interrupted, and no descriptor was made.
    pub(crate) fn answer_with(
        &self,
        id: u64,
        file: BorrowedFd<'_>,
        close_on_exec: bool,
    ) -> Result<i32, Errno> {
        let request = AddFd {
            id,
            flags: ADDFD_SEND,
            source: file.as_raw_fd() as u32,
            number: 0,
            number_flags: if close_on_exec {
                libc::O_CLOEXEC as u32
            } else {
                0
            },
        };
        // SAFETY: reads a struct seccomp_notif_addfd.
        unsafe { self.ioctl(ADDFD, &raw const request as usize) }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// `errno`.
pub(crate) fn last_error() -> Errno {
    let error = std::io::Error::last_os_error();
    Errno::from_raw_os_error(error.raw_os_error().unwrap_or(libc::EIO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        assert_eq!(size_of::<Notification>(), 80);
        assert_eq!(size_of::<Response>(), 24);
        assert_eq!(size_of::<AddFd>(), 24);
    }
}
