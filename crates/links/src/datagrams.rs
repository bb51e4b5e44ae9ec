//! [`Datagrams`]: frames on a descriptor that carries one frame with each call: taps and
//! packet sockets.
//!
//! Frames may have a [`FrameHeader`] before them. They are written from the kernel's
//! memory and read into it, with one system call each.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use drupe_host::link::{Frame, FrameHeader, LinkWaker};
use rustix::io::{Errno, readv, writev};

use crate::header;
use crate::poller::{IN, OUT, Poller};

/// Pieces of a frame that need no allocation. A kernel has up to 18
/// (`MAX_SKB_FRAGS` and the head).
const PIECES: usize = 32;

/// How many frames in a row may fail on the host before receiving pauses.
const MAX_BAD: usize = 64;

#[derive(Debug)]
pub(crate) struct Datagrams {
    fd: Arc<OwnedFd>,
    poller: Poller,
    /// Whether frames have a [`FrameHeader`].
    header: bool,
}

impl Datagrams {
    /// `fd` must be non-blocking.
    pub(crate) fn new(fd: OwnedFd, header: bool) -> io::Result<Datagrams> {
        let fd = Arc::new(fd);
        Ok(Datagrams {
            poller: Poller::new(Arc::clone(&fd))?,
            fd,
            header,
        })
    }

    pub(crate) fn attach(&self, waker: LinkWaker) {
        self.poller.start(waker);
    }

    pub(crate) fn detach(&self) {
        self.poller.end();
    }

    pub(crate) fn send(&self, frames: &[Frame<'_>]) -> usize {
        for (taken, frame) in frames.iter().enumerate() {
            if self.send_one(frame) == Err(Errno::AGAIN) {
                self.poller.want(OUT);
                return taken;
            }
        }
        frames.len()
    }

    fn send_one(&self, frame: &Frame<'_>) -> Result<(), Errno> {
        let header = header::to_bytes(frame.header);
        let mut some = [IoSlice::new(&[]); PIECES];
        let many: Vec<IoSlice<'_>>;
        let used = frame.pieces.len() + 1;
        let all = match some.get_mut(..used) {
            Some(parts) => {
                parts[0] = IoSlice::new(&header);
                parts[1..].copy_from_slice(frame.pieces);
                &*parts
            }
            None => {
                let parts = std::iter::once(IoSlice::new(&header));
                many = parts.chain(frame.pieces.iter().copied()).collect();
                &many
            }
        };
        let parts = if self.header { all } else { &all[1..] };
        loop {
            match writev(&self.fd, parts) {
                Err(Errno::INTR) => {}
                // Anything but AGAIN, such as an interface that is down: lost.
                result => return result.map(drop),
            }
        }
    }

    pub(crate) fn receive(
        &self,
        buffers: &mut [IoSliceMut<'_>],
    ) -> io::Result<Option<(usize, FrameHeader)>> {
        let mut header = [0; FrameHeader::LEN];
        let head = if self.header { header.len() } else { 0 };
        for _ in 0..MAX_BAD {
            match self.read(&mut header[..head], buffers) {
                Ok(len) if len > head => {
                    return Ok(Some((len - head, header::from_bytes(header))));
                }
                // A packet socket has a header of its own for each segment that
                // it can't describe; an interface that goes down says so once.
                Ok(_) | Err(Errno::INTR | Errno::INVAL | Errno::NETDOWN) => {}
                Err(Errno::AGAIN) => {
                    self.poller.want(IN);
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.poller.want(IN);
        Ok(None)
    }

    fn read(&self, header: &mut [u8], buffers: &mut [IoSliceMut<'_>]) -> Result<usize, Errno> {
        let used = buffers.len() + 1;
        let mut some: [IoSliceMut<'_>; PIECES] = std::array::from_fn(|_| IoSliceMut::new(&mut []));
        let mut many: Vec<IoSliceMut<'_>>;
        let parts = match used {
            ..=PIECES => &mut some[..used],
            _ => {
                many = (0..used).map(|_| IoSliceMut::new(&mut [])).collect();
                &mut many[..]
            }
        };
        parts[0] = IoSliceMut::new(header);
        for (part, buffer) in parts[1..].iter_mut().zip(buffers) {
            *part = IoSliceMut::new(buffer);
        }
        readv(&self.fd, parts)
    }
}
