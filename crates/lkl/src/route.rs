//! Routes, and rules that choose a table of routes.

use std::ffi::{c_int, c_uint, c_void};

use crate::address::bytes;
use crate::border::{Errno, Result};
use crate::netlink::Message;

/// Length of `struct rtmsg` and of `struct fib_rule_hdr`.
const ROUTE: usize = 12;

/// `FRA_SRC`, `FRA_TABLE`, `FR_ACT_TO_TBL` (`include/uapi/linux/fib_rules.h`).
const RULE_SOURCE: u16 = 2;
const RULE_TABLE: u16 = 15;
const TO_TABLE: u8 = 1;

/// `struct rtmsg`: that of rules has the same members here.
fn body(address: &[u8], destination: u8, source: u8) -> [u8; ROUTE] {
    let mut body = [0; ROUTE];
    body[0] = if address.len() == 4 {
        libc::AF_INET
    } else {
        libc::AF_INET6
    } as u8;
    body[1] = destination;
    body[2] = source;
    body
}

/// The table of an interface: one for each family.
fn table(index: c_int, address: &[u8]) -> u32 {
    index.unsigned_abs() * 2 + u32::from(address.len() != 4)
}

fn route(body: [u8; ROUTE], table: u32, scope: u8) -> Message {
    let mut body = body;
    body[5] = libc::RTPROT_BOOT;
    body[6] = scope;
    body[7] = libc::RTN_UNICAST;
    let flags = libc::NLM_F_CREATE;
    Message::new(libc::RTM_NEWROUTE, flags, &body).attribute(libc::RTA_TABLE, &table.to_ne_bytes())
}

/// A default route.
pub(crate) fn add_gateway(gateway: &[u8]) -> Result<c_int> {
    let table = libc::RT_TABLE_MAIN.into();
    route(body(gateway, 0, 0), table, libc::RT_SCOPE_UNIVERSE)
        .attribute(libc::RTA_GATEWAY, gateway)
        .talk()?;
    Ok(0)
}

/// The default route of the interface's table.
fn add_own_gateway(index: c_int, gateway: &[u8]) -> Result<c_int> {
    route(
        body(gateway, 0, 0),
        table(index, gateway),
        libc::RT_SCOPE_UNIVERSE,
    )
    .attribute(libc::RTA_GATEWAY, gateway)
    .talk()?;
    Ok(0)
}

/// The route to the network of an address, in the interface's table.
fn add_network(index: c_int, address: &[u8], prefix: u32) -> Result<c_int> {
    let prefix = u8::try_from(prefix).ok();
    let prefix = prefix.filter(|&prefix| usize::from(prefix) <= address.len() * 8);
    let prefix = prefix.ok_or(Errno::of(libc::EINVAL))?;
    let network: Vec<u8> = address
        .iter()
        .zip(0..)
        .map(|(byte, at)| {
            let bits = u32::from(prefix.saturating_sub(at * 8)).min(8);
            byte & !(0xff_u32 >> bits) as u8
        })
        .collect();
    route(
        body(address, prefix, 0),
        table(index, address),
        libc::RT_SCOPE_LINK,
    )
    .attribute(libc::RTA_DST, &network)
    .attribute(libc::RTA_OIF, &index.to_ne_bytes())
    .talk()?;
    Ok(0)
}

/// Packets from an address go by the interface's table.
fn add_rule(index: c_int, source: &[u8]) -> Result<c_int> {
    let mut body = body(source, 0, (source.len() * 8) as u8);
    body[7] = TO_TABLE;
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    Message::new(libc::RTM_NEWRULE, flags, &body)
        .attribute(RULE_SOURCE, source)
        .attribute(RULE_TABLE, &table(index, source).to_ne_bytes())
        .talk()?;
    Ok(0)
}

/// Routes of packets from an address of an interface's.
pub(crate) fn set_own(index: c_int, address: &[u8], prefix: u32, gateway: &[u8]) -> Result<c_int> {
    add_rule(index, address)?;
    add_network(index, address, prefix)?;
    add_own_gateway(index, gateway)
}

export! {
    fn lkl_set_ipv4_gateway(addr: c_uint) -> c_int {
        add_gateway(&addr.to_ne_bytes())
    }

    fn lkl_set_ipv6_gateway(addr: *const c_void) -> c_int {
        // SAFETY: an address of the caller's.
        add_gateway(unsafe { bytes(libc::AF_INET6, addr) }?)
    }

    fn lkl_add_gateway(af: c_int, gwaddr: *const c_void) -> c_int {
        // SAFETY: an address of the caller's.
        add_gateway(unsafe { bytes(af, gwaddr) }?)
    }

    fn lkl_if_set_ipv4_gateway(
        ifindex: c_int,
        addr: c_uint,
        netmask_len: c_uint,
        gw_addr: c_uint,
    ) -> c_int {
        set_own(ifindex, &addr.to_ne_bytes(), netmask_len, &gw_addr.to_ne_bytes())
    }

    fn lkl_if_set_ipv6_gateway(
        ifindex: c_int,
        addr: *const c_void,
        netmask_len: c_uint,
        gw_addr: *const c_void,
    ) -> c_int {
        // SAFETY: addresses of the caller's.
        let [address, gateway] = unsafe {
            [bytes(libc::AF_INET6, addr)?, bytes(libc::AF_INET6, gw_addr)?]
        };
        set_own(ifindex, address, netmask_len, gateway)
    }

    fn lkl_if_add_rule_from_saddr(ifindex: c_int, af: c_int, saddr: *const c_void) -> c_int {
        // SAFETY: an address of the caller's.
        add_rule(ifindex, unsafe { bytes(af, saddr) }?)
    }

    fn lkl_if_add_linklocal(
        ifindex: c_int,
        af: c_int,
        addr: *const c_void,
        netprefix_len: c_int,
    ) -> c_int {
        let prefix = u32::try_from(netprefix_len).map_err(|_| Errno::of(libc::EINVAL))?;
        // SAFETY: an address of the caller's.
        add_network(ifindex, unsafe { bytes(af, addr) }?, prefix)
    }

    fn lkl_if_add_gateway(ifindex: c_int, af: c_int, gwaddr: *const c_void) -> c_int {
        // SAFETY: an address of the caller's.
        add_own_gateway(ifindex, unsafe { bytes(af, gwaddr) }?)
    }
}
