//! Network devices that the program has added, and those that stand for devices of the
//! host.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;

use drupe::{AttachedLink, Frame, FrameHeader, Kernel, Link, LinkInfo, LinkWaker};
use drupe_links::{PacketSocket, Tap};

use crate::border::{Errno, Result, complain, utf8};
use crate::error::errno;
use crate::netdev_link::{NetOps, Netdev, OwnLink};
use crate::state::{self, List};

/// `struct lkl_netdev_args`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Arguments {
    pub(crate) mac: *const c_void,
    pub(crate) offload: c_uint,
}

/// A device of the host's: one of the links that the kernel knows by itself.
#[repr(C)]
struct HostDevice {
    netdev: Netdev,
    link: Arc<dyn Link>,
}

/// By these a device of the host's is known; the kernel does not call them.
static HOST_OPS: NetOps = NetOps {
    tx: None,
    rx: None,
    poll: None,
    poll_hup: None,
    free: Some(free_host_device),
};

fn host_device(link: impl Link + 'static) -> *mut Netdev {
    let device = HostDevice {
        netdev: Netdev::new(&raw const HOST_OPS, 0),
        link: Arc::new(link),
    };
    Box::into_raw(Box::new(device)).cast()
}

unsafe extern "C" fn free_host_device(device: *mut Netdev) {
    // SAFETY: of `host_device`, as its operations tell; nobody uses it any more.
    drop(unsafe { Box::from_raw(device.cast::<HostDevice>()) });
}

/// A link whose hardware address the program has chosen.
struct WithMac {
    link: Arc<dyn Link>,
    mac: Option<[u8; 6]>,
}

impl Link for WithMac {
    fn info(&self) -> LinkInfo {
        let info = self.link.info();
        LinkInfo {
            mac: self.mac.or(info.mac),
            ..info
        }
    }

    fn attach(&self, waker: LinkWaker) {
        self.link.attach(waker);
    }

