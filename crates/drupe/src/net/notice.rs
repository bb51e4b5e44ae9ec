//! [`Notice`]: a descriptor of the host that becomes readable when a kernel has news.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// An eventfd(2) that is written to once until it is lowered, even if it is raised
/// several times.
///
/// A thread that checks for news after `lower` sees all that was stored before a `raise`.
/// The order of the two steps ensures it: a `raise` that finds the flag set, and writes
/// nothing, comes before `lower` clears the flag, and so before the check. (In the other
/// order, the descriptor could be cleared and the flag stay set for ever.) Both exchanges
/// are SeqCst, which costs little beside a system call.
#[derive(Debug)]
pub(crate) struct Notice {
    event: OwnedFd,
    raised: AtomicBool,
}

impl Notice {
    pub(super) fn new() -> io::Result<Notice> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Notice {
            event: eventfd(0, flags)?,
            raised: AtomicBool::new(false),
        })
    }

    /// Makes it readable. Does not block, and makes no call into a drupe kernel.
    pub(crate) fn raise(&self) {
        if !self.raised.swap(true, Ordering::SeqCst) {
            // It could only overflow, and is readable then.
            let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }

    /// Makes it unreadable. The caller must check for news afterwards.
    pub(super) fn lower(&self) {
        // EAGAIN: it was not raised.
        let _ = rustix::io::read(&self.event, &mut [0; 8]);
        self.raised.swap(false, Ordering::SeqCst);
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
