//! System calls of the host for tap devices and packet sockets, which no safe crate has.
//! All unsafe code of this crate is here.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{c_int, c_uint, c_void, ifreq};

/// The result of a system call: a number, or errno.
fn check(result: c_int) -> io::Result<c_int> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

/// A request about the interface `name`.
///
/// # Errors
///
/// `InvalidInput`: no interface can have that name.
fn request(name: &str) -> io::Result<ifreq> {
    // SAFETY: integers, arrays and unions of such: all zeroes are fine.
    let mut request: ifreq = unsafe { zeroed() };
    let bytes = name.as_bytes();
    // Its end is a zero.
    if bytes.len() >= request.ifr_name.len() || bytes.contains(&0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    Ok(request)
}

fn name_of(request: &ifreq) -> String {
    let bytes = request.ifr_name.iter().map(|byte| *byte as u8);
    let bytes: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An ioctl that reads or writes an `ifreq`, or a part of one.
fn about_interface(fd: BorrowedFd<'_>, call: libc::Ioctl, request: &mut ifreq) -> io::Result<()> {
    let fd = fd.as_raw_fd();
    // SAFETY: the calls of this module that get here, `TUNSETIFF`, `TUNGETIFF`
    // and `SIOCGIF*`, touch nothing but the ifreq.
    check(unsafe { libc::ioctl(fd, call, std::ptr::from_mut(request)) })?;
    Ok(())
}

/// Makes an open `/dev/net/tun` the device `name` (`TUNSETIFF`); an empty one,
/// or a pattern such as `tap%d`, has the kernel choose. Returns its name.
pub(crate) fn set_tun(fd: impl AsFd, name: &str, flags: c_int) -> io::Result<String> {
    let mut request = request(name)?;
    request.ifr_ifru.ifru_flags = flags as _;
    about_interface(fd.as_fd(), libc::TUNSETIFF, &mut request)?;
    Ok(name_of(&request))
}

/// Name and `IFF_` flags of a tun, tap or macvtap device (`TUNGETIFF`).
pub(crate) fn get_tun(fd: impl AsFd) -> io::Result<(String, c_int)> {
    let mut request = request("")?;
    about_interface(fd.as_fd(), libc::TUNGETIFF, &mut request)?;
    // SAFETY: the kernel has written flags.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Ok((name_of(&request), c_int::from(flags as u16)))
}

/// Length of the header before each frame in bytes (`TUNSETVNETHDRSZ`).
pub(crate) fn set_header_len(fd: impl AsFd, len: usize) -> io::Result<()> {
    let (fd, len) = (fd.as_fd().as_raw_fd(), len as c_int);
    // SAFETY: it reads an int.
    check(unsafe { libc::ioctl(fd, libc::TUNSETVNETHDRSZ, &raw const len) })?;
    Ok(())
}

/// Sets what may be left undone in frames that are read: `TUN_F_` flags
/// (`TUNSETOFFLOAD`).
pub(crate) fn set_offload(fd: impl AsFd, flags: c_uint) -> io::Result<()> {
    let (fd, flags) = (fd.as_fd().as_raw_fd(), libc::c_ulong::from(flags));
    // SAFETY: the argument is a number.
    check(unsafe { libc::ioctl(fd, libc::TUNSETOFFLOAD, flags) })?;
    Ok(())
}

/// The network namespace of a tun or tap device (`TUNGETDEVNETNS`).
pub(crate) fn namespace_of_tun(fd: impl AsFd) -> io::Result<OwnedFd> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: it has no argument.
    let namespace = check(unsafe { libc::ioctl(fd, libc::TUNGETDEVNETNS) })?;
    // SAFETY: new, and ours.
    Ok(unsafe { OwnedFd::from_raw_fd(namespace) })
}

/// Hardware address of the device that a tap or macvtap descriptor belongs to.
pub(crate) fn mac_of_tun(fd: impl AsFd) -> io::Result<[u8; 6]> {
    let mut request = request("")?;
    about_interface(fd.as_fd(), libc::SIOCGIFHWADDR, &mut request)?;
    // SAFETY: the kernel has written an address.
    let address = unsafe { request.ifr_ifru.ifru_hwaddr.sa_data };
    Ok(std::array::from_fn(|i| address[i] as u8))
}

/// Largest payload of a frame on the interface `name`, in bytes; of this
/// process' namespace.
pub(crate) fn mtu_of(name: &str) -> io::Result<u32> {
    let socket = socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0)?;
    let mut request = request(name)?;
    about_interface(socket.as_fd(), libc::SIOCGIFMTU, &mut request)?;
    // SAFETY: the kernel has written an int.
    let mtu = unsafe { request.ifr_ifru.ifru_mtu };
    Ok(mtu.unsigned_abs())
}

