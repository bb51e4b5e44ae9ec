//! [`SocketAddress`]: a socket's address of any family, and its `struct sockaddr`.

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use drupe_abi::Errno;
use drupe_machine::Error;

use super::named;
use crate::error::Result;
use crate::sys::{self, RawAddress};

/// A socket's address, of any address family.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocketAddress {
    /// No address, as of an unbound socket (`AF_UNSPEC`). Connecting a datagram socket to
    /// it ends its connection (connect(2)).
    Unspecified,
    /// An IPv4 or IPv6 address and port.
    Ip(SocketAddr),
    /// A Unix socket (unix(7)).
    Unix(UnixAddress),
    /// A vsock (vsock(7)).
    Vsock {
        /// The machine; 1 (`VMADDR_CID_LOCAL`) is the kernel itself,
        /// `u32::MAX` any.
        cid: u32,
        /// The port; `u32::MAX`: any.
        port: u32,
    },
    /// A netlink socket (netlink(7)).
    Netlink {
        /// The port; 0: the kernel, or for binding, any free port.
        port: u32,
        /// Multicast groups, a bit each.
        groups: u32,
    },
    /// A packet socket (packet(7)).
    Packet(PacketAddress),
    /// An address of another family, as the bytes of its `struct sockaddr`.
    Other(Vec<u8>),
}

/// The address of a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UnixAddress {
    /// The socket is not bound.
    Unnamed,
    /// A path in the kernel's own tree (a tmpfs, not a mount of the program). At most 107
    /// bytes.
    Path(PathBuf),
    /// An abstract name, which belongs to the network namespace and ends with the socket.
    /// At most 107 bytes.
    Abstract(Vec<u8>),
}

/// The address of a packet socket: source or destination of a packet (packet(7)).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct PacketAddress {
    /// `ETH_P_*`, in the machine's byte order.
    pub protocol: u16,
    /// Index of the interface; 0: any, for binding.
    pub interface: u32,
    /// `PACKET_HOST` and so on, for received packets.
    pub packet_type: u8,
    /// Hardware address, up to 8 bytes.
    pub hardware: Vec<u8>,
}

impl SocketAddress {
    /// The IP address and port, if it is of IPv4 or IPv6.
    pub fn as_ip(&self) -> Option<SocketAddr> {
        match self {
            SocketAddress::Ip(address) => Some(*address),
            _ => None,
        }
    }

    /// An abstract name for a Unix socket.
    pub fn abstract_name(name: impl AsRef<[u8]>) -> SocketAddress {
        SocketAddress::Unix(UnixAddress::Abstract(name.as_ref().to_vec()))
    }

    /// A path for a Unix socket, in the kernel's own tree.
    pub fn path(path: impl Into<PathBuf>) -> SocketAddress {
        SocketAddress::Unix(UnixAddress::Path(path.into()))
    }

