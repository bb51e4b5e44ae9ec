//! [`Pair`]: the host's socket pair in place of a socket: one end for the program, one
//! for the supervisor.
//!
//! The supervisor keeps no descriptor of the program's end, or it would not notice when
//! the program closes its last one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair, sockopt,
};

use crate::filter::SIOCOUTQ;

/// Buffer size of a stream's pair in each direction, if the host allows it.
const STREAM_BUFFER: usize = 1 << 20;
/// Buffer size of a pair for messages.
const MESSAGE_BUFFER: usize = 256 << 10;

/// The ends of a new pair: the supervisor's, which is non-blocking, and the program's.
pub(crate) struct Pair {
    pub(crate) ours: OwnedFd,
    pub(crate) theirs: OwnedFd,
}

/// How a socket carries data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carries {
    Bytes,
    Messages,
}

impl Pair {
    pub(crate) fn new(carries: Carries, nonblocking: bool) -> Result<Pair, Errno> {
        // Not SOCK_DGRAM: of that, the close of one end is not seen at the other.
        let (kind, size) = match carries {
            Carries::Bytes => (SocketType::STREAM, STREAM_BUFFER),
            Carries::Messages => (SocketType::SEQPACKET, MESSAGE_BUFFER),
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, flags, None)?;
        if !nonblocking {
            rustix::io::ioctl_fionbio(&theirs, false)?;
        }
        for end in [&ours, &theirs] {
            sockopt::set_socket_send_buffer_size(end, size)?;
        }
        Ok(Pair { ours, theirs })
    }
}

/// Fills the program's end with junk, so that it is not writable, as before a connection.
/// Returns the bytes of junk. The buffer stays small until [`unplug`].
pub(crate) fn plug(theirs: impl AsFd) -> usize {
    // As small as it gets.
    let _ = sockopt::set_socket_send_buffer_size(&theirs, 0);
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    let mut junk = 0;
    while let Ok(len) = send(&theirs, &[0; 1024], flags) {
        junk += len;
    }
    junk
}

/// Reads the junk at the supervisor's end, and enlarges the buffer of the program's end.
/// If that end cannot be found, it keeps the small one.
pub(crate) fn unplug(ours: impl AsFd, mut junk: usize, theirs: Option<OwnedFd>) {
    if let Some(theirs) = theirs {
        let _ = sockopt::set_socket_send_buffer_size(theirs, STREAM_BUFFER);
    }
    let mut buffer = [0; 8192];
    while junk > 0 {
        let len = junk.min(buffer.len());
        match recv(&ours, &mut buffer[..len], RecvFlags::DONTWAIT) {
            Ok((len @ 1.., _)) => junk -= len,
            _ => break,
        }
    }
}

/// Bytes that were sent and not yet received at the other end. For messages, the memory
/// that the host charges for them.
pub(crate) fn outstanding(end: impl AsFd) -> u32 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: writes an int.
    unsafe { libc::ioctl(end.as_fd().as_raw_fd(), u64::from(SIOCOUTQ), &mut bytes) };
    bytes as u32
}

thread_local! {
    /// The results of [`cost`] by length.
    static COSTS: RefCell<HashMap<usize, u32>> = RefCell::default();
}

/// The charge in [`outstanding`] for one message of this length, which depends on the
/// host's memory allocator. It is measured on a separate pair.
pub(crate) fn cost(len: usize) -> u32 {
    let measure = || -> Result<u32, Errno> {
        let pair = Pair::new(Carries::Messages, true)?;
        send(&pair.ours, &vec![0; len], SendFlags::NOSIGNAL)?;
        Ok(outstanding(&pair.ours))
    };
    COSTS.with_borrow_mut(|costs| match costs.get(&len) {
        Some(&cost) => cost,
        None => match measure() {
            Ok(cost) => *costs.entry(len).or_insert(cost),
            // No more descriptors, as a rule: for once, the least that it can be.
            Err(_) => len as u32 + 1,
        },
    })
}

/// Whether calls on this descriptor do not block.
pub(crate) fn is_nonblocking(end: impl AsFd) -> bool {
    rustix::fs::fcntl_getfl(end).is_ok_and(|flags| flags.contains(rustix::fs::OFlags::NONBLOCK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_what_the_host_charges() {
        let pair = Pair::new(Carries::Messages, true).expect("a pair");
        let lens = [0, 1, 100, 1000, 4000, 9000, 40_000, 65_507, 100, 0];
        let mut all = 0;
        for len in lens {
            send(&pair.ours, &vec![0; len], SendFlags::NOSIGNAL).expect("room");
            all += cost(len);
            assert_eq!(outstanding(&pair.ours), all, "with {len} bytes more");
        }
        for len in lens {
            recv(&pair.theirs, &mut [0; 65_507], RecvFlags::empty()).expect("a message");
            all -= cost(len);
            assert_eq!(outstanding(&pair.ours), all, "with {len} bytes less");
        }
    }
}
