//! The pair of host sockets that stands for a socket: the program has one end,
//! we have the other.
//!
//! We keep none of the program's end, or we would not see that the program has
//! closed the last one of it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair, sockopt,
};

use crate::filter::SIOCOUTQ;

/// What a stream's pair holds in each direction, as far as the host lets us.
const STREAM_BUFFER: usize = 1 << 20;
/// What a pair for messages holds.
const MESSAGE_BUFFER: usize = 256 << 10;

/// The ends of a new pair: ours, which does not block, and the program's.
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

/// Fills the program's end so that it cannot be written to, and does not seem
/// connected. How much junk that took. It stays small until [`unplug`].
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

/// Takes the junk away at our end, and gives the program's its size again: if it
/// cannot be found, it works with the small one.
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

/// Bytes that were sent and not yet received at the other end. Of messages, what
/// they take up in the host's memory.
pub(crate) fn outstanding(end: impl AsFd) -> u32 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: writes an int.
    unsafe { libc::ioctl(end.as_fd().as_raw_fd(), u64::from(SIOCOUTQ), &mut bytes) };
    bytes as u32
}

thread_local! {
    /// [`cost`] of the lengths that were asked for.
    static COSTS: RefCell<HashMap<usize, u32>> = RefCell::default();
}

/// How much of [`outstanding`] one message of this length is: what the host's
/// memory allocator makes of it. It is measured on a pair that nobody reads.
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
