//! The program's end: delivers what it has written to closed sockets before the kernel
//! halts.

use std::time::{Duration, Instant};

use drupe_netadmin::Netlink;
use drupe_netadmin::netlink::Body;

use crate::error::Result;
use crate::supervisor::Supervisor;

/// How long to wait without progress.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often progress is checked.
const PAUSE: Duration = Duration::from_millis(5);

/// `SOCK_DIAG_BY_FAMILY` (sock_diag(7)).
const BY_FAMILY: u16 = 20;
/// States of TCP in which the program has closed, and the peer has not
/// acknowledged all: `FIN_WAIT1`, `LAST_ACK`, `CLOSING`.
const CLOSING: u32 = 1 << 4 | 1 << 9 | 1 << 11;
/// `struct inet_diag_req_v2`.
const REQUEST: usize = 56;
/// Where `struct inet_diag_msg` has its cookie and its queue.
const COOKIE: usize = 44;
const QUEUE: usize = 60;

impl Supervisor {
    /// Delivers what was written, after all processes of the program have ended.
    pub(crate) fn drain(&mut self) -> Result<()> {
        self.stop_listening();
        for id in self.sockets.table.ids() {
            self.sockets.wake(id);
        }
        while self.turn(Some(Duration::ZERO), None)? {}
        let netlink = Netlink::new(&self.sockets.net.kernel, libc::NETLINK_SOCK_DIAG)?;
        let (mut last, mut since) = (None, Instant::now());
        loop {
            let left = (self.sockets.table.unsent(), undelivered(&netlink)?);
            if left.0 == 0 && left.1.is_empty() {
                return Ok(());
            }
            if last.as_ref() != Some(&left) {
                last = Some(left);
                since = Instant::now();
            } else if since.elapsed() > PATIENCE {
                return Ok(());
            }
            self.turn(Some(PAUSE), None)?;
        }
    }
}

/// The closed connections that still have data or a FIN to deliver: their cookies and
/// queue lengths.
fn undelivered(netlink: &Netlink) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let mut request = [0; REQUEST];
        request[0] = family as u8;
        request[1] = libc::IPPROTO_TCP as u8;
        request[4..8].copy_from_slice(&CLOSING.to_ne_bytes());
        for message in netlink.dump(BY_FAMILY, &Body::new(&request))? {
            let field = |at: usize, len: usize| message.payload.get(at..at + len);
            all.extend(
                field(COOKIE, 8)
                    .into_iter()
                    .chain(field(QUEUE, 4))
                    .flatten(),
            );
        }
    }
    Ok(all)
}
