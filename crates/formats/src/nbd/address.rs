//! [`Address`]: parses NBD URIs (`doc/uri.md` of the NetworkBlockDevice project).

use std::path::PathBuf;

use crate::{Error, Result};

/// The schemes of NBD URIs; the last four are not supported.
pub(super) const SCHEMES: &[&str] = &[
    "nbd",
    "nbd+unix",
    "nbds",
    "nbds+unix",
    "nbd+vsock",
    "nbds+vsock",
];

/// IANA's for NBD.
const PORT: u16 = 10809;

/// Bytes of an export's name, by the protocol.
const MAX_NAME: usize = 4096;

/// The address of a network disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) server: Server,
    /// The name of the export; empty: the server's default.
    pub(super) export: String,
}

/// The address of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Server {
    Tcp(String, u16),
    Unix(PathBuf),
}

fn wrong(uri: &str, why: &str) -> Error {
    Error::Address(format!(
        "{why}; an address is nbd://HOST[:PORT]/EXPORT or nbd+unix:///EXPORT?socket=PATH, \
         and {uri:?} is not"
    ))
}

impl Address {
    pub(super) fn parse(uri: &str) -> Result<Address> {
        let (scheme, rest) = uri
            .split_once("://")
            .ok_or_else(|| wrong(uri, "it has no scheme"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, export) = rest.split_once('/').unwrap_or((rest, ""));
        let export = decode(export).ok_or_else(|| wrong(uri, "a %XX in it is malformed"))?;
        if export.len() > MAX_NAME || export.contains('\0') {
            return Err(wrong(
                uri,
                "the name of the export is too long or has a NUL in it",
            ));
        }
        let server = match scheme {
            "nbd" => tcp(uri, authority)?,
            "nbd+unix" => unix(uri, authority, query)?,
            "nbds" | "nbds+unix" => {
                let why = "TLS (nbds) is not supported; use nbd:// through a tunnel";
                return Err(Error::Address(why.into()));
            }
            _ => return Err(wrong(uri, &format!("{scheme:?} is not supported"))),
        };
        Ok(Address { server, export })
    }
}

/// `HOST`, `HOST:PORT`, `[IPV6]:PORT`.
fn tcp(uri: &str, authority: &str) -> Result<Server> {
    if authority.contains('@') {
        return Err(wrong(uri, "user names are not supported"));
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest
            .split_once(']')
            .ok_or_else(|| wrong(uri, "a ] is missing"))?,
        None => {
            let colon = authority.find(':').unwrap_or(authority.len());
            authority.split_at(colon)
        }
    };
    if host.is_empty() {
        return Err(wrong(uri, "it has no host: nbd://HOST/EXPORT"));
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => PORT,
        // parse() would take a sign.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
            .parse()
            .map_err(|_| wrong(uri, "its port is not a number from 0 to 65535"))?,
        _ => return Err(wrong(uri, "its port is not a number from 0 to 65535")),
    };
    Ok(Server::Tcp(host.to_owned(), port))
}

fn unix(uri: &str, authority: &str, query: &str) -> Result<Server> {
    if !authority.is_empty() {
        return Err(wrong(
            uri,
            "an address with a Unix socket must not have a host",
        ));
    }
    let socket = query
        .split('&')
        .find_map(|parameter| parameter.strip_prefix("socket="))
        .and_then(decode)
        .filter(|path| !path.is_empty() && !path.contains('\0'));
    match socket {
        Some(path) => Ok(Server::Unix(path.into())),
        None => Err(wrong(uri, "it names no socket: add ?socket=PATH")),
    }
}

/// Decodes %XX. `None`: it is malformed, or the result is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = str::from_utf8(rest.get(..2)?).ok()?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let tcp = |host: &str, port| Server::Tcp(host.into(), port);
        let unix = |path: &str| Server::Unix(path.into());
        for (uri, server, export) in [
            ("nbd://host", tcp("host", 10809), ""),
            ("nbd://host/", tcp("host", 10809), ""),
            ("nbd://127.0.0.1:1/a%20b/c", tcp("127.0.0.1", 1), "a b/c"),
            ("nbd://[::1]/x", tcp("::1", 10809), "x"),
            ("nbd://[::1]:7/x", tcp("::1", 7), "x"),
            ("nbd+unix:///?socket=/s", unix("/s"), ""),
            ("nbd+unix:///e?a=b&socket=/a%3fb", unix("/a?b"), "e"),
        ] {
            let export = export.to_owned();
            assert_eq!(Address::parse(uri).unwrap(), Address { server, export });
        }
    }

    #[test]
    fn wrong_ones_say_why() {
        for (uri, why) in [
            ("nbd://", "no host"),
            ("nbd://host:/x", "port"),
            ("nbd://host:99999/x", "port"),
            ("nbd://host:+1/x", "port"),
            ("nbd://[::1/x", "]"),
            ("nbd://[::1]7/x", "port"),
            ("nbd://u@host/x", "user names"),
            ("nbd://host/%", "%"),
            ("nbd://host/%+1", "%"),
            ("nbd+unix:///x", "no socket"),
            ("nbd+unix://host/x?socket=/s", "must not have a host"),
            ("nbds://host/x", "TLS (nbds) is not supported"),
            ("nbd+vsock://1/x", "not supported"),
        ] {
            let said = Address::parse(uri).unwrap_err().to_string();
            assert!(said.contains(why), "{uri}: {said}");
        }
    }
}
