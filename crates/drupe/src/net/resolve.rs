//! Resolves addresses as [`std::net`] does, and tries them one after another.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use crate::error::{Cause, Error, Result};

/// Calls `f` with each address until it succeeds. Returns the last error if none does.
pub(super) fn each<T>(
    operation: &'static str,
    addresses: impl ToSocketAddrs,
    mut f: impl FnMut(SocketAddr) -> Result<T>,
) -> Result<T> {
    let found = addresses.to_socket_addrs();
    let mut last = None;
    for address in found.map_err(|error| Error::new(operation, Cause::Host(error)))? {
        match f(address) {
            Ok(done) => return Ok(done),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| none(operation)))
}

/// The first of the addresses.
pub(super) fn first(operation: &'static str, addresses: impl ToSocketAddrs) -> Result<SocketAddr> {
    let found = addresses.to_socket_addrs();
    let mut found = found.map_err(|error| Error::new(operation, Cause::Host(error)))?;
    found.next().ok_or_else(|| none(operation))
}

/// The error if there is no address.
pub(super) fn none(operation: &'static str) -> Error {
    let why = "could not resolve to any addresses";
    let error = io::Error::new(io::ErrorKind::InvalidInput, why);
    Error::new(operation, Cause::Host(error))
}
