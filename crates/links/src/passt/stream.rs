//! [`Stream`]: frames on a stream socket, each behind its length, four bytes in
//! network order: the protocol of passt, and of QEMU's `-netdev stream`.
//!
//! A read or write may end in the middle of a frame. If the socket has taken only a part
//! of a frame, the rest is kept ([`Sending::rest`]), and sent first when there is room.
//! The kernel takes the frame for sent and may send nothing for long, so `receive` sends
//! the rest too: when there is room, a wake makes the kernel call it.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use drupe_host::link::{Frame, FrameHeader, LinkWaker};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, sendmsg};

use crate::checksum::{Checksum, checksum};
use crate::packet::{MAX_FRAME, scatter};
use crate::poller::{IN, OUT, Poller};

/// Bytes of a frame's length.
const PREFIX: usize = 4;

/// Bytes that are received at once: a few of the longest frames.
const BUFFER: usize = 4 * (MAX_FRAME + PREFIX);

/// Frames and pieces that one system call sends.
const FRAMES: usize = 32;
const PIECES: usize = 192;

/// How many pieces a frame needs in addition to its own: one for its length; and for the
/// checksum, which may divide a piece.
const MORE_PIECES: usize = 4;

#[derive(Debug)]
pub(crate) struct Stream {
    fd: Arc<OwnedFd>,
    poller: Poller,
    sending: Mutex<Sending>,
    receiving: Mutex<Receiving>,
}

#[derive(Debug, Default)]
struct Sending {
    /// The unsent rest of a frame of which the socket has taken a part.
    rest: Vec<u8>,
    /// Bytes of `rest` that were sent meanwhile.
    done: usize,
    /// The socket has failed: nothing can be sent any more.
    broken: bool,
}

#[derive(Debug)]
struct Receiving {
    buffer: Vec<u8>,
    /// The start of the bytes in `buffer` that were not returned yet.
    start: usize,
    end: usize,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stream {
    /// `fd`: a connected stream socket. It may block or not.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Stream> {
        let fd = Arc::new(fd);
        Ok(Stream {
            poller: Poller::new(Arc::clone(&fd))?,
            fd,
            sending: Mutex::default(),
            receiving: Mutex::new(Receiving {
                buffer: vec![0; BUFFER],
                start: 0,
                end: 0,
            }),
        })
    }

    pub(super) fn attach(&self, waker: LinkWaker) {
        self.poller.start(waker);
    }

    pub(super) fn detach(&self) {
        self.poller.end();
    }

