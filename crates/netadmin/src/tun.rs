//! [`Tun`]: a tun or tap device of the kernel, whose packets the program reads and
//! writes.

use std::fmt;
use std::io::{self, Read, Write};

use drupe::net::{Descriptor, Source};
use drupe::{Errno, Error, KernelFile, Result};

use crate::{Interface, Network};

/// The kind of packets of a [`Tun`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunMode {
    /// IP packets (`IFF_TUN`).
    Ip,
    /// Ethernet frames (`IFF_TAP`).
    Ethernet,
}

/// A tun or tap device of the kernel (`Documentation/networking/tuntap.rst`). The program
/// reads the packets that the kernel sends on the interface, and writes those that it
/// receives. Each read and each write is one packet, without a header.
///
/// Dropping it removes the interface.
pub struct Tun {
    file: KernelFile,
    interface: Interface,
}

impl Network {
    /// Makes a tun or tap of this name, which is down. "tun%d" means the first free name
    /// of this form. EINVAL for a name of more than 15 bytes.
    pub fn tun(&self, name: &str, mode: TunMode) -> Result<Tun> {
        let open = || {
            let kernel = self.namespace().kernel();
            let file = kernel.open("/dev/net/tun", libc::O_RDWR)?;
            let name = attach(&file, name, mode)?;
            Ok((file, name))
        };
        let opened = self.namespace().run(open).and_then(|opened| opened);
        let failed = |e: Error| e.with_operation("tun").with_path(name);
        let (file, name) = opened.map_err(failed)?;
        Ok(Tun {
            file,
            interface: self.link(&name)?,
        })
    }
}

/// Makes an interface, without packet headers, for an open /dev/net/tun. Returns its
/// name.
fn attach(file: &KernelFile, name: &str, mode: TunMode) -> Result<String> {
    const TUNSETIFF: usize = 0x4004_54ca;
    /// `struct ifreq`: the name, the flags, room for other uses.
    const REQUEST: usize = 40;
    let mut request = [0; REQUEST];
    let invalid = || Error::new("tun", Errno::INVAL);
    let room = request[..15].get_mut(..name.len()).ok_or_else(invalid)?;
    room.copy_from_slice(name.as_bytes());
    if room.contains(&0) {
        return Err(invalid());
    }
    let kind = match mode {
        TunMode::Ip => libc::IFF_TUN,
        TunMode::Ethernet => libc::IFF_TAP,
    };
    let flags = (kind | libc::IFF_NO_PI) as u16;
    request[16..18].copy_from_slice(&flags.to_ne_bytes());
    let (raw, pointer) = (file.raw_fd() as usize, request.as_mut_ptr() as usize);
    // SAFETY: the call reads and writes a struct ifreq, and closes nothing.
    unsafe {
        let args = [raw, TUNSETIFF, pointer, 0, 0, 0];
        file.kernel().syscall(drupe::nr::IOCTL, args)?;
    }
    let name = request[..16].split(|&byte| byte == 0).next();
    Ok(String::from_utf8_lossy(name.unwrap_or_default()).into_owned())
}

impl Source for Tun {
    fn descriptor(&self) -> Descriptor<'_> {
        Source::descriptor(&self.file)
    }
}

impl Tun {
    /// The interface.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// Reads one packet. The part that does not fit is lost.
    pub fn recv(&self, bytes: &mut [u8]) -> Result<usize> {
        self.file.read(bytes)
    }

    /// Writes one packet. EIO while the interface is down.
    pub fn send(&self, bytes: &[u8]) -> Result<usize> {
        self.file.write(bytes)
    }

    /// Whether reads fail with `WouldBlock` rather than block.
    pub fn set_nonblocking(&self, yes: bool) -> Result<()> {
        self.file.set_nonblocking(yes)
    }
}

impl Read for &Tun {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        Read::read(&mut &self.file, bytes)
    }
}

impl Write for &Tun {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut &self.file, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Tun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tun({:?}, {:?})", self.file, self.interface)
    }
}