fn socket(family: c_int, kind: c_int, protocol: c_int) -> io::Result<OwnedFd> {
    // SAFETY: it has no pointers.
    let socket = check(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) })?;
    // SAFETY: new, and ours.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

/// A packet socket that receives nothing yet.
pub(crate) fn packet_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK;
    // Protocol 0: nothing, until it is bound.
    socket(libc::AF_PACKET, kind, 0)
}

/// Sets an option of a packet socket; `T` is what the kernel reads.
fn set_option<T>(fd: BorrowedFd<'_>, option: c_int, value: &T) -> io::Result<()> {
    let (fd, value) = (fd.as_raw_fd(), std::ptr::from_ref(value));
    let (value, len) = (value.cast::<c_void>(), size_of::<T>() as libc::socklen_t);
    // SAFETY: it reads as many bytes as `T` has.
    check(unsafe { libc::setsockopt(fd, libc::SOL_PACKET, option, value, len) })?;
    Ok(())
}

/// Puts a [`FrameHeader`](drupe_host::link::FrameHeader) before each frame.
pub(crate) fn set_packet_header(fd: impl AsFd) -> io::Result<()> {
    set_option(fd.as_fd(), libc::PACKET_VNET_HDR, &1_i32)
}

/// Stops receiving frames that this machine sends on the interface.
pub(crate) fn ignore_outgoing(fd: impl AsFd) -> io::Result<()> {
    set_option(fd.as_fd(), libc::PACKET_IGNORE_OUTGOING, &1_i32)
}

/// Number of the interface `name`.
pub(crate) fn interface_index(name: &str) -> io::Result<c_int> {
    let socket = socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0)?;
    let mut request = request(name)?;
    about_interface(socket.as_fd(), libc::SIOCGIFINDEX, &mut request)?;
    // SAFETY: the kernel has written an int.
    Ok(unsafe { request.ifr_ifru.ifru_ifindex })
}

/// Makes the interface receive all frames, whatever their destination.
pub(crate) fn set_promiscuous(fd: impl AsFd, index: c_int) -> io::Result<()> {
    // SAFETY: integers and an array of them: all zeroes are fine.
    let mut membership: libc::packet_mreq = unsafe { zeroed() };
    membership.mr_ifindex = index;
    membership.mr_type = libc::PACKET_MR_PROMISC as _;
    set_option(fd.as_fd(), libc::PACKET_ADD_MEMBERSHIP, &membership)
}

/// Binds a packet socket to the interface.
pub(crate) fn bind_packet(fd: impl AsFd, index: c_int) -> io::Result<()> {
    // SAFETY: integers and an array of them: all zeroes are fine.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as _;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index;
    let (fd, pointer) = (fd.as_fd().as_raw_fd(), &raw const address);
    let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: it reads a sockaddr_ll, which has that length.
    check(unsafe { libc::bind(fd, pointer.cast(), len) })?;
    Ok(())
}

/// Duplicates the descriptor `number`.
pub(crate) fn duplicate(number: c_int) -> io::Result<OwnedFd> {
    // SAFETY: it has no pointers, and changes nothing of the descriptor.
    let fd = check(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: new, and ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
