//! [`Notice`]: a host descriptor that says "look", once.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// An eventfd(2) that is written to once until it is lowered, however often it
/// is raised.
///
/// What was made true before a `raise` is seen by whoever looks after `lower`.
/// The order of the two steps in each makes sure: a `raise` that finds the flag
/// still set, and writes nothing, comes before `lower` has cleared it, and so
/// before the look. (The other order could clear the descriptor and leave the
/// flag, for ever.) Both orderings are SeqCst: the flag is exchanged, not read,
/// and its cost is nothing beside a system call.
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

    /// Makes it readable. It does not block, and calls no kernel of ours.
    pub(crate) fn raise(&self) {
        if !self.raised.swap(true, Ordering::SeqCst) {
            // It could only overflow, and is readable then.
            let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }

    /// Makes it unreadable; the caller looks afterwards.
    pub(super) fn lower(&self) {
        // EAGAIN: it was not raised.
        let _ = rustix::io::read(&self.event, &mut [0; 8]);
        self.raised.swap(false, Ordering::SeqCst);
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