    /// Its `struct sockaddr`, as for system calls and netlink attributes. EINVAL if it is
    /// too long.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let raw = named("encode address", self.encode())?;
        Ok(raw.as_bytes().to_vec())
    }

    /// The address of a `struct sockaddr`. [`SocketAddress::Other`] if its family is not
    /// known here, or it is too short.
    pub fn from_bytes(bytes: &[u8]) -> SocketAddress {
        let mut raw = RawAddress::empty();
        match raw.bytes.get_mut(..bytes.len()) {
            Some(room) => room.copy_from_slice(bytes),
            None => return SocketAddress::Other(bytes.to_vec()),
        }
        raw.len = bytes.len();
        SocketAddress::decode(&raw)
    }

    /// Its `struct sockaddr`; EINVAL if it is too long.
    pub(crate) fn encode(&self) -> sys::Result<RawAddress> {
        let mut writer = Writer(RawAddress::empty());
        match self {
            SocketAddress::Unspecified => writer.put(&[0; 16])?,
            SocketAddress::Ip(SocketAddr::V4(address)) => {
                writer.family(libc::AF_INET)?;
                writer.put(&address.port().to_be_bytes())?;
                writer.put(&address.ip().octets())?;
                writer.put(&[0; 8])?;
            }
            SocketAddress::Ip(SocketAddr::V6(address)) => {
                writer.family(libc::AF_INET6)?;
                writer.put(&address.port().to_be_bytes())?;
                writer.put(&address.flowinfo().to_ne_bytes())?;
                writer.put(&address.ip().octets())?;
                writer.put(&address.scope_id().to_ne_bytes())?;
            }
            SocketAddress::Unix(address) => {
                writer.family(libc::AF_UNIX)?;
                match address {
                    UnixAddress::Unnamed => {}
                    UnixAddress::Path(path) => {
                        let path = path.as_os_str().as_bytes();
                        if path.is_empty() || path.len() > 107 || path.contains(&0) {
                            return Err(Error::Errno(Errno::INVAL));
                        }
                        writer.put(path)?;
                        writer.put(&[0])?;
                    }
                    UnixAddress::Abstract(name) => {
                        if name.len() > 107 {
                            return Err(Error::Errno(Errno::INVAL));
                        }
                        writer.put(&[0])?;
                        writer.put(name)?;
                    }
                }
            }
            SocketAddress::Vsock { cid, port } => {
                writer.family(libc::AF_VSOCK)?;
                writer.put(&[0; 2])?;
                writer.put(&port.to_ne_bytes())?;
                writer.put(&cid.to_ne_bytes())?;
                writer.put(&[0; 4])?;
            }
            SocketAddress::Netlink { port, groups } => {
                writer.family(libc::AF_NETLINK)?;
                writer.put(&[0; 2])?;
                writer.put(&port.to_ne_bytes())?;
                writer.put(&groups.to_ne_bytes())?;
            }
            SocketAddress::Packet(address) => {
                let mut hardware = [0; 8];
                let len = address.hardware.len();
                let room = hardware.get_mut(..len).ok_or(Error::Errno(Errno::INVAL))?;
                room.copy_from_slice(&address.hardware);
                writer.family(libc::AF_PACKET)?;
                writer.put(&address.protocol.to_be_bytes())?;
                writer.put(&address.interface.to_ne_bytes())?;
                writer.put(&[0; 2])?;
                writer.put(&[address.packet_type, len as u8])?;
                writer.put(&hardware)?;
            }
            SocketAddress::Other(bytes) => writer.put(bytes)?,
        }
        Ok(writer.0)
    }

    pub(crate) fn decode(raw: &RawAddress) -> SocketAddress {
        let bytes = raw.as_bytes();
        let known = || {
            let [family, rest] = [bytes.get(..2)?, bytes.get(2..)?];
            let family = u16::from_ne_bytes(family.try_into().ok()?);
            match i32::from(family) {
                libc::AF_UNSPEC => Some(SocketAddress::Unspecified),
                libc::AF_INET | libc::AF_INET6 => ip(rest).map(SocketAddress::Ip),
                libc::AF_UNIX => Some(SocketAddress::Unix(unix(rest))),
                libc::AF_VSOCK => Some(SocketAddress::Vsock {
                    port: word(rest, 2)?,
                    cid: word(rest, 6)?,
                }),
                libc::AF_NETLINK => Some(SocketAddress::Netlink {
                    port: word(rest, 2)?,
                    groups: word(rest, 6)?,
                }),
                libc::AF_PACKET => packet(rest).map(SocketAddress::Packet),
                _ => None,
            }
        };
        match bytes.is_empty() {
            true => SocketAddress::Unspecified,
            false => known().unwrap_or_else(|| SocketAddress::Other(bytes.to_vec())),
        }
    }
}

impl fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocketAddress::Ip(address) => address.fmt(f),
            SocketAddress::Unix(UnixAddress::Path(path)) => path.display().fmt(f),
            SocketAddress::Unix(UnixAddress::Abstract(name)) => {
                write!(f, "@{}", name.escape_ascii())
            }
            SocketAddress::Vsock { cid, port } => write!(f, "vsock:{cid}:{port}"),
            address => write!(f, "{address:?}"),
        }
    }
}

/// Builds the bytes of an address.
struct Writer(RawAddress);

impl Writer {
    fn put(&mut self, bytes: &[u8]) -> sys::Result<()> {
        let end = self.0.len + bytes.len();
        let room = self.0.bytes.get_mut(self.0.len..end);
        let room = room.ok_or(Error::Errno(Errno::INVAL))?;
        room.copy_from_slice(bytes);
        self.0.len = end;
        Ok(())
    }

