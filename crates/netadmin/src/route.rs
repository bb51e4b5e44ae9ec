//! [`Route`]: an entry of a routing table.

use std::net::IpAddr;

use drupe::{Errno, Error, Result};

use crate::netlink::{Attributes, Body, CREATE, EXCLUSIVE, REPLACE};
use crate::prefix::{address_of, family, octets};
use crate::{Interface, Network, Prefix};

/// What a route does with packets (`RTN_*`, rtnetlink(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RouteKind {
    /// Sends them to a gateway or through an interface.
    #[default]
    Unicast,
    /// Delivers them to the kernel itself.
    Local,
    /// Sends them to all hosts of a network.
    Broadcast,
    /// Sends them to a multicast group.
    Multicast,
    /// Drops them.
    Blackhole,
    /// Rejects them with ICMP "unreachable".
    Unreachable,
    /// Rejects them with ICMP "prohibited".
    Prohibit,
    /// Another kind, by its number.
    Other(u8),
}

/// A route of a table, as ip-route(8) has it.
///
/// ```no_run
/// # use drupe_netadmin::{Interface, Network, Route};
/// # fn f(network: &Network, eth0: &Interface) -> drupe::Result<()> {
/// network.add_route(&Route::default_via([10, 0, 0, 1]))?;
/// network.add_route(&Route::to("10.9.0.0/16".parse()?).via([10, 0, 0, 2]).metric(100))?;
/// network.add_route(&Route::to("fd00::/8".parse()?).device(eth0).table(7))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct Route {
    /// The destinations of packets that take the route.
    pub destination: Prefix,
    /// The gateway to which they are sent.
    pub gateway: Option<IpAddr>,
    /// Index of the interface for sending them.
    pub interface: Option<u32>,
    /// The table; 254 is the main one.
    pub table: u32,
    /// The metric: of several routes to a destination, the lowest wins.
    pub metric: Option<u32>,
    /// The source address of the kernel's own packets.
    pub source: Option<IpAddr>,
    /// What the route does with the packets.
    pub kind: RouteKind,
    /// Largest packet in bytes, if smaller than the interface's.
    pub mtu: Option<u32>,
    /// Congestion control algorithm of TCP connections over this route.
    pub congestion: Option<String>,
}

/// `RT_TABLE_MAIN`.
const MAIN: u32 = 254;
/// `RTAX_MTU`, `RTAX_CC_ALGO`, include/uapi/linux/rtnetlink.h.
const METRIC_MTU: u16 = 2;
const METRIC_CONGESTION: u16 = 16;

impl Route {
    /// A route of the main table, still without gateway and interface.
    pub fn to(destination: Prefix) -> Route {
        Route {
            destination,
            gateway: None,
            interface: None,
            table: MAIN,
            metric: None,
            source: None,
            kind: RouteKind::Unicast,
            mtu: None,
            congestion: None,
        }
    }

    /// A default route through this gateway.
    pub fn default_via(gateway: impl Into<IpAddr>) -> Route {
        let gateway = gateway.into();
        let address = match gateway {
            IpAddr::V4(_) => IpAddr::from([0; 4]),
            IpAddr::V6(_) => IpAddr::from([0; 16]),
        };
        Route::to(Prefix { address, len: 0 }).via(gateway)
    }

    /// Sets the gateway, which must be of the same address family.
    pub fn via(mut self, gateway: impl Into<IpAddr>) -> Route {
        self.gateway = Some(gateway.into());
        self
    }

    /// Sets the interface.
    pub fn device(mut self, interface: &Interface) -> Route {
        self.interface = Some(interface.index());
        self
    }

    /// Sets the table; default: 254, the main one.
    pub fn table(mut self, table: u32) -> Route {
        self.table = table;
        self
    }

    /// Sets the metric: of several routes to a destination, the lowest wins.
    pub fn metric(mut self, metric: u32) -> Route {
        self.metric = Some(metric);
        self
    }

    /// Sets the source address of the kernel's own packets.
    pub fn source(mut self, source: impl Into<IpAddr>) -> Route {
        self.source = Some(source.into());
        self
    }

    /// Sets what the route does with packets.
    pub fn kind(mut self, kind: RouteKind) -> Route {
        self.kind = kind;
        self
    }

    /// Sets the largest packet in bytes.
    pub fn mtu(mut self, bytes: u32) -> Route {
        self.mtu = Some(bytes);
        self
    }

    /// Sets the congestion control algorithm of TCP connections over this route.
    pub fn congestion(mut self, name: &str) -> Route {
        self.congestion = Some(name.to_owned());
        self
    }

    /// The body of a request of type `request`.
    fn body(&self, request: u16) -> Body {
        let (protocol, scope) = match request {
            libc::RTM_NEWROUTE => (
                libc::RTPROT_STATIC,
                match (self.kind, self.gateway) {
                    (RouteKind::Local, _) => libc::RT_SCOPE_HOST,
                    (RouteKind::Unicast, None) => libc::RT_SCOPE_LINK,
                    _ => libc::RT_SCOPE_UNIVERSE,
                },
            ),
            libc::RTM_DELROUTE => (libc::RTPROT_UNSPEC, libc::RT_SCOPE_NOWHERE),
            _ => (libc::RTPROT_UNSPEC, libc::RT_SCOPE_UNIVERSE),
        };
        let kind = match request {
            libc::RTM_GETROUTE => libc::RTN_UNSPEC,
            _ => self.kind.number(),
        };
        // struct rtmsg: family, lengths, service, table, protocol, scope, type,
        // flags.
        let Prefix { address, len } = self.destination;
        let small = u8::try_from(self.table).unwrap_or(0);
        let header = [
            family(address),
            len,
            0,
            0,
            small,
            protocol,
            scope,
            kind,
            0,
            0,
            0,
            0,
        ];
        let mut body = Body::new(&header);
        body.put(libc::RTA_DST, &octets(address));
        if request == libc::RTM_GETROUTE {
            return body;
        }
        body.put_u32(libc::RTA_TABLE, self.table);
        if let Some(gateway) = self.gateway {
            body.put(libc::RTA_GATEWAY, &octets(gateway));
        }
        if let Some(interface) = self.interface {
            body.put_u32(libc::RTA_OIF, interface);
        }
        if let Some(metric) = self.metric {
            body.put_u32(libc::RTA_PRIORITY, metric);
        }
        if let Some(source) = self.source {
            body.put(libc::RTA_PREFSRC, &octets(source));
        }
        if self.mtu.is_some() || self.congestion.is_some() {
            body.nest(libc::RTA_METRICS, |metrics| {
                if let Some(mtu) = self.mtu {
                    metrics.put_u32(METRIC_MTU, mtu);
                }
                if let Some(congestion) = &self.congestion {
                    metrics.put_str(METRIC_CONGESTION, congestion);
                }
            });
        }
        body
    }

