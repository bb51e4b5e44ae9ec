//! [`Tun`]: an interface whose packets the program reads and writes.

use std::ffi::CString;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use drupe_abi::Errno;
use drupe_machine::Error as MachineError;

use super::socket::io_error;
use super::{Interface, Network, named};
use crate::error::{Error, Result};
use crate::kernel::{KernelInner, Pseudo};
use crate::sys::{AT_FDCWD, OwnedFd};

/// What the packets of a [`Tun`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunMode {
    /// IP packets (`IFF_TUN`).
    Ip,
    /// Ethernet frames (`IFF_TAP`).
    Ethernet,
}

/// A tun or tap of the kernel (`Documentation/networking/tuntap.rst`): what the
/// kernel sends on the interface is read here, and what is written here is what
/// it receives. Each read and each write is one packet, without a header.
///
/// The interface is gone when this is dropped.
pub struct Tun {
    // Closed before the kernel is let go.
    pub(super) fd: OwnedFd,
    kernel: Arc<KernelInner>,
    interface: Interface,
}

impl Network {
    /// Makes a tun or tap of this name, which is down; EINVAL for a name of more
    /// than 15 bytes. "tun%d" is the first free one of these.
    pub fn tun(&self, name: &str, mode: TunMode) -> Result<Tun> {
        let failed = |e: MachineError| Error::at("tun", name, e);
        let kernel = &self.namespace.kernel;
        let open = || {
            let wanted = CString::new(name).map_err(|_| MachineError::Errno(Errno::INVAL))?;
            kernel.need(Pseudo::Dev)?;
            let sys = &kernel.sys;
            let fd = sys.openat(AT_FDCWD, c"/dev/net/tun", libc::O_RDWR, 0)?;
            let name = sys.tun_set(fd.raw(), &wanted, mode == TunMode::Ethernet)?;
            Ok((fd, name))
        };
        let (fd, name) = self
            .namespace
            .enter(open)
            .and_then(|opened| opened)
            .map_err(failed)?;
        Ok(Tun {
            fd,
            kernel: Arc::clone(kernel),
            interface: self.link(&name.to_string_lossy())?,
        })
    }
}

impl Tun {
    /// The interface.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// Reads one packet; what does not fit is lost.
    pub fn recv(&self, bytes: &mut [u8]) -> Result<usize> {
        named("read", self.kernel.sys.read(self.fd.raw(), bytes))
    }

    /// Writes one packet. EIO while the interface is down.
    pub fn send(&self, bytes: &[u8]) -> Result<usize> {
        named("write", self.kernel.sys.write(self.fd.raw(), bytes))
    }

    /// Whether reads fail with `WouldBlock` rather than block.
    pub fn set_nonblocking(&self, yes: bool) -> Result<()> {
        let set = self.kernel.sys.set_nonblocking(self.fd.raw(), yes);
        named("set non-blocking", set)
    }
}

impl Read for &Tun {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.kernel.sys.read(self.fd.raw(), bytes);
        read.map_err(|e| io_error("read", e))
    }
}

impl Write for &Tun {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.kernel.sys.write(self.fd.raw(), bytes);
        written.map_err(|e| io_error("write", e))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Tun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tun({:?}, {:?})", self.fd, self.interface)
    }
}
