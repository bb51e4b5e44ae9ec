//! [`pair()`]: two links that are connected with each other.

use std::io::{self, IoSliceMut};
use std::sync::{Arc, Mutex, PoisonError};

use drupe_host::link::{Frame, FrameHeader, Link, LinkInfo, LinkWaker, Offloads};

use crate::inbox::{Inbox, LIMIT, Wakes};
use crate::packet::{Cache, MAX_FRAME, Packet, Pool, cost};

/// Two links: frames that one sends, the other receives, in order and without loss.
/// Checksums and segmentation are left undone. A kernel that sends too fast waits, unless
/// the other end is not in use: then its frames are lost.
///
/// `mtu`: the largest payload in bytes, 68 to 65,521; 1500 for Ethernet.
pub fn pair(mtu: u32) -> (PairEnd, PairEnd) {
    let shared = Arc::new(Shared {
        inboxes: [Inbox::new(LIMIT), Inbox::new(LIMIT)],
        pool: Pool::default(),
        mtu,
    });
    let end = |own| PairEnd {
        shared: Arc::clone(&shared),
        own,
        sender: Mutex::default(),
    };
    (end(0), end(1))
}

struct Shared {
    /// The frames for each end.
    inboxes: [Inbox; 2],
    pool: Pool,
    mtu: u32,
}

#[derive(Default)]
struct Sender {
    cache: Cache,
    /// Copied and not yet pushed; empty between calls.
    batch: Vec<Packet>,
}

/// One end of a [`pair()`].
pub struct PairEnd {
    shared: Arc<Shared>,
    /// 0 or 1.
    own: usize,
    sender: Mutex<Sender>,
}

impl std::fmt::Debug for PairEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PairEnd").finish_non_exhaustive()
    }
}

impl PairEnd {
    fn own(&self) -> &Inbox {
        &self.shared.inboxes[self.own]
    }

    fn other(&self) -> &Inbox {
        &self.shared.inboxes[1 - self.own]
    }

    /// Copies frames to the other end as long as there is room. Returns how many.
    fn carry(&self, frames: &[Frame<'_>], wakes: &mut Wakes) -> usize {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Sender { cache, batch } = &mut *sender;
        // Of a frame that a panic has left there, nothing is known.
        batch.clear();
        let mut waiting = frames;
        while let Some(mut room) = self.other().room() {
            while let ([frame, rest @ ..], true) = (waiting, room > 0) {
                waiting = rest;
                let len = frame.len();
                if len <= MAX_FRAME {
                    batch.push(cache.copy(&self.shared.pool, frame, len));
                    room = room.saturating_sub(cost(len));
                }
            }
            let own = self.own().waker();
            let more = own.as_ref().filter(|_| !waiting.is_empty());
            let more = more.map(|waker| (self.own, waker));
            let pushed = self.other().push(batch.drain(..), more);
            wakes.append(pushed.wakes);
            if waiting.is_empty() || pushed.refused {
                return frames.len() - waiting.len();
            }
            // A sender that nobody can wake does not wait.
            if own.is_none() {
                break;
            }
        }
        frames.len()
    }
}

impl Link for PairEnd {
    fn info(&self) -> LinkInfo {
        LinkInfo {
            mac: None,
            mtu: self.shared.mtu,
            offloads: Offloads {
                checksum: true,
                tso: true,
                uso: true,
            },
        }
    }

    fn attach(&self, waker: LinkWaker) {
        self.own().attach(waker).wake();
    }

    fn send(&self, frames: &[Frame<'_>]) -> usize {
        let mut wakes = Wakes::default();
        let taken = self.carry(frames, &mut wakes);
        wakes.wake();
        taken
    }

    fn receive(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Option<(usize, FrameHeader)>> {
        let (frame, wakes) = self.own().receive(&self.shared.pool, buffers);
        wakes.wake();
        Ok(frame)
    }

    fn detach(&self) {
        self.own().close().wake();
    }
}

impl Drop for PairEnd {
    fn drop(&mut self) {
        self.detach();
    }
}
