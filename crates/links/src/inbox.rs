//! [`Inbox`]: the queue of frames for one receiver, usually a kernel.
//!
//! Any number of threads push frames; one at a time receives. The inbox also notes
//! whether the receiver has found it empty (`idle`: the next push wakes it), and which
//! senders have found it full (`refused`: the receiver wakes them once there is room).
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
//! So no flag needs a memory order of its own: the lock orders them. No thread is woken
//! while the lock is held, because waking may run a whole kernel: the thread that removes
//! a mark gets [`Wakes`], to use when it holds no lock.
//!
//! The receiver takes all frames at once, and copies them out without the lock. These no
//! longer count against the limit, so up to twice the limit may be stored.

use std::collections::VecDeque;
use std::io::IoSliceMut;

use drupe_host::link::{FrameHeader, LinkWaker};

use crate::packet::{Cache, Packet, Pool};
use crate::sync::{Mutex, lock};

/// The default limit: bytes that may wait before senders are refused.
pub(crate) const LIMIT: usize = 1 << 20;

/// The receivers and senders to wake. Use it without holding any lock.
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

/// The result of a push.
#[derive(Debug)]
pub(crate) struct Pushed {
    pub(crate) wakes: Wakes,
    /// Whether the sender was marked because there was no room.
    pub(crate) refused: bool,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Packet>,
    /// The cost of `frames` in bytes.
    bytes: usize,
    /// The receiver's waker, once there is one.
    waker: Option<LinkWaker>,
    /// The receiver has found the inbox empty, and was not woken since.
    idle: bool,
    /// There is no receiver any more.
    closed: bool,
    /// Senders by their numbers that wait for room.
    refused: Vec<(usize, LinkWaker)>,
    /// How often the receiver has taken frames.
    drains: u64,
    /// The receiver takes nothing although it was woken: frames without room are lost
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

/// The queue of frames for one receiver.
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    /// The frames that the receiver has taken. Only the receiver locks it.
    received: Mutex<Received>,
    /// The number of waiting bytes from which on there is no room.
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

    /// Sets the receiver's waker. It is woken if frames wait already.
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

    /// The receiver's waker, to mark it as a sender in another inbox.
    pub(crate) fn waker(&self) -> Option<LinkWaker> {
        lock(&self.queue).waker.clone()
    }

    /// Removes the receiver: later frames are lost, and waiting senders are woken.
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

    /// The room in bytes: frames may be pushed until they cost as much. `None`: any frame
    /// would be lost.
    pub(crate) fn room(&self) -> Option<usize> {
        let queue = lock(&self.queue);
        match self.limit.saturating_sub(queue.bytes) {
            _ if queue.closed => None,
            // Nobody receives, or not any more.
            0 if queue.stuck || queue.waker.is_none() => None,
            room => Some(room),
        }
    }

    /// Appends `frames`, even if there is no room. `more`: the number of a sender that
    /// has another frame without room. Unless the result says `refused`, it must ask for
    /// [`Inbox::room`] again.
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

    /// Copies the next frame into `buffers`.
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

    /// How often the receiver has taken the waiting frames.
    pub(crate) fn drains(&self) -> u64 {
        lock(&self.queue).drains
    }

    /// If nothing was taken since `drains`, frames without room are lost from now on,
    /// until something is taken. Returns whether senders still wait for room.
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
