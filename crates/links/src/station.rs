//! [`Station`]: a program that sends and receives on a link, as a kernel would.

use std::io::{self, IoSlice, IoSliceMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use drupe_host::link::{Frame, FrameHeader, Link, LinkWaker};

use crate::packet::MAX_FRAME;

/// The wakes that have come.
#[derive(Debug, Default)]
struct Bell {
    news: Mutex<News>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct News {
    wakes: u64,
    gone: bool,
}

impl Bell {
    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for another wake after the first `seen`. Returns whether one came.
    fn wait(&self, seen: u64, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self
            .rung
            .wait_timeout_while(self.news(), left, |news| news.wakes == seen);
        let (news, _) = waited.unwrap_or_else(PoisonError::into_inner);
        news.wakes != seen
    }
}

/// A program that sends and receives on a link in the place of a kernel: the
/// other end of a [`pair()`](crate::pair()), a port of a
/// [`Switch`](crate::Switch), or any other link. Any thread may use it.
#[derive(Debug)]
pub struct Station<L: Link> {
    link: L,
    bell: Arc<Bell>,
    /// The buffer for received frames.
    buffer: Mutex<Vec<u8>>,
}

impl<L: Link> Station<L> {
    /// Attaches to `link`.
    pub fn new(link: L) -> Station<L> {
        let bell = Arc::new(Bell::default());
        let rings = Arc::clone(&bell);
        link.attach(LinkWaker::new(move || {
            let mut news = rings.news();
            news.wakes += 1;
            rings.rung.notify_all();
            !news.gone
        }));
        Station {
            link,
            bell,
            buffer: Mutex::new(vec![0; MAX_FRAME]),
        }
    }

    /// The link.
    pub fn link(&self) -> &L {
        &self.link
    }

    /// How often the link has woken the station.
    pub fn wakes(&self) -> u64 {
        self.bell.news().wakes
    }

    /// Sends a complete frame, from its destination address on. `false`: the link has no
    /// room now.
    pub fn send(&self, frame: &[u8]) -> bool {
        self.send_with(FrameHeader::default(), frame)
    }

    /// Sends a frame whose header may leave checksum or segmentation undone.
    pub fn send_with(&self, header: FrameHeader, frame: &[u8]) -> bool {
        let pieces = &[IoSlice::new(frame)];
        self.link.send(&[Frame { header, pieces }]) == 1
    }

    /// Sends a frame as soon as the link has room, at most within `patience`. Returns
    /// whether it was sent.
    pub fn send_within(&self, header: FrameHeader, frame: &[u8], patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            let seen = self.wakes();
            if self.send_with(header, frame) {
                return true;
            }
            if !self.bell.wait(seen, deadline) {
                return false;
            }
        }
    }

    /// The next frame; `None`: none has come.
    ///
    /// # Errors
    ///
    /// The link is broken.
    pub fn try_receive(&self) -> io::Result<Option<(FrameHeader, Vec<u8>)>> {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        let got = self.link.receive(&mut [IoSliceMut::new(&mut buffer)])?;
        Ok(got.map(|(len, header)| (header, buffer[..len].to_vec())))
    }

    /// The next frame, if it comes within `patience`.
    ///
    /// # Errors
    ///
    /// The link is broken.
    pub fn receive(&self, patience: Duration) -> io::Result<Option<(FrameHeader, Vec<u8>)>> {
        let deadline = Instant::now() + patience;
        loop {
            let seen = self.wakes();
            if let Some(frame) = self.try_receive()? {
                return Ok(Some(frame));
            }
            if !self.bell.wait(seen, deadline) {
                return Ok(None);
            }
        }
    }
}

impl<L: Link> Drop for Station<L> {
    fn drop(&mut self) {
        self.bell.news().gone = true;
        self.link.detach();
    }
}
