//! [`Network`]: what arranges the interfaces, routes and rules of a namespace.

mod info;
mod interface;

pub use info::InterfaceInfo;
pub use interface::{Address, Interface};

use std::net::IpAddr;
use std::sync::Arc;

use crate::netlink::{Attributes, Body};
use crate::netlink::{CREATE, EXCLUSIVE, Message, Netlink, REPLACE};
use crate::{Neighbour, NewLink, Route, Rule};
use drupe::net::Namespace;
use drupe::{Errno, Error, Result};

/// The network of a [`Namespace`], to be looked at and changed: what ip(8),
/// tc(8), wg(8) and sysctl(8) do. Clones are handles to the same one.
///
/// Errors of the kernel's come with its own words, where it has some
/// ([`Cause::Netlink`](drupe::Cause::Netlink)).
#[derive(Debug, Clone)]
pub struct Network {
    pub(super) netlink: Arc<Netlink>,
    pub(super) namespace: Namespace,
}

/// `struct ifinfomsg`, with nothing but an index.
pub(super) fn ifinfomsg(index: u32, flags: u32, change: u32) -> Body {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&change.to_ne_bytes());
    Body::new(&header)
}

impl Network {
    /// The network of a namespace.
    pub fn of(namespace: &Namespace) -> Result<Network> {
        let kernel = namespace.kernel();
        let netlink = namespace.run(|| Netlink::new(&kernel, libc::NETLINK_ROUTE))??;
        Ok(Network {
            netlink: Arc::new(netlink),
            namespace: namespace.clone(),
        })
    }

    /// The namespace it is of.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its rtnetlink(7) socket, for requests that have no method here.
    pub fn netlink(&self) -> &Netlink {
        &self.netlink
    }

    pub(super) fn change(
        &self,
        operation: &'static str,
        kind: u16,
        flags: u16,
        body: &Body,
    ) -> Result<()> {
        let done = self.netlink.request(kind, flags, body);
        done.map(drop).map_err(|e| e.with_operation(operation))
    }

    pub(super) fn all(
        &self,
        operation: &'static str,
        kind: u16,
        body: &Body,
    ) -> Result<Vec<Message>> {
        let all = self.netlink.dump(kind, body);
        all.map_err(|e| e.with_operation(operation))
    }

    /// All interfaces, up or not.
    pub fn links(&self) -> Result<Vec<InterfaceInfo>> {
        let all = self.all("links", libc::RTM_GETLINK, &ifinfomsg(0, 0, 0))?;
        Ok(all
            .iter()
            .filter_map(|message| InterfaceInfo::parse(&message.payload))
            .collect())
    }

    /// The interface of this name; ENODEV if there is none.
    pub fn link(&self, name: &str) -> Result<Interface> {
        let mut body = ifinfomsg(0, 0, 0);
        body.put_str(libc::IFLA_IFNAME, name);
        let found = self.netlink.request(libc::RTM_GETLINK, 0, &body);
        let found = found.map_err(|e| e.with_operation("link").with_path(name))?;
        let info = found
            .iter()
            .find_map(|message| InterfaceInfo::parse(&message.payload));
        match info {
            Some(info) => Ok(Interface::new(self, info.index)),
            None => Err(Error::at("link", name, Errno::NODEV)),
        }
    }

    /// The interface of this index (`if_nametoindex(3)`). Whether there is one is
    /// seen when it is used.
    pub fn link_by_index(&self, index: u32) -> Interface {
        Interface::new(self, index)
    }

    /// Makes an interface, which is down. EEXIST when there is one of that name;
    /// EINVAL for a name of more than 15 bytes.
    pub fn create(&self, name: &str, kind: &NewLink<'_>) -> Result<Interface> {
        let mut body = ifinfomsg(0, 0, 0);
        body.put_str(libc::IFLA_IFNAME, name);
        kind.put(&mut body);
        let flags = CREATE | EXCLUSIVE;
        self.change("create link", libc::RTM_NEWLINK, flags, &body)
            .map_err(|e| e.with_path(name))?;
        self.link(name)
    }