    fn family(&mut self, family: i32) -> sys::Result<()> {
        self.put(&(family as u16).to_ne_bytes())
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(word.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let half = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes(half.try_into().ok()?))
}

/// Parses the bytes after the family: 14 for IPv4, else IPv6.
fn ip(rest: &[u8]) -> Option<SocketAddr> {
    let port = half(rest, 0)?;
    if rest.len() < 26 {
        let octets: [u8; 4] = rest.get(2..6)?.try_into().ok()?;
        return Some(SocketAddrV4::new(Ipv4Addr::from(octets), port).into());
    }
    let octets: [u8; 16] = rest.get(6..22)?.try_into().ok()?;
    let (flow, scope) = (word(rest, 2)?, word(rest, 22)?);
    Some(SocketAddrV6::new(Ipv6Addr::from(octets), port, flow, scope).into())
}

fn unix(rest: &[u8]) -> UnixAddress {
    match rest {
        [] => UnixAddress::Unnamed,
        [0, name @ ..] => UnixAddress::Abstract(name.to_vec()),
        path => {
            let end = path.iter().position(|&byte| byte == 0);
            let path = &path[..end.unwrap_or(path.len())];
            UnixAddress::Path(OsString::from_vec(path.to_vec()).into())
        }
    }
}

fn packet(rest: &[u8]) -> Option<PacketAddress> {
    let len = usize::from(*rest.get(9)?).min(8);
    Some(PacketAddress {
        protocol: half(rest, 0)?,
        interface: word(rest, 2)?,
        packet_type: *rest.get(8)?,
        hardware: rest.get(10..10 + len)?.to_vec(),
    })
}

impl From<SocketAddr> for SocketAddress {
    fn from(address: SocketAddr) -> SocketAddress {
        SocketAddress::Ip(address)
    }
}

impl From<SocketAddrV4> for SocketAddress {
    fn from(address: SocketAddrV4) -> SocketAddress {
        SocketAddress::Ip(address.into())
    }
}

impl From<SocketAddrV6> for SocketAddress {
    fn from(address: SocketAddrV6) -> SocketAddress {
        SocketAddress::Ip(address.into())
    }
}

impl From<(IpAddr, u16)> for SocketAddress {
    fn from(address: (IpAddr, u16)) -> SocketAddress {
        SocketAddress::Ip(address.into())
    }
}

impl From<UnixAddress> for SocketAddress {
    fn from(address: UnixAddress) -> SocketAddress {
        SocketAddress::Unix(address)
    }
}

impl From<PacketAddress> for SocketAddress {
    fn from(address: PacketAddress) -> SocketAddress {
        SocketAddress::Packet(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_goes_there_and_back() {
        let all = [
            SocketAddress::Unspecified,
            SocketAddress::Ip("1.2.3.4:5678".parse().unwrap()),
            SocketAddress::Ip("[fe80::1%7]:80".parse().unwrap()),
            SocketAddress::Unix(UnixAddress::Unnamed),
            SocketAddress::path("/run/socket"),
            SocketAddress::abstract_name(b"a\0b"),
            SocketAddress::Vsock { cid: 1, port: 1234 },
            SocketAddress::Netlink { port: 7, groups: 5 },
            SocketAddress::Packet(PacketAddress {
                protocol: 0x88b5,
                interface: 3,
                packet_type: 1,
                hardware: vec![2, 0, 0, 0, 0, 9],
            }),
        ];
        for address in all {
            let raw = address.encode().unwrap();
            assert_eq!(SocketAddress::decode(&raw), address);
        }
    }

    #[test]
    fn bytes_go_there_and_back() {
        let address = SocketAddress::Ip("[fe80::1%7]:80".parse().unwrap());
        let bytes = address.to_bytes().unwrap();
        assert_eq!(bytes.len(), 28);
        assert_eq!(SocketAddress::from_bytes(&bytes), address);
        let odd = [&[2, 0, 1][..], &[9; 500]];
        for bytes in odd {
            let other = SocketAddress::Other(bytes.to_vec());
            assert_eq!(SocketAddress::from_bytes(bytes), other);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let long = "x".repeat(108);
        assert!(SocketAddress::path(&long).encode().is_err());
        assert!(SocketAddress::abstract_name(&long).encode().is_err());
        assert!(SocketAddress::Other(vec![9; 129]).encode().is_err());
        assert!(SocketAddress::path("").encode().is_err());
    }
}