    /// Parses a message with a `struct rtmsg`; `None` if it is not an IP route.
    fn parse(payload: &[u8]) -> Option<Route> {
        let header: &[u8; 12] = payload.first_chunk()?;
        let attributes = Attributes::behind(12, payload);
        let find = |kind| attributes.clone().find(kind);
        let unspecified = match i32::from(header[0]) {
            libc::AF_INET => IpAddr::from([0; 4]),
            libc::AF_INET6 => IpAddr::from([0; 16]),
            _ => return None,
        };
        let metrics = find(libc::RTA_METRICS).map(|metrics| metrics.nested());
        let metric = |kind| metrics.clone().and_then(|metrics| metrics.find(kind));
        Some(Route {
            destination: Prefix {
                address: address_of(&attributes, libc::RTA_DST).unwrap_or(unspecified),
                len: header[1],
            },
            gateway: address_of(&attributes, libc::RTA_GATEWAY),
            interface: find(libc::RTA_OIF).map(|index| index.u32()),
            table: find(libc::RTA_TABLE).map_or(header[4].into(), |table| table.u32()),
            metric: find(libc::RTA_PRIORITY).map(|metric| metric.u32()),
            source: address_of(&attributes, libc::RTA_PREFSRC),
            kind: RouteKind::of(header[7]),
            mtu: metric(METRIC_MTU).map(|mtu| mtu.u32()),
            congestion: metric(METRIC_CONGESTION).map(|name| name.text()),
        })
    }
}

impl RouteKind {
    fn number(self) -> u8 {
        match self {
            RouteKind::Unicast => libc::RTN_UNICAST,
            RouteKind::Local => libc::RTN_LOCAL,
            RouteKind::Broadcast => libc::RTN_BROADCAST,
            RouteKind::Multicast => libc::RTN_MULTICAST,
            RouteKind::Blackhole => libc::RTN_BLACKHOLE,
            RouteKind::Unreachable => libc::RTN_UNREACHABLE,
            RouteKind::Prohibit => libc::RTN_PROHIBIT,
            RouteKind::Other(number) => number,
        }
    }

    fn of(number: u8) -> RouteKind {
        match number {
            libc::RTN_UNICAST => RouteKind::Unicast,
            libc::RTN_LOCAL => RouteKind::Local,
            libc::RTN_BROADCAST => RouteKind::Broadcast,
            libc::RTN_MULTICAST => RouteKind::Multicast,
            libc::RTN_BLACKHOLE => RouteKind::Blackhole,
            libc::RTN_UNREACHABLE => RouteKind::Unreachable,
            libc::RTN_PROHIBIT => RouteKind::Prohibit,
            number => RouteKind::Other(number),
        }
    }
}

impl Network {
    /// Adds a route; EEXIST if it exists.
    pub fn add_route(&self, route: &Route) -> Result<()> {
        self.route("add route", libc::RTM_NEWROUTE, CREATE | EXCLUSIVE, route)
    }

    /// Adds a route, or replaces the one with the same destination, table and metric.
    pub fn replace_route(&self, route: &Route) -> Result<()> {
        self.route("replace route", libc::RTM_NEWROUTE, CREATE | REPLACE, route)
    }

    /// Removes a route; ESRCH if it does not exist.
    pub fn remove_route(&self, route: &Route) -> Result<()> {
        self.route("remove route", libc::RTM_DELROUTE, 0, route)
    }

    fn route(&self, operation: &'static str, kind: u16, flags: u16, route: &Route) -> Result<()> {
        self.change(operation, kind, flags, &route.body(kind))
            .map_err(|e| e.with_path(route.destination.to_string()))
    }

    /// The routes of all tables, including those that the kernel has made.
    pub fn routes(&self) -> Result<Vec<Route>> {
        let all = self.all("routes", libc::RTM_GETROUTE, &Body::new(&[0; 12]))?;
        Ok(all
            .iter()
            .filter_map(|message| Route::parse(&message.payload))
            .collect())
    }

    /// The route for a packet to this address; ENETUNREACH or the like if there is none.
    pub fn route_to(&self, address: impl Into<IpAddr>) -> Result<Route> {
        let address = address.into();
        let lookup = Route::to(address.into());
        let body = lookup.body(libc::RTM_GETROUTE);
        let found = self.netlink.request(libc::RTM_GETROUTE, 0, &body);
        let failed = |e: Error| e.with_operation("route to").with_path(address.to_string());
        found
            .map_err(failed)?
            .iter()
            .find_map(|message| Route::parse(&message.payload))
            .ok_or_else(|| Error::at("route to", address.to_string(), Errno::NETUNREACH))
    }
}
