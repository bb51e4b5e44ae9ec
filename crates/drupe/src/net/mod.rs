//! Networking with a kernel's own stack: sockets as those of [`std::net`], and
//! what arranges interfaces, addresses and routes.
//!
//! ```no_run
//! use drupe::net::{TcpListener, TcpStream};
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
//! [`TcpStream`], [`TcpListener`] and [`UdpSocket`] have the methods of their
//! namesakes in [`std::net`]; each is a [`Socket`], which has the options and
//! all other kinds of sockets. Names in addresses are resolved by the host: the
//! kernel has no resolver.
//!
//! A fresh kernel has one interface, `lo`, which is down. [`Network`] (from
//! [`Kernel::network`](crate::Kernel::network)) is what changes that; a
//! [`Namespace`] is another network in the same kernel. [`Poll`] waits for many
//! sockets in one thread, and with the feature `tokio` there is `net::tokio`.
//!
//! # Blocking, interrupting, ending
//! A call that blocks ends with `EINTR` when its thread's
//! [`Interrupter`](crate::Interrupter) is used, with
//! [`Cause::TimedOut`](crate::Cause::TimedOut) at the deadline of
//! [`with_deadline`](crate::with_deadline), and with
//! [`Cause::Halted`](crate::Cause::Halted) when the kernel halts. None of the
//! functions here tries again after `EINTR`, unlike some of [`std::net`].
//! Sending to a peer that is gone is `EPIPE`; there is no `SIGPIPE`.
//!
//! A socket is closed when it is dropped, and keeps its kernel until then. Any
//! thread may use it.

mod address;
mod body;
mod config;
mod dhcp;
mod dhcp_packet;
mod filter;
mod filter_rule;
mod info;
mod interface;
mod interface_info;
mod message;
mod namespace;
mod neighbour;
mod netem;
pub mod netlink;
mod network;
mod new_link;
mod notice;
mod options;
mod options_ip;
mod options_tcp;
mod poll;
mod prefix;
mod qdisc;
mod resolve;
mod route;
mod rule;
mod socket;
mod sysctl;
mod tcp;
#[cfg(feature = "tokio")]
pub mod tokio;
mod tun;
mod udp;
mod value;
mod wireguard;

pub use address::{PacketAddress, SocketAddress, UnixAddress};
pub use config::{Config, Lease};
#[cfg(feature = "fuzzing")]
pub(crate) use dhcp_packet::parse_dhcp;
pub use filter_rule::{FilterHook, FilterRule};
pub use info::{TcpInfo, TcpState};
pub use interface::{Address, Interface};
pub use interface_info::InterfaceInfo;
pub use message::{Control, Received};
pub use namespace::Namespace;
pub use neighbour::Neighbour;
pub use netem::Netem;
pub use netlink::Netlink;
pub use network::Network;
pub use new_link::{BondMode, NewLink};
pub use poll::{Descriptor, Event, Events, Interest, Poll, Source, Token};
pub use prefix::Prefix;
pub use qdisc::{HtbClass, Qdisc};
pub use route::{Route, RouteKind};
pub use rule::Rule;
pub use socket::{Domain, Protocol, Socket, Type};
pub use tcp::{Incoming, TcpListener, TcpStream};
pub use tun::{Tun, TunMode};
pub use udp::UdpSocket;
pub use value::OptionValue;
pub use wireguard::{WireGuard, WireGuardInfo, WireGuardKey, WireGuardPeer, WireGuardPeerInfo};

use crate::error::{Error, Result};
use crate::sys;

/// Adds the name of an operation to its error.
fn named<T>(operation: &'static str, result: sys::Result<T>) -> Result<T> {
    result.map_err(|e| Error::new(operation, e))
}
