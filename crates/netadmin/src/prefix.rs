//! [`Prefix`]: an IP address with a prefix length, such as "10.0.0.1/24".

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use drupe::{Errno, Error, Result};

use crate::netlink::Attributes;

/// An IP address with a prefix length: "10.0.0.1/24", "fd00::/8". Text without a length
/// means 32 or 128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// The address. In the prefix of a network, the bits behind the length are zero.
    pub address: IpAddr,
    /// The prefix length in bits, up to 32 or 128.
    pub len: u8,
}

impl Prefix {
    /// `AF_INET` or `AF_INET6`.
    pub(super) fn family(&self) -> u8 {
        family(self.address)
    }
}

pub(super) fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// An address of 4 or 16 bytes.
pub(super) fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(octets.into());
    }
    <[u8; 16]>::try_from(octets).ok().map(IpAddr::from)
}

/// The value of an attribute as an address.
pub(crate) fn address_of(attributes: &Attributes<'_>, kind: u16) -> Option<IpAddr> {
    address(attributes.clone().find(kind)?.value)
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl From<IpAddr> for Prefix {
    fn from(address: IpAddr) -> Prefix {
        Prefix {
            address,
            len: bits(address),
        }
    }
}

impl FromStr for Prefix {
    type Err = Error;

    fn from_str(text: &str) -> Result<Prefix> {
        let parse = || {
            let (address, len) = match text.split_once('/') {
                Some((address, len)) => (address, Some(len)),
                None => (text, None),
            };
            let address: IpAddr = address.parse().ok()?;
            let most = bits(address);
            let len = len.map_or(Some(most), |len| len.parse().ok())?;
            (len <= most).then_some(Prefix { address, len })
        };
        parse().ok_or_else(|| Error::at("parse prefix", text, Errno::INVAL))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_it_shows() {
        for text in ["10.0.0.1/24", "0.0.0.0/0", "fd00::1/64", "::/0"] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), text);
        }
        assert_eq!("1.2.3.4".parse::<Prefix>().unwrap().len, 32);
        for text in ["10.0.0.1/33", "::1/129", "eth0", "1.2.3.4/", "1.2.3/8", ""] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }
}
