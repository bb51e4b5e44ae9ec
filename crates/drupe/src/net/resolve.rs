//! Addresses as [`std::net`] takes them: tried one after another.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use crate::error::{Cause, Error, Result};

/// Calls `f` with each address until one succeeds; the last error counts.
pub(super) fn each<T>(
    operation: &'static str,
    addresses: impl ToSocketAddrs,
    mut f: impl FnMut(SocketAddr) -> Result<T>,
) -> Result<T> {
    let host = |error| Error::new(operation, Cause::Host(error));
    let mut last = None;
    for address in addresses.to_socket_addrs().map_err(host)? {
        match f(address) {
            Ok(done) => return Ok(done),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| {
        let none = io::Error::new(
            io::ErrorKind::InvalidInput,
            "could not resolve to any addresses",
        );
        host(none)
    }))
}
