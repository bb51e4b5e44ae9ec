//! [`Wire`]: a link whose other end is a stream of frames, each behind its
//! length in four bytes, big endian, as qemu's socket networks and passt have it.
//! Where frames are unfinished, their headers stand before them.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSliceMut, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, OnceLock};

use drupe::{Frame, FrameHeader, Link, LinkInfo, LinkWaker, Offloads};

/// The kernel's hardware address.
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// What goes to a script.
pub(crate) enum Message {
    Frame(Vec<u8>),
    Result(Vec<u8>),
    /// Nothing comes any more.
    End,
}

pub(crate) struct Wire {
    offloads: Offloads,
    waker: OnceLock<LinkWaker>,
    inbox: Mutex<Inbox>,
    /// Frames of the script that the kernel has been told of.
    carried: Mutex<u32>,
    more_carried: Condvar,
    outbox: Sender<Message>,
}

/// Frames for the kernel.
#[derive(Default)]
struct Inbox {
    frames: VecDeque<(FrameHeader, Vec<u8>)>,
    /// It has found none: the next one has to wake it, and only that one.
    kernel_waits: bool,
}

impl Wire {
    pub(crate) fn new(offloads: Offloads, outbox: Sender<Message>) -> Wire {
        Wire {
            offloads,
            waker: OnceLock::new(),
            inbox: Mutex::default(),
            carried: Mutex::default(),
            more_carried: Condvar::new(),
            outbox,
        }
    }

    fn headers(&self) -> bool {
        self.offloads != Offloads::default()
    }

    /// Carries what a script sends into the kernel, until it sends no more.
    pub(crate) fn carry(&self, mut stream: UnixStream) -> io::Result<()> {
        while let Some(bytes) = read_message(&mut stream)? {
            let (header, bytes) = match bytes.split_first_chunk::<{ FrameHeader::LEN }>() {
                Some((header, rest)) if self.headers() => (parse_header(header), rest.to_vec()),
                _ => (FrameHeader::default(), bytes),
            };
            let mut inbox = self.inbox.lock().unwrap();
            inbox.frames.push_back((header, bytes));
            let waits = std::mem::take(&mut inbox.kernel_waits);
            drop(inbox);
            if waits {
                self.waker.get().expect("the link was added").wake();
            }
            *self.carried.lock().unwrap() += 1;
            self.more_carried.notify_all();
        }
        Ok(())
    }

    /// Waits until the kernel has been told of so many frames.
    pub(crate) fn wait_for(&self, count: u32) {
        let carried = self.carried.lock().unwrap();
        drop(
            self.more_carried
                .wait_while(carried, |carried| *carried < count),
        );
    }
}

impl Link for Wire {
    fn info(&self) -> LinkInfo {
        LinkInfo {
            mac: Some(MAC),
            mtu: 1500,
            offloads: self.offloads,
        }
    }

    fn attach(&self, waker: LinkWaker) {
        assert!(self.waker.set(waker).is_ok(), "attached once");
    }

    fn send(&self, frames: &[Frame<'_>]) -> usize {
        for frame in frames {
            let mut bytes = Vec::with_capacity(FrameHeader::LEN + frame.len());
            if self.headers() {
                bytes.extend_from_slice(&show_header(frame.header));
            } else {
                assert_eq!(frame.header, FrameHeader::default(), "a finished frame");
            }
            for piece in frame.pieces {
                bytes.extend_from_slice(piece);
            }
            // A script that has ended misses nothing.
            let _ = self.outbox.send(Message::Frame(bytes));
        }
        frames.len()
    }

    fn receive(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Option<(usize, FrameHeader)>> {
        let mut inbox = self.inbox.lock().unwrap();
        let Some((header, bytes)) = inbox.frames.pop_front() else {
            inbox.kernel_waits = true;
            return Ok(None);
        };
        drop(inbox);
        let mut rest = &bytes[..];
        for buffer in buffers {
            let part = rest.len().min(buffer.len());
            buffer[..part].copy_from_slice(&rest[..part]);
            rest = &rest[part..];
        }
        // What does not fit is cut off, which the kernel is to notice.
        Ok(Some((bytes.len(), header)))
    }
}

fn parse_header(bytes: &[u8; FrameHeader::LEN]) -> FrameHeader {
    let short = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
    FrameHeader {
        flags: bytes[0],
        gso_type: bytes[1],
        hdr_len: short(2),
        gso_size: short(4),
        csum_start: short(6),
        csum_offset: short(8),
    }
}

fn show_header(header: FrameHeader) -> [u8; FrameHeader::LEN] {
    let mut bytes = [0; FrameHeader::LEN];
    bytes[0] = header.flags;
    bytes[1] = header.gso_type;
    let shorts = [
        header.hdr_len,
        header.gso_size,
        header.csum_start,
        header.csum_offset,
    ];
    for (place, short) in bytes[2..].chunks_exact_mut(2).zip(shorts) {
        place.copy_from_slice(&short.to_ne_bytes());
    }
    bytes
}

/// The next message, without its length; `None` at the end.
pub(crate) fn read_message(stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
        result => result?,
    }
    let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}

pub(crate) fn write_message(stream: &mut UnixStream, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).expect("a short message");
    let whole = [&length.to_be_bytes()[..], message].concat();
    stream.write_all(&whole)
}
