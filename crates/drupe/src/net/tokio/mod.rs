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
//! [`TcpStream`], [`TcpListener`] and [`UdpSocket`] have the methods of their
//! namesakes in tokio; names are resolved by the host, as there.
//! [`TcpStream::into_split`] makes two halves of a stream.
//!
//! All sockets of a kernel in a runtime are waited for by one task of that
//! runtime, which waits for one descriptor: there are no threads. A socket is
//! of the runtime that it was made in, which must have its I/O driver enabled,
//! and is not to outlive it. All futures can be dropped at any time: what has
//! not happened has not happened.
//!
//! Calls are made by the threads of the runtime, and do not block in the
//! kernel; they wait for their turn while other threads are inside.

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

/// The addresses that something stands for, of which there is at least one.
async fn lookup(operation: &'static str, what: impl ToSocketAddrs) -> Result<Vec<SocketAddr>> {
    let host = |error| Error::new(operation, Cause::Host(error));
    let found: Vec<SocketAddr> = lookup_host(what).await.map_err(host)?.collect();
    match found.is_empty() {
        false => Ok(found),
        true => Err(super::resolve::none(operation)),
    }
}
