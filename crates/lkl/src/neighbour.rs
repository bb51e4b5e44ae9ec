//! Neighbours, and queueing disciplines.

use std::ffi::{c_char, c_int, c_void};

use crate::address::bytes;
use crate::border::{Errno, Result, complain, utf8};
use crate::netlink::Message;

/// `TC_H_ROOT`.
const ROOT: u32 = 0xffff_ffff;

/// Sets the hardware address of a neighbour for good.
pub(crate) fn set(index: c_int, address: &[u8], mac: &[u8]) -> Result<c_int> {
    // struct ndmsg
    let mut body = [0; 12];
    body[0] = if address.len() == 4 {
        libc::AF_INET
    } else {
        libc::AF_INET6
    } as u8;
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body[8..10].copy_from_slice(&libc::NUD_PERMANENT.to_ne_bytes());
    let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
    Message::new(libc::RTM_NEWNEIGH, flags, &body)
        .attribute(libc::NDA_DST, address)
        .attribute(libc::NDA_LLADDR, mac)
        .talk()?;
    Ok(0)
}

/// Sets the queueing discipline of an interface.
fn set_discipline(index: c_int, parent: &str, kind: &str) -> Result<c_int> {
    if parent != "root" {
        return Err(Errno::of(libc::EINVAL));
    }
    // struct tcmsg
    let mut body = [0; 20];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body[12..16].copy_from_slice(&ROOT.to_ne_bytes());
    let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
    let mut name = kind.as_bytes().to_vec();
    name.push(0);
    Message::new(libc::RTM_NEWQDISC, flags, &body)
        .attribute(libc::TCA_KIND, &name)
        .talk()?;
    Ok(0)
}

/// Sets those of "root|fq;…".
pub(crate) fn set_disciplines(index: c_int, entries: &str) {
    for entry in entries.split(';').filter(|entry| !entry.trim().is_empty()) {
        let set = match entry.trim().split_once('|') {
            Some((parent, kind)) => set_discipline(index, parent, kind),
            None => Err(Errno::of(libc::EINVAL)),
        };
        if let Err(Errno(errno)) = set {
            complain(&format!("queueing discipline {entry:?}: error {errno}"));
        }
    }
}

export! {
    fn lkl_add_neighbor(ifindex: c_int, af: c_int, addr: *const c_void, mac: *const c_void) -> c_int {
        // SAFETY: an address of the caller's.
        let address = unsafe { bytes(af, addr) }?;
        if mac.is_null() {
            return Err(Errno::of(libc::EFAULT));
        }
        // SAFETY: a hardware address of the caller's: six bytes.
        let mac = unsafe { mac.cast::<[u8; 6]>().read() };
        set(ifindex, address, &mac)
    }

    fn lkl_qdisc_add(ifindex: c_int, root: *const c_char, kind: *const c_char) -> c_int {
        // SAFETY: texts of the caller's.
        let [root, kind] = unsafe { [utf8(root)?, utf8(kind)?] };
        set_discipline(ifindex, root, kind)
    }

    fn lkl_qdisc_parse_add(ifindex: c_int, entries: *const c_char) {
        // SAFETY: a text of the caller's.
        set_disciplines(ifindex, unsafe { utf8(entries) }?);
        Ok(())
    }
}