    fn send(&self, frames: &[Frame<'_>]) -> usize {
        self.link.send(frames)
    }

    fn receive(
        &self,
        buffers: &mut [std::io::IoSliceMut<'_>],
    ) -> std::io::Result<Option<(usize, FrameHeader)>> {
        self.link.receive(buffers)
    }

    fn detach(&self) {
        self.link.detach();
    }
}

static NETDEVS: List<AddedDevice> = List::new();

/// A network device, of a kernel or to be.
struct AddedDevice {
    link: Arc<WithMac>,
    /// The device, if its operations are the program's.
    own: Option<Arc<OwnLink>>,
    attached: Option<AttachedLink>,
}

impl AddedDevice {
    /// Adds it to a kernel.
    fn attach(&mut self, kernel: &Kernel) -> Result<()> {
        if self.attached.is_none() {
            let attached = kernel.add_link(Arc::clone(&self.link));
            self.attached = Some(attached.map_err(|error| errno(&error))?);
        }
        Ok(())
    }

    /// Removes it from the kernel, if that runs, and waits until nobody calls its
    /// operations.
    fn end(self) {
        if let Some(attached) = self.attached {
            // A kernel that has been halted has let go of it.
            let _ = attached.remove();
        }
        if let Some(own) = self.own {
            own.join();
        }
    }
}

/// Adds all devices to a kernel that has started.
pub(crate) fn attach_all(kernel: &Kernel) -> Result<()> {
    let mut netdevs = NETDEVS.lock();
    let mut netdevs = netdevs.iter_mut().flatten();
    netdevs.try_for_each(|device| device.attach(kernel))
}

/// The kernel has been halted: they go with it.
pub(crate) fn end_all() {
    let netdevs = std::mem::take(&mut *NETDEVS.lock());
    netdevs.into_iter().flatten().for_each(AddedDevice::end);
}

export! {
    fn lkl_netdev_add(nd: *mut Netdev, args: *const Arguments) -> c_int {
        // SAFETY: NULL, or a device of the program's that nobody else uses meanwhile.
        let netdev = unsafe { nd.as_mut() }.ok_or(Errno::of(libc::EFAULT))?;
        // SAFETY: NULL, or arguments of the caller's.
        let mac = unsafe { args.as_ref() }.map_or(ptr::null(), |arguments| arguments.mac);
        let mac = match mac.is_null() {
            true => None,
            // SAFETY: six bytes, as the header says.
            false => Some(unsafe { mac.cast::<[u8; 6]>().read() }),
        };
        let (link, own): (Arc<dyn Link>, _) = if ptr::eq(netdev.ops, &raw const HOST_OPS) {
            // SAFETY: of `host_device`, as its operations tell.
            let device = unsafe { &*nd.cast::<HostDevice>() };
            (Arc::clone(&device.link), None)
        } else {
            let own = Arc::new(OwnLink::new(nd)?);
            (Arc::<OwnLink>::clone(&own), Some(own))
        };
        let mut added = AddedDevice {
            link: Arc::new(WithMac { link, mac }),
            own,
            attached: None,
        };
        if let Some(kernel) = state::running() {
            added.attach(&kernel)?;
        }
        if let Some(mac) = mac {
            netdev.mac = mac;
        }
        let number = NETDEVS.add(added);
        netdev.id = c_int::try_from(number).map_err(|_| Errno::of(libc::ENOSPC))?;
        Ok(netdev.id)
    }

    fn lkl_netdev_remove(id: c_int) {
        let missing = Errno::of(libc::ENODEV);
        let number = usize::try_from(id).map_err(|_| missing)?;
        let removed = NETDEVS.lock().get_mut(number).and_then(Option::take);
        removed.ok_or(missing)?.end();
        Ok(())
    }

    fn lkl_netdev_free(nd: *mut Netdev) {
        // SAFETY: NULL, or a device that was removed.
        let Some(netdev) = (unsafe { nd.as_ref() }) else {
            return Ok(());
        };
        // SAFETY: NULL, or operations of the device's.
        if let Some(free) = unsafe { netdev.ops.as_ref() }.and_then(|ops| ops.free) {
            // SAFETY: nobody uses the device any more.
            unsafe { free(nd) };
        }
        Ok(())
    }

    fn lkl_netdev_get_ifindex(id: c_int) -> c_int {
        let missing = Errno::of(libc::ENODEV);
        let number = usize::try_from(id).map_err(|_| missing)?;
        let netdevs = NETDEVS.lock();
        let device = netdevs.get(number).and_then(Option::as_ref);
        let attached = device.and_then(|device| device.attached.as_ref()).ok_or(missing)?;
        Ok(attached.index().cast_signed())
    }

    fn lkl_netdev_tap_create(ifname: *const c_char, _offload: c_int) -> *mut Netdev {
        // SAFETY: a text of the caller's.
        let name = unsafe { utf8(ifname) }?;
        opened(Tap::open(Some(name)))
    }

    fn lkl_netdev_raw_create(ifname: *const c_char) -> *mut Netdev {
        // SAFETY: a text of the caller's.
        let name = unsafe { utf8(ifname) }?;
        opened(PacketSocket::open(name))
    }

    fn lkl_netdev_macvtap_create(path: *const c_char, _offload: c_int) -> *mut Netdev {
        // SAFETY: a text of the caller's.
        let path = unsafe { utf8(path) }?;
        opened(macvtap(path))
    }

    fn lkl_netdev_dpdk_create(
        _ifname: *const c_char,
        _offload: c_int,
        _mac: *const c_void,
    ) -> *mut Netdev {
        Err(unsupported("DPDK"))
    }

    fn lkl_netdev_vde_create(_switch_path: *const c_char) -> *mut Netdev {
        Err(unsupported("VDE"))
    }

    fn lkl_netdev_wintap_create(_ifparams: *const c_char) -> *mut Netdev {
        Err(unsupported("Windows"))
    }
}

fn unsupported(what: &str) -> Errno {
    complain(&format!(
        "network devices of {what} are not supported; use a tap, raw, macvtap or pipe one"
    ));
    Errno::of(libc::EOPNOTSUPP)
}

fn opened<L: Link + 'static, E: std::fmt::Display>(link: Result<L, E>) -> Result<*mut Netdev> {
    match link {
        Ok(link) => Ok(host_device(link)),
        Err(error) => {
            complain(&error.to_string());
            Err(Errno::of(libc::EIO))
        }
    }
}

/// Opens the device file of a macvtap, and sets it to frames alone.
fn macvtap(path: &str) -> std::result::Result<Tap, Box<dyn std::error::Error>> {
    let said = |error: std::io::Error| format!("{path}: {error}");
    let file = File::options().read(true).write(true).open(path);
    let file = file.map_err(said)?;
    // SAFETY: all bytes of it may be zero.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as i16;
    // SAFETY: it reads the structure.
    if unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &request) } < 0 {
        return Err(said(std::io::Error::last_os_error()).into());
    }
    Ok(Tap::from_fd(OwnedFd::from(file))?)
}
