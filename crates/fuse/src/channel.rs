//! [`Channel`]: `/dev/fuse`, open for one mount. Any thread reads and writes whole
//! messages.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

/// The device of one mount.
#[derive(Debug)]
pub(crate) struct Channel {
    device: OwnedFd,
}

/// The result of receiving from a [`Channel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// A message of so many bytes.
    Message(usize),
    /// There is no message at present.
    Nothing,
    /// The mount was unmounted: no more messages come.
    Unmounted,
}

impl Channel {
    /// A channel for the device of a mount.
    pub(crate) fn new(device: OwnedFd) -> io::Result<Channel> {
        let flags = fcntl_getfl(&device)?;
        fcntl_setfl(&device, flags | OFlags::NONBLOCK)?;
        Ok(Channel { device })
    }

    /// Receives the next message, without waiting.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        loop {
            match rustix::io::read(&self.device, &mut *buffer) {
                Ok(0) => return Ok(Received::Unmounted),
                Ok(len) => return Ok(Received::Message(len)),
                // ENOENT: whoever asked has gone meanwhile.
                Err(Errno::INTR | Errno::NOENT) => {}
                Err(Errno::AGAIN) => return Ok(Received::Nothing),
                Err(Errno::NODEV) => return Ok(Received::Unmounted),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sleeps until there is a message, or the mount was unmounted.
    pub(crate) fn wait(&self) -> io::Result<()> {
        loop {
            match poll(&mut [PollFd::new(&self.device, PollFlags::IN)], None) {
                Err(Errno::INTR) => {}
                result => return Ok(result.map(drop)?),
            }
        }
    }

    /// Whether there is no message at present.
    pub(crate) fn is_empty(&self) -> bool {
        let now = Timespec::default();
        let mut device = [PollFd::new(&self.device, PollFlags::IN)];
        // Without a mount there is an error, and no message.
        poll(&mut device, Some(&now)).is_ok() && !device[0].revents().contains(PollFlags::IN)
    }

    /// Sends a message. Errors are ignored: the request was interrupted, or the host has
    /// forgotten the file.
    pub(crate) fn send(&self, message: &[u8]) {
        while rustix::io::write(&self.device, message) == Err(Errno::INTR) {}
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}
