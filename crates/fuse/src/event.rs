//! [`Event`]: what ends a mount, or is told while it lasts.

use drupe::Errno;

/// What a [`Server`](crate::Server) waits for.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// It was unmounted, by umount(8) or fusermount3(1).
    Unmounted,
    /// Somebody wants it to end.
    Stop,
    /// The drupe kernel died.
    Died(String),
    /// The host has refused to write to the image; changes are refused from now on.
    WriteError(Errno),
}
