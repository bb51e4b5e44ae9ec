//! [`WireGuard`]: keys and peers of a WireGuard interface, as in wg(8).

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use drupe::net::SocketAddress;
use drupe::{Errno, Error, Result};
use zeroize::Zeroizing;

use crate::netlink::Netlink;
use crate::netlink::{Attribute, Attributes, Body};
use crate::prefix::{address, octets};
use crate::{Interface, Prefix};

/// A key of 32 bytes: private, public or preshared. Wiped from memory when dropped, and
/// never printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct WireGuardKey(Zeroizing<[u8; 32]>);

impl WireGuardKey {
    /// The key of these bytes.
    pub fn new(bytes: [u8; 32]) -> WireGuardKey {
        WireGuardKey(Zeroizing::new(bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for WireGuardKey {
    fn from(bytes: [u8; 32]) -> WireGuardKey {
        WireGuardKey::new(bytes)
    }
}

impl fmt::Debug for WireGuardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WireGuardKey(..)")
    }
}

/// The configuration of an interface. From [`WireGuard::new`].
#[derive(Debug, Clone)]
#[must_use]
pub struct WireGuard {
    private_key: WireGuardKey,
    listen_port: u16,
    mark: u32,
    peers: Vec<WireGuardPeer>,
}

impl WireGuard {
    /// A configuration with this private key, any port and no peers.
    /// [`Interface::wireguard`] returns the public key.
    pub fn new(private_key: impl Into<WireGuardKey>) -> WireGuard {
        WireGuard {
            private_key: private_key.into(),
            listen_port: 0,
            mark: 0,
            peers: Vec::new(),
        }
    }

    /// Sets the UDP port; 0: any free port.
    pub fn listen_port(mut self, port: u16) -> WireGuard {
        self.listen_port = port;
        self
    }

    /// Sets the mark of the tunnel's packets, for routing rules.
    pub fn mark(mut self, mark: u32) -> WireGuard {
        self.mark = mark;
        self
    }

    /// Adds a peer.
    pub fn peer(mut self, peer: WireGuardPeer) -> WireGuard {
        self.peers.push(peer);
        self
    }
}

/// The configuration of a peer.
#[derive(Debug, Clone)]
#[must_use]
pub struct WireGuardPeer {
    public_key: WireGuardKey,
    preshared_key: Option<WireGuardKey>,
    endpoint: Option<SocketAddr>,
    keepalive: Duration,
    allowed: Vec<Prefix>,
}

impl WireGuardPeer {
    /// A peer with this public key.
    pub fn new(public_key: impl Into<WireGuardKey>) -> WireGuardPeer {
        WireGuardPeer {
            public_key: public_key.into(),
            preshared_key: None,
            endpoint: None,
            keepalive: Duration::ZERO,
            allowed: Vec::new(),
        }
    }

    /// Sets the preshared key, a secret that both peers have in addition to their key
    /// pairs.
    pub fn preshared_key(mut self, key: impl Into<WireGuardKey>) -> WireGuardPeer {
        self.preshared_key = Some(key.into());
        self
    }

    /// Sets its address. Without it, packets go to the address from which the peer was
    /// last heard.
    pub fn endpoint(mut self, endpoint: SocketAddr) -> WireGuardPeer {
        self.endpoint = Some(endpoint);
        self
    }

    /// Sends it a packet after so many whole seconds without traffic, up to 65,535.
    pub fn keepalive(mut self, time: Duration) -> WireGuardPeer {
        self.keepalive = time;
        self
    }

    /// Adds addresses that are behind the peer: packets from them are accepted from it,
    /// and packets to them are sent to it. This adds no routes.
    pub fn allowed_ip(mut self, prefix: Prefix) -> WireGuardPeer {
        self.allowed.push(prefix);
        self
    }

    fn put(&self, peer: &mut Body) {
        peer.put(PEER_PUBLIC_KEY, self.public_key.as_bytes());
        if let Some(key) = &self.preshared_key {
            peer.put(PEER_PRESHARED_KEY, key.as_bytes());
        }
        if let Some(endpoint) = self.endpoint
            // It fits.
            && let Ok(bytes) = SocketAddress::Ip(endpoint).to_bytes()
        {
            peer.put(PEER_ENDPOINT, &bytes);
        }
        let seconds = u16::try_from(self.keepalive.as_secs()).unwrap_or(u16::MAX);
        peer.put_u16(PEER_KEEPALIVE, seconds);
        peer.put_u32(PEER_FLAGS, REPLACE_ALLOWED);
        peer.nest(PEER_ALLOWED, |all| {
            for prefix in &self.allowed {
                all.nest(0, |one| {
                    one.put_u16(ALLOWED_FAMILY, prefix.family().into());
                    one.put(ALLOWED_ADDRESS, &octets(prefix.address));
                    one.put_u8(ALLOWED_LEN, prefix.len);
                });
            }
        });
    }
}

/// The state of an interface. From [`Interface::wireguard`].
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct WireGuardInfo {
    /// The public key of its private key, if it has one.
    pub public_key: Option<WireGuardKey>,
    /// UDP port.
    pub listen_port: u16,
    /// Its peers.
    pub peers: Vec<WireGuardPeerInfo>,
}

/// The state of a peer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WireGuardPeerInfo {
    /// Its public key.
    pub public_key: WireGuardKey,
    /// The address from which it was last heard, or the configured one.
    pub endpoint: Option<SocketAddr>,
    /// The time of the last handshake, by the kernel's wall clock.
    pub last_handshake: Option<SystemTime>,
    /// Bytes received from it.
    pub rx_bytes: u64,
    /// Bytes sent to it.
    pub tx_bytes: u64,
    /// The addresses that are behind it.
    pub allowed_ips: Vec<Prefix>,
}

/// include/uapi/linux/wireguard.h.
const GET_DEVICE: u8 = 0;
const SET_DEVICE: u8 = 1;
const DEVICE_INDEX: u16 = 1;
const DEVICE_PRIVATE_KEY: u16 = 3;
const DEVICE_PUBLIC_KEY: u16 = 4;
const DEVICE_FLAGS: u16 = 5;
const DEVICE_LISTEN_PORT: u16 = 6;
const DEVICE_MARK: u16 = 7;
const DEVICE_PEERS: u16 = 8;
const REPLACE_PEERS: u32 = 1;
const PEER_PUBLIC_KEY: u16 = 1;
const PEER_PRESHARED_KEY: u16 = 2;
const PEER_FLAGS: u16 = 3;
const PEER_ENDPOINT: u16 = 4;
const PEER_KEEPALIVE: u16 = 5;
const PEER_LAST_HANDSHAKE: u16 = 6;
const PEER_RX_BYTES: u16 = 7;
const PEER_TX_BYTES: u16 = 8;
const PEER_ALLOWED: u16 = 9;
const REPLACE_ALLOWED: u32 = 2;
const ALLOWED_FAMILY: u16 = 1;
const ALLOWED_ADDRESS: u16 = 2;
const ALLOWED_LEN: u16 = 3;

impl Interface {
    /// Sets the whole configuration; other peers are removed. EOPNOTSUPP if this is not a
    /// WireGuard interface.
    pub fn set_wireguard(&self, config: &WireGuard) -> Result<()> {
        let set = || {
            let (generic, family) = self.wireguard_socket()?;
            let mut body = generic_body(SET_DEVICE);
            body.put_u32(DEVICE_INDEX, self.index())
                .put_u32(DEVICE_FLAGS, REPLACE_PEERS)
                .put(DEVICE_PRIVATE_KEY, config.private_key.as_bytes())
                .put_u16(DEVICE_LISTEN_PORT, config.listen_port)
                .put_u32(DEVICE_MARK, config.mark);
            generic.request(family, 0, &body)?;
            // One by one: all may be more than a message holds.
            for peer in &config.peers {
                let mut body = generic_body(SET_DEVICE);
                body.put_u32(DEVICE_INDEX, self.index());
                body.nest(DEVICE_PEERS, |peers| {
                    peers.nest(0, |one| peer.put(one));
                });
                generic.request(family, 0, &body)?;
            }
            Ok(())
        };
        set().map_err(|e: Error| e.with_operation("set wireguard"))
    }