    /// The addresses of all interfaces.
    pub fn addresses(&self) -> Result<Vec<Address>> {
        let all = self.all("addresses", libc::RTM_GETADDR, &Body::new(&[0; 8]))?;
        Ok(all
            .iter()
            .filter_map(|message| Address::parse(&message.payload))
            .collect())
    }

    /// Adds a route; EEXIST if it is there.
    pub fn add_route(&self, route: &Route) -> Result<()> {
        self.route("add route", libc::RTM_NEWROUTE, CREATE | EXCLUSIVE, route)
    }

    /// Adds a route, or changes the one to the same destination, of the same
    /// table and metric.
    pub fn replace_route(&self, route: &Route) -> Result<()> {
        self.route("replace route", libc::RTM_NEWROUTE, CREATE | REPLACE, route)
    }

    /// Removes a route; ESRCH if there is none.
    pub fn remove_route(&self, route: &Route) -> Result<()> {
        self.route("remove route", libc::RTM_DELROUTE, 0, route)
    }

    fn route(&self, operation: &'static str, kind: u16, flags: u16, route: &Route) -> Result<()> {
        self.change(operation, kind, flags, &route.body(kind))
            .map_err(|e| e.with_path(route.destination.to_string()))
    }

    /// The routes of all tables, those of the kernel's own making too.
    pub fn routes(&self) -> Result<Vec<Route>> {
        let all = self.all("routes", libc::RTM_GETROUTE, &Body::new(&[0; 12]))?;
        Ok(all
            .iter()
            .filter_map(|message| Route::parse(&message.payload))
            .collect())
    }

    /// The route that a packet to this address takes; ENETUNREACH and the like
    /// without one.
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

    /// Adds a rule that says which table is looked at; EEXIST if it is there.
    pub fn add_rule(&self, rule: &Rule) -> Result<()> {
        let flags = CREATE | EXCLUSIVE;
        self.change("add rule", libc::RTM_NEWRULE, flags, &rule.body())
    }

    /// Removes a rule; ENOENT if there is none.
    pub fn remove_rule(&self, rule: &Rule) -> Result<()> {
        self.change("remove rule", libc::RTM_DELRULE, 0, &rule.body())
    }

    /// The rules of IPv4 and IPv6.
    pub fn rules(&self) -> Result<Vec<Rule>> {
        let mut rules = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let mut header = [0; 12];
            header[0] = family as u8;
            let all = self.all("rules", libc::RTM_GETRULE, &Body::new(&header))?;
            let parsed = all
                .iter()
                .filter_map(|message| Rule::parse(&message.payload));
            rules.extend(parsed);
        }
        Ok(rules)
    }

    /// Neighbours: which hardware address an IP address has.
    pub fn neighbours(&self) -> Result<Vec<Neighbour>> {
        let all = self.all("neighbours", libc::RTM_GETNEIGH, &Body::new(&[0; 12]))?;
        Ok(all
            .iter()
            .filter_map(|message| Neighbour::parse(&message.payload))
            .collect())
    }

    /// Adds or changes a neighbour.
    pub fn set_neighbour(&self, neighbour: &Neighbour) -> Result<()> {
        let flags = CREATE | REPLACE;
        let body = neighbour.body();
        self.change("set neighbour", libc::RTM_NEWNEIGH, flags, &body)
    }

    /// Removes a neighbour; ENOENT if there is none.
    pub fn remove_neighbour(&self, neighbour: &Neighbour) -> Result<()> {
        let body = neighbour.body();
        self.change("remove neighbour", libc::RTM_DELNEIGH, 0, &body)
    }
}

/// The value of an attribute as an address.
pub(super) fn address_of(attributes: &Attributes<'_>, kind: u16) -> Option<IpAddr> {
    crate::prefix::address(attributes.clone().find(kind)?.value)
}
