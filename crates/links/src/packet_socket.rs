//! [`PacketSocket`]: an interface of the host, shared with it (`packet(7)`).

use std::io::{self, IoSliceMut};

use drupe_host::link::{Frame, FrameHeader, Link, LinkInfo, LinkWaker, Offloads};

use crate::datagrams::Datagrams;
use crate::{Error, Result, sys};

const HINT: &str = "it takes CAP_NET_RAW";

/// An interface of the host: the kernel is another machine on its network. The kernel
/// receives all frames that the interface receives, whatever their destination, and sends
/// through it. The kernel and the host itself do not see each other's frames; a separate
/// interface, such as a veth, makes that possible.
///
/// Checksums and segmentation may be left undone both ways; the host completes sent
/// frames.
#[derive(Debug)]
pub struct PacketSocket {
    info: LinkInfo,
    frames: Datagrams,
}

impl PacketSocket {
    /// Opens the interface `name`.
    ///
    /// # Errors
    ///
    /// [`Error::Host`]: no such interface, or no permission.
    pub fn open(name: &str) -> Result<PacketSocket> {
        let open = || -> io::Result<PacketSocket> {
            let index = sys::interface_index(name)?;
            let mtu = sys::mtu_of(name)?;
            let socket = sys::packet_socket()?;
            sys::set_packet_header(&socket)?;
            // Linux before 4.20 cannot: the kernel then sees what it has sent
            // itself, as on a hub.
            let _ = sys::ignore_outgoing(&socket);
            sys::set_promiscuous(&socket, index)?;
            sys::bind_packet(&socket, index)?;
            let info = LinkInfo {
                mac: None,
                mtu: mtu.min(65_521),
                offloads: Offloads {
                    checksum: true,
                    tso: true,
                    uso: true,
                },
            };
            let frames = Datagrams::new(socket, true)?;
            Ok(PacketSocket { info, frames })
        };
        open().map_err(|error| Error::host(format!("interface {name:?}"), error).or_hint(HINT))
    }
}

impl Link for PacketSocket {
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
