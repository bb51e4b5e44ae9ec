//! Networking with a kernel's own stack: sockets as those of [`std::net`].
//!
//! ```no_run
//! use drupe::net::{TcpListener, TcpStream};
//! use drupe_netadmin::NetworkExt;
//! use std::io::{Read, Write};
//!
//! let kernel = drupe::Kernel::boot()?;
//! kernel.network()?.link("lo")?.set_up()?;
//! let listener = TcpListener::bind(&kernel, "127.0.0.1:80")?;
//! let mut client = TcpStream::connect(&kernel, "127.0.0.1:80")?;
//! let (mut server, _) = listener.accept()?;
//! client.write_all(b"hello")?;
//! let mut word = [0; 5];
//! server.read_exact(&mut word)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`TcpStream`], [`TcpListener`] and [`UdpSocket`] have the methods of their namesakes
//! in [`std::net`]; each contains a [`Socket`], which has the options. A [`Socket`] can
//! be of any other kind too. The host resolves host names, since the kernel has no
//! resolver.
//!
//! A new kernel has one interface, `lo`, which is down. The crate `drupe-netadmin`
//! configures networks; a [`Namespace`] is another network in the same kernel. [`Poll`]
//! waits for many sockets in one thread, and with the feature `tokio` there is
//! `net::tokio`.
//!
//! # Blocking, interrupting, ending A call that blocks ends with `EINTR` when its
//! thread's [`Interrupter`](crate::Interrupter) is used, with
//! [`Cause::TimedOut`](crate::Cause::TimedOut) at the deadline of
//! [`with_deadline`](crate::with_deadline), and with
//! [`Cause::Halted`](crate::Cause::Halted) when the kernel halts. None of the functions
//! here tries again after `EINTR`, unlike some of [`std::net`]. Sending on a connection
//! that the peer has closed fails with `EPIPE`; there is no `SIGPIPE`.
//!
//! A socket is closed when it is dropped, and keeps its kernel until then. Any
//! thread may use it.

mod address;
mod message;
mod namespace;
mod notice;
mod options;
mod poll;
mod resolve;
mod socket;
mod tcp;
#[cfg(feature = "tokio")]
pub mod tokio;
mod udp;

pub use address::{PacketAddress, SocketAddress, UnixAddress};
pub use message::{Control, Received};
pub use namespace::Namespace;
pub use options::{OptionValue, TcpInfo, TcpState};
pub use poll::{Descriptor, Event, Events, Interest, Poll, Source, Token};
pub use socket::{Domain, Protocol, Socket, Type};
pub use tcp::{Incoming, TcpListener, TcpStream};
pub use udp::UdpSocket;

use crate::error::{Error, Result};
use crate::sys;

/// Adds the name of an operation to its error.
fn named<T>(operation: &'static str, result: sys::Result<T>) -> Result<T> {
    result.map_err(|e| Error::new(operation, e))
}
