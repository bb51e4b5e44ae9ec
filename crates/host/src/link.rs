//! [`Link`]: the trait of a network link, its frames and offloads.
//!
//! A link carries Ethernet frames between a kernel and something else: a device of the
//! host, another kernel, a file. As between a driver and its network card, a checksum or
//! the cutting into segments may be left to the receiver: [`FrameHeader`] says which.

use std::io::{self, IoSlice, IoSliceMut};
use std::sync::Arc;

/// The checksum and segmentation that a frame still needs: `struct virtio_net_hdr`
/// without `num_buffers` (`include/uapi/linux/virtio_net.h`), in the machine's byte
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
    /// Where the checksummed bytes begin, in bytes from the frame's start.
    pub csum_start: u16,
    /// Where the checksum is stored, in bytes from `csum_start`. The sum of the pseudo
    /// header is there already.
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

/// Work on frames that the kernel may leave to the link, and the link to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offloads {
    /// Frames with [`FrameHeader::NEEDS_CSUM`].
    pub checksum: bool,
    /// TCP segments of up to 64 KiB; needs `checksum`.
    pub tso: bool,
    /// UDP datagrams to be cut; needs `checksum`.
    pub uso: bool,
}

/// The properties of a link, read once when it is added to a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkInfo {
    /// The kernel's own hardware address on it; `None`: the kernel makes one up.
    pub mac: Option<[u8; 6]>,
    /// Largest payload of an Ethernet frame in bytes, 68 to 65,521.
    pub mtu: u32,
    /// What may be left to do in frames of [`Link::send`] and [`Link::receive`].
    pub offloads: Offloads,
}

/// A frame to be sent: from the first byte of its destination address, without
/// frame check sequence.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The checksum and segmentation that it still needs.
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
    /// Hardware address, MTU and offloads.
    fn info(&self) -> LinkInfo;

    /// Gives the link the waker by which it tells the kernel of new frames or room.
    /// Called once, before any `send` and `receive`; when the kernel has removed the link
    /// or has ended, [`LinkWaker::wake`] returns `false` and the link may stop.
    fn attach(&self, waker: LinkWaker);

    /// Sends frames in order; returns how many were taken. The kernel keeps the rest and
    /// sends them again after [`LinkWaker::wake`], which the link must call once it can
    /// take more. Frames that can never be sent (an error of the medium) count as taken,
    /// and are lost.
    fn send(&self, frames: &[Frame<'_>]) -> usize;

    /// Copies the next frame into `buffers`, which have room for 65,550 bytes or more;
    /// returns its length and header. `None`: no frame has come; the link must call
    /// [`LinkWaker::wake`] when the next one does.
    ///
    /// # Errors
    ///
    /// Any: the link is broken. `receive` is not called again until the link wakes the
    /// kernel.
    fn receive(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Option<(usize, FrameHeader)>>;

    /// Called when the kernel does not use the link any more: the link may end its
    /// threads.
    fn detach(&self) {}
}

/// A link to which the program keeps a handle.
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

/// Tells a kernel that a link has something to receive, or can send again. Clones are the
/// same waker. Any thread may use it. Inside of a kernel, the kernel is told when the
/// thread has left that one.
#[derive(Clone)]
pub struct LinkWaker(Arc<dyn Fn() -> bool + Send + Sync>);

impl LinkWaker {
    /// A waker that calls `wake`, which returns `false` once the kernel does not use the
    /// link any more.
    pub fn new(wake: impl Fn() -> bool + Send + Sync + 'static) -> LinkWaker {
        LinkWaker(Arc::new(wake))
    }

    /// Makes the kernel look at the link, often by running it in the calling thread.
    /// `false`: the kernel does not use the link any more.
    pub fn wake(&self) -> bool {
        (self.0)()
    }
}

impl std::fmt::Debug for LinkWaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkWaker").finish_non_exhaustive()
    }
}
