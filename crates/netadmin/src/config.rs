//! [`Config`]: what an interface needs to be of use, in one step.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use drupe::{Errno, Result};

use crate::dhcp::{self, Offer};
use crate::{Interface, Network, Prefix, Route};

/// How an interface is to be configured. For [`Network::configure`].
///
/// ```
/// # use drupe_netadmin::Config;
/// let by_hand = Config::new().address("10.0.0.2/24").gateway([10, 0, 0, 1]);
/// let by_server = Config::dhcp();
/// ```
#[derive(Debug, Clone)]
#[must_use = "configure() applies it"]
pub struct Config {
    addresses: Vec<String>,
    gateways: Vec<IpAddr>,
    mtu: Option<u32>,
    dhcp: bool,
    timeout: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            addresses: Vec::new(),
            gateways: Vec::new(),
            mtu: None,
            dhcp: false,
            timeout: Duration::from_secs(30),
        }
    }
}

impl Config {
    /// Nothing but up.
    ///
    /// Linux then configures IPv6 by itself, where a router advertises a
    /// network (SLAAC): an address and a route appear some time after
    /// [`Network::configure`]. The sysctl `net.ipv6.conf.IF.accept_ra` turns
    /// that off.
    pub fn new() -> Config {
        Config::default()
    }

    /// As a DHCP server of IPv4 says.
    pub fn dhcp() -> Config {
        Config {
            dhcp: true,
            ..Config::default()
        }
    }

    /// One more address, with the length of its network: "10.0.0.2/24".
    pub fn address(mut self, address: &str) -> Config {
        self.addresses.push(address.to_owned());
        self
    }

    /// What has no other route goes there.
    pub fn gateway(mut self, gateway: impl Into<IpAddr>) -> Config {
        self.gateways.push(gateway.into());
        self
    }

    /// Largest packet in bytes.
    pub fn mtu(mut self, bytes: u32) -> Config {
        self.mtu = Some(bytes);
        self
    }

    /// How long to wait for a DHCP server, by the host's clock; 30 s at first.
    pub fn timeout(mut self, timeout: Duration) -> Config {
        self.timeout = timeout;
        self
    }
}

/// What a DHCP server has given. From [`Network::configure`].
///
/// The kernel takes the address away when the lease is over. Nobody renews it:
/// that is another [`Network::configure`], after half of the time or so, which
/// asks for the same address and prolongs it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The address, and its network.
    pub address: Prefix,
    /// Where the rest of the world is.
    pub routers: Vec<Ipv4Addr>,
    /// Who knows names.
    pub dns: Vec<Ipv4Addr>,
    /// What names end with.
    pub domain: Option<String>,
    /// The server.
    pub server: Ipv4Addr,
    /// How long it lasts; `None`: for ever.
    pub lifetime: Option<Duration>,
    /// When it was given.
    pub since: Instant,
}

impl Network {
    /// Sets an interface up, gives it addresses and routes. What it has already
    /// stays, and is no error. The lease is returned, if there is one.
    ///
    /// Of DHCP: [`Cause::TimedOut`](drupe::Cause::TimedOut) when no server has
    /// answered in time.
    pub fn configure(&self, interface: &str, config: &Config) -> Result<Option<Lease>> {
        let interface = self.link(interface)?;
        if let Some(mtu) = config.mtu {
            interface.set_mtu(mtu)?;
        }
        interface.set_up()?;
        for address in &config.addresses {
            match interface.add_address(address) {
                Err(error) if error.errno() == Some(Errno::EXIST) => {}
                result => result?,
            }
        }
        for &gateway in &config.gateways {
            self.replace_route(&Route::default_via(gateway).device(&interface))?;
        }
        match config.dhcp {
            true => self.lease(&interface, config).map(Some),
            false => Ok(None),
        }
    }

    fn lease(&self, interface: &Interface, config: &Config) -> Result<Lease> {
        let offer = dhcp::ask(interface, config.timeout)?;
        if let Some(mtu) = offer.mtu
            && config.mtu.is_none()
        {
            interface.set_mtu(mtu.into())?;
        }
        let address = offer.prefix();
        interface.put_address(address, offer.seconds)?;
        for route in offer.routes() {
            // Beside the route to the network itself, which may be the same.
            self.replace_route(&route.device(interface).source(address.address))?;
        }
        Ok(offer.into())
    }
}

impl From<Offer> for Lease {
    fn from(offer: Offer) -> Lease {
        Lease {
            address: offer.prefix(),
            lifetime: offer.lifetime(),
            routers: offer.routers,
            dns: offer.dns,
            domain: offer.domain,
            server: offer.server,
            since: Instant::now(),
        }
    }
}
