//! [`Inbox`]: the frames that wait for one receiver, a kernel mostly.
//!
//! Any number of threads bring frames; one at a time receives. Two things are
//! remembered beside the frames: whether the receiver has found nothing (`idle`:
//! who brings the next frame wakes it), and which senders have found no room
//! (`refused`: the receiver wakes them once there is some).
//!
//! ```text
//!              found nothing                      found no room
//!   receiver ────────────────▶ idle     sender ────────────────▶ refused
//!      ▲                        │          ▲                        │
//!      └── woken ◀── push ──────┘          └── woken ◀── receive ───┘
//! ```
//!
//! Both marks are made, and taken away, under the lock that protects the frames:
//! - A receiver is marked in the same critical section in which it finds the
//!   queue empty, so the next `push` sees the mark, and takes it away: one wake
//!   for each time that nothing was found, however many frames come.
//! - A sender is marked in the same critical section in which it finds the queue
//!   full, hence not empty, so the next `receive` that takes what is there sees
//!   the mark.
//!
//! So no flag needs a memory order of its own: the lock is the partner. Nobody is
//! woken with the lock held, because that may run a whole kernel: whoever takes a
//! mark away gets wakers, to use when it holds nothing ([`Wakes`]).
//!
//! The receiver takes all frames at once, and copies them out without the lock.
//! They no longer count then; so twice the limit may be there.

use std::collections::VecDeque;
use std::io::IoSliceMut;

use drupe_host::link::{FrameHeader, LinkWaker};

use crate::packet::{Cache, Packet, Pool};
use crate::sync::{Mutex, lock};

/// Bytes that wait for a receiver before senders find no room, if nothing else
/// is said.
pub(crate) const LIMIT: usize = 1 << 20;

/// Who is to be woken. To be used without holding any lock.
#[derive(Debug, Default)]
#[must_use = "somebody would sleep for ever"]
pub(crate) struct Wakes {
    first: Option<LinkWaker>,
    rest: Vec<LinkWaker>,
}

impl Wakes {
    pub(crate) fn add(&mut self, waker: LinkWaker) {
        match self.first {
            None => self.first = Some(waker),
            Some(_) => self.rest.push(waker),
        }
    }

    pub(crate) fn append(&mut self, other: Wakes) {
        for waker in other.first.into_iter().chain(other.rest) {
            self.add(waker);
        }
    }

    /// Wakes them all. May run kernels.
    pub(crate) fn wake(self) {
        for waker in self.first.into_iter().chain(self.rest) {
            // One that is gone says so by `detach`, or by its drop.
            let _ = waker.wake();
        }
    }
}

/// What has become of the frames.
#[derive(Debug)]
pub(crate) struct Pushed {
    pub(crate) wakes: Wakes,
    /// The sender was marked, because there was no room left.
    pub(crate) refused: bool,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Packet>,
    /// What `frames` cost.
    bytes: usize,
    /// The receiver, once there is one.
    waker: Option<LinkWaker>,
    /// It has found nothing, and was not woken since.
    idle: bool,
    /// There will be none any more.
    closed: bool,
    /// Senders by their numbers that wait for room.
    refused: Vec<(usize, LinkWaker)>,
    /// Times that the receiver has taken frames.
    drains: u64,
    /// The receiver takes nothing though it was woken: what has no room is lost
    /// until it does.
    stuck: bool,
}

impl Queue {
    fn take_refused(&mut self, wakes: &mut Wakes) {
        for (_, waker) in self.refused.drain(..) {
            wakes.add(waker);
        }
    }
}

#[derive(Default)]
struct Received {
    frames: VecDeque<Packet>,
    cache: Cache,
}

/// The frames that wait for one receiver.
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    /// What the receiver has taken. Nobody else locks it.
    received: Mutex<Received>,
    /// Bytes from which on there is no room.
    limit: usize,
}

impl Inbox {
    /// `limit`: bytes. There is room as long as fewer wait, even for a frame
    /// that is longer than the rest.
    pub(crate) fn new(limit: usize) -> Inbox {
        let queue = Queue {
            // It has not looked yet.
            idle: true,
            ..Queue::default()
        };
        Inbox {
            queue: Mutex::new(queue),
            received: Mutex::new(Received::default()),
            limit: limit.max(1),
        }
    }