    /// The state of a WireGuard interface.
    pub fn wireguard(&self) -> Result<WireGuardInfo> {
        let get = || {
            let (generic, family) = self.wireguard_socket()?;
            let mut body = generic_body(GET_DEVICE);
            body.put_u32(DEVICE_INDEX, self.index());
            generic.dump(family, &body)
        };
        let messages = get().map_err(|e: Error| e.with_operation("wireguard"))?;
        let mut info = WireGuardInfo::default();
        for message in messages {
            info.add(Attributes::behind(4, &message.payload));
        }
        Ok(info)
    }

    /// A socket in the interface's namespace, and the number of the family.
    fn wireguard_socket(&self) -> Result<(Netlink, u16)> {
        let namespace = self.network().namespace();
        let kernel = namespace.kernel();
        let generic = namespace.run(|| Netlink::new(&kernel, libc::NETLINK_GENERIC))??;
        let family = generic.family("wireguard")?;
        Ok((generic, family))
    }
}

impl WireGuardInfo {
    /// Adds one part of a dump. A peer with many addresses comes in several parts; the
    /// later ones have only addresses.
    fn add(&mut self, attributes: Attributes<'_>) {
        for attribute in attributes {
            match attribute.kind {
                DEVICE_PUBLIC_KEY => self.public_key = key(&attribute),
                DEVICE_LISTEN_PORT => self.listen_port = attribute.number() as u16,
                DEVICE_PEERS => {
                    for peer in attribute.nested() {
                        self.add_peer(peer.nested());
                    }
                }
                _ => {}
            }
        }
    }

