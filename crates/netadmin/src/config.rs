//! [`Config`]: configures an interface in one step, by hand or by DHCP; [`Lease`].

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use drupe::{Errno, Result};

use crate::dhcp::{self, Offer};
use crate::{Interface, Network, Prefix, Route};

/// The configuration of an interface. For [`Network::configure`].
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
    /// Sets the interface up and nothing else.
    ///
    /// Linux then configures IPv6 by itself, where a router advertises a
    /// network (SLAAC): an address and a route appear some time after
    /// [`Network::configure`]. The sysctl `net.ipv6.conf.IF.accept_ra` turns
    /// that off.
    pub fn new() -> Config {
        Config::default()
    }

    /// Configures the interface by DHCP, for IPv4.
    pub fn dhcp() -> Config {
        Config {
            dhcp: true,
            ..Config::default()
        }
    }

    /// Adds an address, with the length of its network: "10.0.0.2/24".
    pub fn address(mut self, address: &str) -> Config {
        self.addresses.push(address.to_owned());
        self
    }

    /// Adds a default route to this gateway.
    pub fn gateway(mut self, gateway: impl Into<IpAddr>) -> Config {
        self.gateways.push(gateway.into());
        self
    }

    /// Sets the MTU in bytes.
    pub fn mtu(mut self, bytes: u32) -> Config {
        self.mtu = Some(bytes);
        self
    }

    /// Sets how long to wait for a DHCP server, by the host's clock. Default: 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Config {
        self.timeout = timeout;
        self
    }
}

/// A lease of a DHCP server. From [`Network::configure`].
///
/// The kernel removes the address when the lease ends. The lease is not renewed
/// automatically: to renew it, call [`Network::configure`] again, after about half of its
/// lifetime, which requests the same address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The address, with the length of its network.
    pub address: Prefix,
    /// The routers (default gateways).
    pub routers: Vec<Ipv4Addr>,
    /// The DNS servers.
    pub dns: Vec<Ipv4Addr>,
    /// The domain name.
    pub domain: Option<String>,
    /// The DHCP server.
    pub server: Ipv4Addr,
    /// The duration of the lease; `None`: for ever.
    pub lifetime: Option<Duration>,
    /// When the lease began.
    pub since: Instant,
}

impl Network {
    /// Sets an interface up, and adds addresses and routes. Those that it has already
    /// stay, and are no error. Returns the lease, if DHCP was used.
    ///
    /// With DHCP, fails with [`Cause::TimedOut`](drupe::Cause::TimedOut) when no server
    /// answers in time.
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
