//! Interfaces and their addresses.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;

use crate::border::{Errno, Result, text};
use crate::netlink::{Message, Socket, attribute};

/// Length of `struct ifaddrmsg`.
const ADDRESS: usize = 8;
/// Of `struct ifinfomsg`.
const INTERFACE: usize = 16;

/// The bytes of an address: 4 or 16 at `address`.
///
/// # Safety
/// It is NULL, or so many bytes are there.
pub(crate) unsafe fn bytes<'a>(family: c_int, address: *const c_void) -> Result<&'a [u8]> {
    let len = match family {
        libc::AF_INET => 4,
        libc::AF_INET6 => 16,
        _ => return Err(Errno::of(libc::EAFNOSUPPORT)),
    };
    match address.is_null() {
        true => Err(Errno::of(libc::EFAULT)),
        // SAFETY: the caller's.
        false => Ok(unsafe { std::slice::from_raw_parts(address.cast(), len) }),
    }
}

/// `struct ifinfomsg`.
fn interface(index: c_int, flags: c_int, change: c_int) -> [u8; INTERFACE] {
    let mut body = [0; INTERFACE];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body[8..12].copy_from_slice(&flags.to_ne_bytes());
    body[12..16].copy_from_slice(&change.to_ne_bytes());
    body
}

/// Sets an interface up or down.
pub(crate) fn set_up(index: c_int, up: bool) -> Result<c_int> {
    let flags = if up { libc::IFF_UP } else { 0 };
    let body = interface(index, flags, libc::IFF_UP);
    Message::new(libc::RTM_NEWLINK, 0, &body).talk()?;
    Ok(0)
}

/// Sets the MTU of an interface.
pub(crate) fn set_mtu(index: c_int, mtu: c_int) -> Result<()> {
    Message::new(libc::RTM_NEWLINK, 0, &interface(index, 0, 0))
        .attribute(libc::IFLA_MTU, &mtu.to_ne_bytes())
        .talk()
}

/// The number of an interface.
pub(crate) fn index(name: &CStr) -> Result<c_int> {
    let name = name.to_bytes_with_nul();
    if name.len() > libc::IFNAMSIZ {
        return Err(Errno::of(libc::ENODEV));
    }
    let socket = Socket::open(0)?;
    let message = Message::new(libc::RTM_GETLINK, 0, &interface(0, 0, 0));
    socket.send(&message.attribute(libc::IFLA_IFNAME, name))?;
    let number = |bytes: &[u8]| bytes.try_into().map_or(-libc::EPROTO, c_int::from_ne_bytes);
    let found = socket.receive(|kind, body| match kind {
        libc::RTM_NEWLINK => body.get(4..8).map(number),
        _ => body.get(..4).map(number),
    })?;
    if found < 0 {
        Err(Errno(found))
    } else {
        Ok(found)
    }
}

fn change(kind: u16, flags: c_int, index: c_int, address: &[u8], prefix: u32) -> Result<c_int> {
    let family = if address.len() == 4 {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let mut body = [0; ADDRESS];
    body[0] = family as u8;
    body[1] = u8::try_from(prefix).map_err(|_| Errno::of(libc::EINVAL))?;
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    Message::new(kind, flags, &body)
        .attribute(libc::IFA_LOCAL, address)
        .talk()?;
    Ok(0)
}

/// Adds an address to an interface.
pub(crate) fn add(index: c_int, address: &[u8], prefix: u32) -> Result<c_int> {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    change(libc::RTM_NEWADDR, flags, index, address, prefix)
}

/// Waits until the kernel knows whether another machine has an address.
pub(crate) fn wait(index: c_int, address: Option<&[u8]>) -> Result<c_int> {
    let socket = Socket::open(1 << (libc::RTNLGRP_IPV6_IFADDR - 1))?;
    let mut body = [0; ADDRESS];
    body[0] = libc::AF_INET6 as u8;
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    let flags = libc::NLM_F_DUMP;
    socket.send(&Message::new(libc::RTM_GETADDR, flags, &body))?;
    let mut there = false;
    socket.receive(|kind, body| {
        if c_int::from(kind) == libc::NLMSG_DONE {
            // It is one of those that were listed, or there is no such address.
            return (!there).then_some(-1);
        }
        let own = body.get(4..8) == Some(&index.to_ne_bytes());
        let rest = body.get(ADDRESS..)?;
        let found = attribute(rest, libc::IFA_LOCAL).or(attribute(rest, libc::IFA_ADDRESS));
        if kind != libc::RTM_NEWADDR || !own || address.is_some_and(|wanted| found != Some(wanted))
        {
            return None;
        }
        there = true;
        let flags = attribute(rest, libc::IFA_FLAGS).and_then(|flags| flags.try_into().ok());
        let flags = flags.map_or(u32::from(body[2]), u32::from_ne_bytes);
        match flags {
            flags if flags & libc::IFA_F_DADFAILED != 0 => Some(-1),
            flags if flags & libc::IFA_F_TENTATIVE != 0 => None,
            _ => Some(0),
        }
    })
}

export! {
    fn lkl_ifname_to_ifindex(name: *const c_char) -> c_int {
        // SAFETY: a text of the caller's.
        index(unsafe { text(name) }?)
    }

    fn lkl_if_up(ifindex: c_int) -> c_int {
        set_up(ifindex, true)
    }

    fn lkl_if_down(ifindex: c_int) -> c_int {
        set_up(ifindex, false)
    }

    fn lkl_if_set_mtu(ifindex: c_int, mtu: c_int) -> c_int {
        set_mtu(ifindex, mtu).map(|()| 0)
    }

    fn lkl_if_set_ipv4(ifindex: c_int, addr: c_uint, netmask_len: c_uint) -> c_int {
        add(ifindex, &addr.to_ne_bytes(), netmask_len)
    }

    fn lkl_if_set_ipv6(ifindex: c_int, addr: *const c_void, netprefix_len: c_uint) -> c_int {
        // SAFETY: an address of the caller's.
        let address = unsafe { bytes(libc::AF_INET6, addr) }?;
        add(ifindex, address, netprefix_len)?;
        wait(ifindex, Some(address))
    }

    fn lkl_if_add_ip(ifindex: c_int, af: c_int, addr: *const c_void, netprefix_len: c_uint) -> c_int {
        // SAFETY: an address of the caller's.
        add(ifindex, unsafe { bytes(af, addr) }?, netprefix_len)
    }

    fn lkl_if_del_ip(ifindex: c_int, af: c_int, addr: *const c_void, netprefix_len: c_uint) -> c_int {
        // SAFETY: an address of the caller's.
        let address = unsafe { bytes(af, addr) }?;
        change(libc::RTM_DELADDR, 0, ifindex, address, netprefix_len)
    }

    fn lkl_if_wait_ipv6_dad(ifindex: c_int, addr: *const c_void) -> c_int {
        // SAFETY: NULL, or an address of the caller's.
        let address = match ptr::eq(addr, ptr::null()) {
            true => None,
            // SAFETY: as above.
            false => Some(unsafe { bytes(libc::AF_INET6, addr) }?),
        };
        wait(ifindex, address)
    }
}
