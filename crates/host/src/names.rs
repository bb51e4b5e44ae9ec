//! [`lookup`]: the addresses of a host name, also in statically linked programs.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// The addresses of the host name `host`, each with `port`, as getaddrinfo(3) finds them.
///
/// A program with a statically linked C library reads `/etc/hosts` and asks the servers
/// of `/etc/resolv.conf`, no more: the modules that nsswitch.conf(5) names need the C
/// library that they were built with.
///
/// # Errors
///
/// The name is not known, or no name server answers.
pub fn lookup(host: &str, port: u16) -> io::Result<impl Iterator<Item = SocketAddr>> {
    #[cfg(all(target_feature = "crt-static", target_env = "gnu"))]
    own_services::select()?;
    (host, port).to_socket_addrs()
}

#[cfg(all(target_feature = "crt-static", target_env = "gnu"))]
mod own_services {
    //! The services of nsswitch.conf(5) that are part of glibc itself.

    use std::ffi::{CStr, c_char, c_int};
    use std::io;

    unsafe extern "C" {
        // <nss.h>: replaces what nsswitch.conf says of a database.
        fn __nss_configure_lookup(database: *const c_char, services: *const c_char) -> c_int;
    }

    pub(super) fn select() -> io::Result<()> {
        let (database, services): (&CStr, &CStr) = (c"hosts", c"files dns");
        // SAFETY: both are strings that end with a zero byte and are only read; the
        // function takes a lock of its own.
        match unsafe { __nss_configure_lookup(database.as_ptr(), services.as_ptr()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_the_own_host_are_found() {
        let find = |host| -> Vec<_> { lookup(host, 10809).unwrap().collect() };
        assert_eq!(find("127.0.0.1"), ["127.0.0.1:10809".parse().unwrap()]);
        assert!(
            find("localhost")
                .iter()
                .all(|address| address.ip().is_loopback())
        );
        assert!(lookup("no such host", 1).is_err());
    }
}
