//! [`Pcap`]: records the frames of a link; [`Replay`]: a recording as a link.
//!
//! Files are those of libpcap, with times in nanoseconds (`pcap-savefile(5)`):
//! tcpdump, Wireshark and others read them.

mod format;
mod replay;
mod writer;

use std::io::{self, IoSliceMut, Write};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use drupe_host::link::{Frame, FrameHeader, Link, LinkInfo, LinkWaker};

use crate::complete_checksum;
use crate::{Error, Result};
#[cfg(feature = "fuzzing")]
pub(crate) use format::read_all;
pub use replay::{Pace, Replay};
use writer::Writer;

/// A link that wraps another one and records its frames, both ways.
///
/// A thread writes; the kernel does not wait for it. If it falls behind by 64 MiB, frames
/// are left out ([`Pcap::missed`]). Missing checksums are completed in the recording; a
/// frame that is still to be segmented is recorded as one.
#[derive(Debug)]
pub struct Pcap<L> {
    link: L,
    writer: Writer,
    /// A buffer for completing a frame.
    frame: Mutex<Vec<u8>>,
}

impl<L: Link> Pcap<L> {
    /// Records `link` to a file or pipe. Each frame is written at once. The file is
    /// closed when the kernel drops the link, or this is dropped; dropping waits until
    /// everything is written.
    ///
    /// # Errors
    ///
    /// [`Error::Host`]: no thread can be started.
    pub fn record(link: L, to: impl Write + Send + 'static) -> Result<Pcap<L>> {
        let writer = Writer::start(Box::new(to));
        Ok(Pcap {
            link,
            writer: writer.map_err(|error| Error::host("a thread to record a link", error))?,
            frame: Mutex::default(),
        })
    }

    /// The link that is recorded.
    pub fn link(&self) -> &L {
        &self.link
    }

    /// The number of frames that are missing in the recording, because it has fallen
    /// behind or cannot be written.
    pub fn missed(&self) -> u64 {
        self.writer.missed()
    }

    /// Records a frame of these bytes.
    fn add<'b>(&self, mut header: FrameHeader, bytes: impl Iterator<Item = &'b [u8]>) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let mut frame = self.frame.lock().unwrap_or_else(PoisonError::into_inner);
        frame.clear();
        bytes.for_each(|piece| frame.extend_from_slice(piece));
        // One that is not within the frame is left as it is.
        complete_checksum(&mut header, &mut frame);
        self.writer.add(now.unwrap_or_default(), &frame);
    }
}

impl<L: Link> Link for Pcap<L> {
    fn info(&self) -> LinkInfo {
        self.link.info()
    }

    fn attach(&self, waker: LinkWaker) {
        self.link.attach(waker);
    }

    fn send(&self, frames: &[Frame<'_>]) -> usize {
        let taken = self.link.send(frames);
        for frame in frames.iter().take(taken) {
            self.add(frame.header, frame.pieces.iter().map(|piece| &piece[..]));
        }
        taken
    }

    fn receive(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Option<(usize, FrameHeader)>> {
        let got = self.link.receive(buffers)?;
        if let Some((len, header)) = got {
            let mut rest = len;
            let bytes = buffers.iter().map(|buffer| {
                let part = rest.min(buffer.len());
                rest -= part;
                &buffer[..part]
            });
            self.add(header, bytes);
        }
        Ok(got)
    }

    fn detach(&self) {
        self.link.detach();
        self.writer.end();
    }
}
