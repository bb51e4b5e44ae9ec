//! Sockets of a kernel for tokio (the feature `tokio`).
//!
//! ```no_run
//! # use drupe::net::tokio::{TcpListener, TcpStream};
//! # use drupe::Kernel;
//! use tokio::io::copy;
//!
//! async fn serve(kernel: &Kernel) -> drupe::Result<()> {
//!     let listener = TcpListener::bind(kernel, "0.0.0.0:7").await?;
//!     loop {
//!         let (stream, _) = listener.accept().await?;
//!         let (mut reader, mut writer) = stream.into_split();
//!         tokio::spawn(async move { copy(&mut reader, &mut writer).await });
//!     }
//! }
//! ```
//!
//! [`TcpStream`], [`TcpListener`] and [`UdpSocket`] have the methods of their namesakes
//! in tokio. The host resolves host names. [`TcpStream::into_split`] splits a stream into
//! two halves.
//!
//! One task of the runtime waits for all sockets of a kernel, by one descriptor of the
//! host: there are no additional threads. A socket belongs to the runtime in which it was
//! made, which must have its I/O driver enabled, and must not be used after that has
//! ended. All futures can be dropped at any time without losing data.
//!
//! The runtime's threads make the calls, which do not block in the kernel. They may wait
//! for the kernel's CPU while another thread holds it.

mod driver;
mod ready;
mod registered;
mod split;
mod tcp;
mod udp;

pub use split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use tcp::{TcpListener, TcpStream};
pub use udp::UdpSocket;

use std::net::SocketAddr;

use ::tokio::net::{ToSocketAddrs, lookup_host};

use crate::error::{Cause, Error, Result};

/// Resolves `what` to addresses; an error if there is none.
async fn lookup(operation: &'static str, what: impl ToSocketAddrs) -> Result<Vec<SocketAddr>> {
    let host = |error| Error::new(operation, Cause::Host(error));
    let found: Vec<SocketAddr> = lookup_host(what).await.map_err(host)?.collect();
    match found.is_empty() {
        false => Ok(found),
        true => Err(super::resolve::none(operation)),
    }
}
