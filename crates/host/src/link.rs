//! What a network link is to a kernel.
//!
//! A link carries Ethernet frames between a kernel and something else: a device
//! of the host, another kernel, a file. Frames may be unfinished, as between a
//! driver and its network card: [`FrameHeader`] says what is left to do.

use std::io::{self, IoSlice, IoSliceMut};
use std::sync::Arc;

/// What is left to do to a frame: `struct virtio_net_hdr` without
/// `num_buffers` (`include/uapi/linux/virtio_net.h`), in the machine's byte
/// order, as host taps and packet sockets have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct FrameHeader {
    /// [`FrameHeader::NEEDS_CSUM`], [`FrameHeader::DATA_VALID`], or neither.
    pub flags: u8,
    /// One of the `GSO_` constants, perhaps with [`FrameHeader::GSO_ECN`].
    pub gso_type: u8,
    /// Length of all headers in bytes; a hint.
    pub hdr_len: u16,
    /// Payload of one segment in bytes.
    pub gso_size: u16,
    /// Where the checksum begins to count, in bytes from the frame's start.
    pub csum_start: u16,
    /// Where it goes, in bytes from `csum_start`; the sum of the pseudo header
    /// is there already.
    pub csum_offset: u16,
}

impl FrameHeader {
    /// The checksum at `csum_offset` is yet to be completed.
    pub const NEEDS_CSUM: u8 = 1;
    /// The checksums are known to be right.
    pub const DATA_VALID: u8 = 2;
    /// One frame as it goes on the wire.
    pub const GSO_NONE: u8 = 0;
    /// A TCP segment over IPv4, to be cut.
    pub const GSO_TCPV4: u8 = 1;
    /// A TCP segment over IPv6, to be cut.
    pub const GSO_TCPV6: u8 = 4;
    /// UDP datagrams, to be cut.
    pub const GSO_UDP_L4: u8 = 5;
    /// Beside a type: the TCP segment has ECN set.
    pub const GSO_ECN: u8 = 0x80;
    /// Its size in bytes.
    pub const LEN: usize = 10;
}

/// What a link takes and brings unfinished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offloads {
    /// Frames with [`FrameHeader::NEEDS_CSUM`].
    pub checksum: bool,
    /// TCP segments of up to 64 KiB; needs `checksum`.
    pub tso: bool,
    /// UDP datagrams to be cut; needs `checksum`.
    pub uso: bool,
}

/// What a link is, asked once when it is added to a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkInfo {
    /// The kernel's own hardware address on it; `None`: the kernel makes one up.
    pub mac: Option<[u8; 6]>,
    /// Largest payload of an Ethernet frame in bytes, 68 to 65,521.
    pub mtu: u32,
    /// What [`Link::send`] takes and [`Link::receive`] brings.
    pub offloads: Offloads,
}

/// A frame to be sent: from the first byte of its destination address, without
/// frame check sequence.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// What is left to do to it.
    pub header: FrameHeader,
    /// Its bytes.
    pub pieces: &'a [IoSlice<'a>],
}

impl Frame<'_> {
    /// Length of all pieces in bytes.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).sum()
    }

    /// Whether it has no bytes; the kernel sends none such.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A network link of a kernel.
///
/// `send` and `receive` are called by the thread that runs the kernel, one call
/// at a time each way; the kernel stands still meanwhile, so they must not
/// block, and a call into the same kernel from there fails. A panic loses what
/// was being carried.
pub trait Link: Send + Sync {
    /// Address, size and abilities.
    fn info(&self) -> LinkInfo;

    /// Gives the link what tells the kernel of news. Called once, before any
    /// `send` and `receive`; when the kernel has removed the link or has ended,
    /// [`LinkWaker::wake`] returns `false` and the link may stop.
    fn attach(&self, waker: LinkWaker);

    /// Sends frames, in order; returns how many it has taken. If not all, the
    /// kernel keeps the rest, and asks again after a [`LinkWaker::wake`] that
    /// comes once the link can take more. Frames that cannot be sent for good
    /// (an error of the medium) count as taken, and are lost.
    fn send(&self, frames: &[Frame<'_>]) -> usize;

    /// Brings the next frame into `buffers`, which have room for 65,550 bytes or
    /// more, and says its length and header. `None`: there is none now; the next
    /// one must [`LinkWaker::wake`].
    ///
    /// # Errors
    ///
    /// The link is broken; it is not asked again until it wakes the kernel.
    fn receive(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Option<(usize, FrameHeader)>>;

    /// The kernel has let go of the link: threads that it had may end.
    fn detach(&self) {}
}

/// A link that the program keeps a handle to.
impl<L: Link + ?Sized> Link for Arc<L> {
    fn info(&self) -> LinkInfo {
        (**self).info()
    }
    fn attach(&self, waker: LinkWaker) {
        (**self).attach(waker);
    }
    fn send(&self, frames: &[Frame<'_>]) -> usize {
        (**self).send(frames)
    }
    fn receive(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Option<(usize, FrameHeader)>> {
        (**self).receive(buffers)
    }
    fn detach(&self) {
        (**self).detach();
    }
}

/// Tells a kernel that a link has something to receive, or can send again. Clones
/// are the same waker. It may be used in any thread, and inside any kernel: then
/// the news is delivered when that kernel is left.
#[derive(Clone)]
pub struct LinkWaker(Arc<dyn Fn() -> bool + Send + Sync>);

impl LinkWaker {
    /// `wake` returns whether somebody may still be there.
    pub fn new(wake: impl Fn() -> bool + Send + Sync + 'static) -> LinkWaker {
        LinkWaker(Arc::new(wake))
    }

    /// Has the kernel look at the link; often runs it, in this thread, until it
    /// has. `false`: nobody is there any more.
    pub fn wake(&self) -> bool {
        (self.0)()
    }
}

impl std::fmt::Debug for LinkWaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkWaker").finish_non_exhaustive()
    }
}