    pub(super) fn send(&self, frames: &[Frame<'_>]) -> usize {
        let mut sending = locked(&self.sending);
        let mut waiting = frames;
        while !sending.broken {
            let sent = match self.flush(&mut sending) {
                Ok(()) if waiting.is_empty() => return frames.len(),
                Ok(()) => self.send_some(&mut sending, waiting),
                Err(error) => Err(error),
            };
            match sent {
                Ok(taken) => waiting = &waiting[taken..],
                Err(Errno::AGAIN) => {
                    self.poller.want(OUT);
                    return frames.len() - waiting.len();
                }
                // Whoever receives is told.
                Err(_) => sending.broken = true,
            }
        }
        frames.len()
    }

    /// Sends the rest of a frame.
    fn flush(&self, sending: &mut Sending) -> Result<(), Errno> {
        while sending.done < sending.rest.len() {
            let rest = [IoSlice::new(&sending.rest[sending.done..])];
            sending.done += self.write(&rest)?;
        }
        sending.rest.clear();
        sending.done = 0;
        Ok(())
    }

    /// Sends frames with one system call, perhaps only a part of the last one. Returns
    /// how many were taken.
    fn send_some(&self, sending: &mut Sending, frames: &[Frame<'_>]) -> Result<usize, Errno> {
        let frames = &frames[..frames.len().min(FRAMES)];
        let mut lengths = [[0; PREFIX]; FRAMES];
        let mut checksums = [None; FRAMES];
        for (i, frame) in frames.iter().enumerate() {
            lengths[i] = (frame.len() as u32).to_be_bytes();
            // One that is not within the frame cannot be right whatever we do.
            checksums[i] = checksum(frame).unwrap_or_default();
        }
        let mut list = List {
            pieces: &mut [IoSlice::new(&[]); PIECES],
            used: 0,
        };
        // Of each frame, its last piece and where it ends in the stream.
        let mut ends = [(0, 0); FRAMES];
        let (mut count, mut bytes) = (0, 0);
        for (i, frame) in frames.iter().enumerate() {
            if list.used + frame.pieces.len() + MORE_PIECES > PIECES {
                break;
            }
            list.push(&lengths[i]);
            list.push_frame(frame, checksums[i].as_ref());
            bytes += PREFIX + frame.len();
            ends[i] = (list.used, bytes);
            count += 1;
        }
        if count == 0 {
            // More pieces than a kernel's frames have.
            let mut many = List {
                pieces: &mut vec![IoSlice::new(&[]); frames[0].pieces.len() + MORE_PIECES],
                used: 0,
            };
            many.push(&lengths[0]);
            many.push_frame(&frames[0], checksums[0].as_ref());
            keep(&mut sending.rest, many.pieces, 0);
            return Ok(1);
        }
        let written = self.write(&list.pieces[..list.used])?;
        let whole = ends[..count].iter().filter(|end| end.1 <= written).count();
        let (pieces, end) = match whole {
            0 => (0, 0),
            whole => ends[whole - 1],
        };
        if written == end {
            return Ok(whole);
        }
        let rest = &list.pieces[pieces..ends[whole].0];
        keep(&mut sending.rest, rest, written - end);
        Ok(whole + 1)
    }

    fn write(&self, pieces: &[IoSlice<'_>]) -> Result<usize, Errno> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        loop {
            match sendmsg(&self.fd, pieces, &mut SendAncillaryBuffer::default(), flags) {
                Err(Errno::INTR) => {}
                result => return result,
            }
        }
    }

    pub(super) fn receive(
        &self,
        buffers: &mut [IoSliceMut<'_>],
    ) -> io::Result<Option<(usize, FrameHeader)>> {
        let mut receiving = locked(&self.receiving);
        loop {
            if let Some(frame) = receiving.next()? {
                return Ok(Some((scatter(frame, buffers), trusted())));
            }
            receiving.make_room();
            let end = receiving.end;
            match recv(&self.fd, &mut receiving.buffer[end..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((len, _)) => receiving.end += len,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.poller.want(IN);
                    // This may be why we were asked.
                    self.send(&[]);
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The header of received frames: their checksums need no check, since passt has made
/// them, and they have not left this machine.
fn trusted() -> FrameHeader {
    FrameHeader {
        flags: FrameHeader::DATA_VALID,
        ..FrameHeader::default()
    }
}

impl Receiving {
    /// The next frame that was received completely.
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let bytes = &self.buffer[self.start..self.end];
        let Some((prefix, bytes)) = bytes.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes(*prefix) as usize;
        if len > MAX_FRAME {
            // Where the next one begins is not known.
            return Err(io::ErrorKind::InvalidData.into());
        }
        let Some(frame) = bytes.get(..len) else {
            return Ok(None);
        };
        self.start += PREFIX + len;
        Ok(Some(frame))
    }

    /// Moves the beginning of a frame to where there is room for all of it.
    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.buffer.len() - self.start < MAX_FRAME + PREFIX {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
    }
}

/// Pieces that are sent at once.
struct List<'l, 'a> {
    pieces: &'l mut [IoSlice<'a>],
    used: usize,
}

impl<'a> List<'_, 'a> {
    fn push(&mut self, bytes: &'a [u8]) {
        if !bytes.is_empty() {
            self.pieces[self.used] = IoSlice::new(bytes);
            self.used += 1;
        }
    }

    /// The pieces of a frame, its checksum in their place.
    fn push_frame(&mut self, frame: &Frame<'a>, checksum: Option<&'a Checksum>) {
        let Some(checksum) = checksum else {
            for piece in frame.pieces {
                self.push(piece);
            }
            return;
        };
        let mut at = 0;
        let mut pushed = false;
        for piece in frame.pieces {
            let piece: &'a [u8] = piece;
            // What is before the checksum in this piece, and what is behind it.
            let before = checksum.at.saturating_sub(at).min(piece.len());
            let behind = (checksum.at + 2).saturating_sub(at).min(piece.len());
            self.push(&piece[..before]);
            if before < piece.len() && !pushed {
                self.push(&checksum.value);
                pushed = true;
            }
            self.push(&piece[behind..]);
            at += piece.len();
        }
    }
}

/// Appends what `pieces` have behind their first `skip` bytes.
fn keep(rest: &mut Vec<u8>, pieces: &[IoSlice<'_>], mut skip: usize) {
    for piece in pieces {
        let skipped = skip.min(piece.len());
        skip -= skipped;
        rest.extend_from_slice(&piece[skipped..]);
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
