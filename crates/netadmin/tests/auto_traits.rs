//! Which public types are `Send`, `Sync` and `Unpin`: all of them, a line each. A
//! type that ceases to be is a change that breaks programs.

use drupe_testing::assert_auto_traits;

assert_auto_traits! {
    drupe_netadmin::Address: Send, Sync, Unpin;
    drupe_netadmin::BondMode: Send, Sync, Unpin;
    drupe_netadmin::Config: Send, Sync, Unpin;
    drupe_netadmin::FilterHook: Send, Sync, Unpin;
    drupe_netadmin::FilterRule: Send, Sync, Unpin;
    drupe_netadmin::HtbClass: Send, Sync, Unpin;
    drupe_netadmin::Interface: Send, Sync, Unpin;
    drupe_netadmin::InterfaceInfo: Send, Sync, Unpin;
    drupe_netadmin::Lease: Send, Sync, Unpin;
    drupe_netadmin::Neighbour: Send, Sync, Unpin;
    drupe_netadmin::Netem: Send, Sync, Unpin;
    drupe_netadmin::Network: Send, Sync, Unpin;
    drupe_netadmin::NewLink<'static>: Send, Sync, Unpin;
    drupe_netadmin::Prefix: Send, Sync, Unpin;
    drupe_netadmin::Qdisc: Send, Sync, Unpin;
    drupe_netadmin::Route: Send, Sync, Unpin;
    drupe_netadmin::RouteKind: Send, Sync, Unpin;
    drupe_netadmin::Rule: Send, Sync, Unpin;
    drupe_netadmin::Tun: Send, Sync, Unpin;
    drupe_netadmin::TunMode: Send, Sync, Unpin;
    drupe_netadmin::WireGuard: Send, Sync, Unpin;
    drupe_netadmin::WireGuardInfo: Send, Sync, Unpin;
    drupe_netadmin::WireGuardKey: Send, Sync, Unpin;
    drupe_netadmin::WireGuardPeer: Send, Sync, Unpin;
    drupe_netadmin::WireGuardPeerInfo: Send, Sync, Unpin;
    drupe_netadmin::netlink::Attribute<'static>: Send, Sync, Unpin;
    drupe_netadmin::netlink::Attributes<'static>: Send, Sync, Unpin;
    drupe_netadmin::netlink::Body: Send, Sync, Unpin;
    drupe_netadmin::netlink::Message: Send, Sync, Unpin;
    drupe_netadmin::netlink::Netlink: Send, Sync, Unpin;
}
