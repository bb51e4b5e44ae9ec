//! System calls that wait for files: poll(2), epoll(7).

use std::sync::Arc;
use std::time::Duration;

use super::call::{Result, Sys, fd};
use super::{OwnedFd, nr};

/// `sizeof(sigset_t)` of the kernel.
const SIGSET_SIZE: usize = 8;

fn timespec(timeout: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    }
}

impl Sys {
    /// Waits until `raw` has one of `events` (`POLLIN` and so on). Returns those that it
    /// has; 0: the timeout has passed.
    pub(crate) fn poll(&self, raw: i32, events: i16, timeout: Option<Duration>) -> Result<i16> {
        let mut poll = libc::pollfd {
            fd: raw,
            events,
            revents: 0,
        };
        let mut left = timeout.map(timespec);
        let left = left.as_mut().map_or(0, |left| &raw mut *left as usize);
        let args = [&raw mut poll as usize, 1, left, 0, SIGSET_SIZE];
        // SAFETY: reads and writes a struct pollfd and a timespec.
        unsafe { self.raw(nr::PPOLL, args) }?;
        Ok(poll.revents)
    }

    /// epoll_create1(2), with `EPOLL_CLOEXEC`.
    pub(crate) fn epoll_create(self: &Arc<Self>) -> Result<OwnedFd> {
        let new = self.plain(nr::EPOLL_CREATE1, [libc::EPOLL_CLOEXEC as usize])?;
        Ok(OwnedFd::new(self, new))
    }

    pub(crate) fn epoll_ctl(
        &self,
        epoll: i32,
        operation: i32,
        raw: i32,
        event: libc::epoll_event,
    ) -> Result<()> {
        let args = [
            fd(epoll),
            operation as usize,
            fd(raw),
            &raw const event as usize,
        ];
        // SAFETY: reads a struct epoll_event.
        unsafe { self.raw(nr::EPOLL_CTL, args) }.map(drop)
    }

    /// epoll_pwait2(2): fills `events` up to its capacity.
    pub(crate) fn epoll_wait(
        &self,
        epoll: i32,
        events: &mut Vec<libc::epoll_event>,
        timeout: Option<Duration>,
    ) -> Result<()> {
        events.clear();
        let room = events.capacity().min(i32::MAX as usize);
        let timeout = timeout.map(timespec);
        let timeout = timeout.as_ref().map_or(0, |left| &raw const *left as usize);
        let args = [
            fd(epoll),
            events.as_mut_ptr() as usize,
            room,
            timeout,
            0,
            SIGSET_SIZE,
        ];
        // SAFETY: writes at most `room` events to the vector's own memory, reads
        // a timespec.
        let len = unsafe { self.raw(nr::EPOLL_PWAIT2, args) }?;
        // SAFETY: the kernel has written `len` events, and `len` <= capacity.
        unsafe { events.set_len(len) };
        Ok(())
    }
}
