//! [`Tap`]: a tap device of the host, or a macvtap
//! (`Documentation/networking/tuntap.rst`).

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use drupe_host::link::{Frame, FrameHeader, Link, LinkInfo, LinkWaker, Offloads};
use libc::{IFF_NO_PI, IFF_TAP, IFF_VNET_HDR};
use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::Errno;

use crate::datagrams::Datagrams;
use crate::{Error, Result, sys};

const DEVICE: &str = "/dev/net/tun";

const HINT: &str = "it takes CAP_NET_ADMIN, or a device that its owner has made: \
                    ip tuntap add NAME mode tap user USER";

/// A tap device: the kernel is like a machine at the other end of the host's cable.
/// Checksums and the segmentation of TCP, and of UDP where the host supports it, are left
/// to the receiver.
#[derive(Debug)]
pub struct Tap {
    name: String,
    info: LinkInfo,
    frames: Datagrams,
}

impl Tap {
    /// Opens the tap device `name`, or makes it; `None`: a new one, whose name the host
    /// chooses. A device that was made here is removed with the link. The host's end must
    /// be configured on the host: `ip link set NAME up`, an address.
    ///
    /// # Errors
    ///
    /// [`Error::Host`]: no permission, no `/dev/net/tun`, the device is in use or of
    /// another kind.
    pub fn open(name: Option<&str>) -> Result<Tap> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = open(DEVICE, flags, Mode::empty());
        let fd = fd.map_err(|error| Error::host(DEVICE, error).or_hint(HINT))?;
        let flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
        let asked = name.unwrap_or("");
        let name = sys::set_tun(&fd, asked, flags).map_err(|error| {
            let what = match name {
                Some(name) => format!("tap device {name:?}"),
                None => "a new tap device".into(),
            };
            Error::host(what, error).or_hint(HINT)
        })?;
        let failed = |error| Error::host(format!("tap device {name:?}"), error);
        let offloads = with_header(&fd).map_err(failed)?;
        let info = LinkInfo {
            mac: None,
            mtu: sys::mtu_of(&name).unwrap_or(1500),
            offloads,
        };
        let frames = Datagrams::new(fd, true).map_err(failed)?;
        Ok(Tap { name, info, frames })
    }

    /// Uses the open descriptor of a tap or macvtap device, with or without
    /// `IFF_VNET_HDR`. It is made non-blocking. With a macvtap the kernel gets the
    /// device's hardware address, since frames to other addresses do not reach it.
    ///
    /// # Errors
    ///
    /// [`Error::Descriptor`]: it is not such a device, or `IFF_NO_PI` is not set.
    pub fn from_fd(fd: OwnedFd) -> Result<Tap> {
        let number = fd.as_raw_fd();
        let wrong = |why: String| Error::Descriptor { fd: number, why };
        let (name, flags) = sys::get_tun(&fd)
            .map_err(|error| wrong(format!("not a tap device ({error}); open {DEVICE} for it")))?;
        if flags & IFF_TAP == 0 {
            return Err(wrong(format!(
                "{name} is a tun device, without Ethernet; make a tap device"
            )));
        }
        if flags & IFF_NO_PI == 0 {
            return Err(wrong(format!(
                "{name} has packet information before its frames; set IFF_NO_PI"
            )));
        }
        let failed = |error: io::Error| wrong(format!("{name}: {error}"));
        rustix::io::ioctl_fionbio(&fd, true).map_err(|error| failed(error.into()))?;
        let header = flags & IFF_VNET_HDR != 0;
        let offloads = match header {
            true => with_header(&fd).map_err(failed)?,
            false => Offloads::default(),
        };
        let info = LinkInfo {
            mac: mac(&fd).map_err(failed)?,
            mtu: match is_here(&fd) {
                true => sys::mtu_of(&name).unwrap_or(1500),
                false => 1500,
            },
            offloads,
        };
        let frames = Datagrams::new(fd, header).map_err(failed)?;
        Ok(Tap { name, info, frames })
    }

    /// The device's name on the host.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Sets the offloads, as many as the host supports.
fn with_header(fd: &OwnedFd) -> io::Result<Offloads> {
    sys::set_header_len(fd, FrameHeader::LEN)?;
    let tcp = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
    // Since Linux 6.2.
    let uso = sys::set_offload(fd, tcp | libc::TUN_F_USO4 | libc::TUN_F_USO6).is_ok();
    if !uso {
        sys::set_offload(fd, tcp)?;
    }
    Ok(Offloads {
        checksum: true,
        tso: true,
        uso,
    })
}

/// The hardware address that the kernel must have, if the device is a macvtap, which has
/// its own device file.
fn mac(fd: &OwnedFd) -> io::Result<Option<[u8; 6]>> {
    let tun = rustix::fs::makedev(10, 200);
    match fstat(fd)?.st_rdev == tun {
        true => Ok(None),
        false => sys::mac_of_tun(fd).map(Some),
    }
}

/// Whether the device is in this thread's namespace; true if the host does not tell.
fn is_here(fd: &OwnedFd) -> bool {
    let inode = |fd: &dyn Fn() -> Result<OwnedFd, Errno>| fd().and_then(fstat).map(|s| s.st_ino);
    let own = || {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        open("/proc/thread-self/ns/net", flags, Mode::empty())
    };
    match (sys::namespace_of_tun(fd.as_fd()), inode(&own)) {
        (Ok(theirs), Ok(own)) => fstat(theirs).is_ok_and(|theirs| theirs.st_ino == own),
        _ => true,
    }
}

impl Link for Tap {
    fn info(&self) -> LinkInfo {
        self.info
    }

    fn attach(&self, waker: LinkWaker) {
        self.frames.attach(waker);
    }

    fn send(&self, frames: &[Frame<'_>]) -> usize {
        self.frames.send(frames)
    }

    fn receive(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Option<(usize, FrameHeader)>> {
        self.frames.receive(buffers)
    }

    fn detach(&self) {
        self.frames.detach();
    }
}