    /// The receiver is there. It is woken if frames are already.
    pub(crate) fn attach(&self, waker: LinkWaker) -> Wakes {
        let mut wakes = Wakes::default();
        let mut queue = lock(&self.queue);
        if !queue.frames.is_empty() {
            queue.idle = false;
            wakes.add(waker.clone());
        }
        queue.waker = Some(waker);
        wakes
    }

    /// Its waker; to mark it as a sender elsewhere.
    pub(crate) fn waker(&self) -> Option<LinkWaker> {
        lock(&self.queue).waker.clone()
    }

    /// There is no receiver any more: what comes is lost, nobody waits for room.
    pub(crate) fn close(&self) -> Wakes {
        let mut wakes = Wakes::default();
        let mut queue = lock(&self.queue);
        queue.closed = true;
        queue.waker = None;
        queue.bytes = 0;
        queue.take_refused(&mut wakes);
        let frames = std::mem::take(&mut queue.frames);
        drop(queue);
        drop(frames);
        wakes
    }

    /// Bytes that there is room for: frames may be pushed until they cost as much.
    /// `None`: any frame would be lost.
    pub(crate) fn room(&self) -> Option<usize> {
        let queue = lock(&self.queue);
        match self.limit.saturating_sub(queue.bytes) {
            _ if queue.closed => None,
            // Nobody receives, or not any more.
            0 if queue.stuck || queue.waker.is_none() => None,
            room => Some(room),
        }
    }

    /// Puts `frames` behind those that wait, whatever room there is. `more`: the
    /// sender, by its number, has another one for which there was no room; it is
    /// to ask for [`Inbox::room`] again unless it was refused.
    pub(crate) fn push(
        &self,
        frames: impl Iterator<Item = Packet>,
        more: Option<(usize, &LinkWaker)>,
    ) -> Pushed {
        let mut wakes = Wakes::default();
        let mut queue = lock(&self.queue);
        for frame in frames {
            if !queue.closed {
                queue.bytes += frame.cost();
                queue.frames.push_back(frame);
            }
        }
        if queue.idle
            && !queue.frames.is_empty()
            && let Some(waker) = &queue.waker
        {
            wakes.add(waker.clone());
            queue.idle = false;
        }
        let mut refused = false;
        if let Some((number, waker)) = more {
            refused = queue.bytes >= self.limit && queue.waker.is_some() && !queue.stuck;
            if refused && !queue.refused.iter().any(|(other, _)| *other == number) {
                queue.refused.push((number, waker.clone()));
            }
        }
        Pushed { wakes, refused }
    }

    /// The next frame, copied into `buffers`.
    pub(crate) fn receive(
        &self,
        pool: &Pool,
        buffers: &mut [IoSliceMut<'_>],
    ) -> (Option<(usize, FrameHeader)>, Wakes) {
        let mut wakes = Wakes::default();
        let mut received = lock(&self.received);
        if received.frames.is_empty() {
            let mut queue = lock(&self.queue);
            if queue.frames.is_empty() {
                queue.idle = true;
                return (None, wakes);
            }
            std::mem::swap(&mut queue.frames, &mut received.frames);
            queue.bytes = 0;
            queue.drains += 1;
            queue.stuck = false;
            queue.take_refused(&mut wakes);
        }
        let frame = received.frames.pop_front().map(|packet| {
            let got = packet.copy_to(buffers);
            received.cache.put(pool, packet);
            got
        });
        (frame, wakes)
    }

    /// Times that the receiver has taken what waited.
    pub(crate) fn drains(&self) -> u64 {
        lock(&self.queue).drains
    }

    /// If nothing was taken since `drains`, what has no room is lost from now on,
    /// until something is. Whether senders still wait for room.
    pub(crate) fn give_up(&self, drains: u64) -> (bool, Wakes) {
        let mut wakes = Wakes::default();
        let mut queue = lock(&self.queue);
        if queue.drains == drains {
            queue.stuck = true;
            queue.take_refused(&mut wakes);
        }
        (!queue.refused.is_empty(), wakes)
    }
}