    fn add_peer(&mut self, attributes: Attributes<'_>) {
        let find = |kind| attributes.clone().find(kind);
        let Some(public_key) = find(PEER_PUBLIC_KEY).as_ref().and_then(key) else {
            return;
        };
        let allowed_ips = find(PEER_ALLOWED).map(|all| all.nested());
        let allowed_ips = allowed_ips.into_iter().flatten().filter_map(allowed);
        if let Some(last) = self.peers.last_mut()
            && last.public_key == public_key
        {
            last.allowed_ips.extend(allowed_ips);
            return;
        }
        self.peers.push(WireGuardPeerInfo {
            endpoint: find(PEER_ENDPOINT).and_then(|address| endpoint(address.value)),
            last_handshake: find(PEER_LAST_HANDSHAKE).and_then(|time| timespec(time.value)),
            rx_bytes: find(PEER_RX_BYTES).map_or(0, |bytes| bytes.number()),
            tx_bytes: find(PEER_TX_BYTES).map_or(0, |bytes| bytes.number()),
            allowed_ips: allowed_ips.collect(),
            public_key,
        });
    }
}

fn key(attribute: &Attribute<'_>) -> Option<WireGuardKey> {
    Some(WireGuardKey::new(attribute.value.try_into().ok()?))
}

fn allowed(attribute: Attribute<'_>) -> Option<Prefix> {
    let inner = attribute.nested();
    Some(Prefix {
        address: address(inner.clone().find(ALLOWED_ADDRESS)?.value)?,
        len: inner.find(ALLOWED_LEN)?.number() as u8,
    })
}

fn endpoint(bytes: &[u8]) -> Option<SocketAddr> {
    SocketAddress::from_bytes(bytes).as_ip()
}

/// `struct __kernel_timespec`; zero: never.
fn timespec(bytes: &[u8]) -> Option<SystemTime> {
    let word = |at: usize| {
        let word = bytes.get(at..at + 8)?;
        Some(u64::from_ne_bytes(word.try_into().ok()?))
    };
    let since = Duration::from_secs(word(0)?) + Duration::from_nanos(word(8)?);
    (!since.is_zero()).then(|| SystemTime::UNIX_EPOCH + since)
}

/// `struct genlmsghdr`: command, version.
fn generic_body(command: u8) -> Body {
    Body::new(&[command, 1, 0, 0])
}

impl Netlink {
    /// The number of a family of generic netlink, by its name: "wireguard", "ethtool",
    /// "nl80211". ENOENT: there is no such family.
    pub fn family(&self, name: &str) -> Result<u16> {
        /// `GENL_ID_CTRL`, `CTRL_CMD_GETFAMILY` and the attributes,
        /// include/uapi/linux/genetlink.h.
        const CONTROL: u16 = 16;
        const GET_FAMILY: u8 = 3;
        const FAMILY_ID: u16 = 1;
        const FAMILY_NAME: u16 = 2;
        let mut body = generic_body(GET_FAMILY);
        body.put_str(FAMILY_NAME, name);
        let failed = |e: Error| e.with_operation("netlink family").with_path(name);
        let answers = self.request(CONTROL, 0, &body).map_err(failed)?;
        let id = answers
            .iter()
            .find_map(|answer| Attributes::behind(4, &answer.payload).find(FAMILY_ID));
        id.map(|id| id.number() as u16)
            .ok_or_else(|| Error::at("netlink family", name, Errno::NOENT))
    }
}
