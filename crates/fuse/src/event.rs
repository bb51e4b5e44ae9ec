//! [`Event`]: the events of a mount: unmounted, stopped, kernel died, write error.

use drupe::Errno;

/// An event that a [`Server`](crate::Server) waits for.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The mount was unmounted, by umount(8) or fusermount3(1).
    Unmounted,
    /// The program asks the server to end.
    Stop,
    /// The drupe kernel died.
    Died(String),
    /// The host has failed to write to the image; changes are refused from now on.
    WriteError(Errno),
}
