//! [`Port`]: a link to a switch; [`Cable`]: the switch's side of a port.

use std::io::{self, IoSliceMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use drupe_host::link::{Frame, FrameHeader, Link, LinkInfo, LinkWaker};

use super::options::Counters;
use super::shaper::Shaper;
use super::{Forward, PortCounters, PortOptions, Shared};
use crate::inbox::{Inbox, Wakes};
use crate::packet::{Cache, MAX_FRAME, Packet};

/// A port, with the cable to its kernel.
pub(super) struct Cable {
    pub(super) number: usize,
    pub(super) inbox: Inbox,
    /// For frames from the kernel, and to it. `None`: frames arrive at once.
    pub(super) shapers: Option<[Shaper; 2]>,
    pub(super) counters: Counters,
    /// Whether a check is scheduled that the kernel takes frames.
    watched: AtomicBool,
}

impl Cable {
    pub(super) fn new(number: usize, options: &PortOptions) -> Cable {
        let shapers = || [0, 1].map(|way| Shaper::new(options, way));
        Cable {
            number,
            inbox: Inbox::new(options.queue),
            shapers: options.shapes().then(shapers),
            counters: Counters::default(),
            watched: AtomicBool::new(false),
        }
    }

    /// Marks it as watched; returns whether it was already. AcqRel: pairs with the swap
    /// in `stop_watching`. A sender that gets `true` has marked itself as refused before,
    /// and the thread that stops watching looks for marks afterwards.
    pub(super) fn watch(&self) -> bool {
        self.watched.swap(true, Ordering::AcqRel)
    }

    /// Clears the mark. The caller must check for refused senders afterwards.
    pub(super) fn stop_watching(&self) {
        self.watched.swap(false, Ordering::AcqRel);
    }

    /// Puts a frame into the kernel's queue, if there is room.
    pub(super) fn deliver(&self, packet: Packet, wakes: &mut Wakes) {
        let len = packet.data.len() as u64;
        if self.inbox.room().is_none_or(|room| room == 0) {
            self.counters.received_drops.add(1);
            return;
        }
        self.counters.received(1, len);
        let pushed = self.inbox.push(std::iter::once(packet), None);
        wakes.append(pushed.wakes);
    }
}

/// A port's buffers for sending. Empty between calls, except the cache.
#[derive(Default)]
pub(super) struct Sender {
    pub(super) cache: Cache,
    pub(super) batch: Vec<Packet>,
}

/// A link to a [`Switch`](super::Switch). It is removed from the switch when it is
/// dropped, or when its kernel drops it.
pub struct Port {
    switch: Arc<Shared>,
    cable: Arc<Cable>,
    sender: Mutex<Sender>,
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = self.cable.number;
        f.debug_struct("Port")
            .field("number", &number)
            .finish_non_exhaustive()
    }
}

impl Port {
    pub(super) fn new(switch: Arc<Shared>, cable: Arc<Cable>) -> Port {
        Port {
            switch,
            cable,
            sender: Mutex::default(),
        }
    }

    /// Its counters.
    pub fn counters(&self) -> PortCounters {
        self.cable.counters.snapshot()
    }

    /// Sends as many frames as there is room for. Returns how many.
    fn carry(&self, frames: &[Frame<'_>], wakes: &mut Wakes) -> usize {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        // Of frames that a panic has left there, nothing is known.
        sender.batch.clear();
        let (taken, bytes) = match &self.cable.shapers {
            None => Forward::new(&self.switch, &self.cable, &mut sender, wakes).send(frames),
            Some([shaper, _]) => {
                let mut bytes = 0;
                for frame in frames {
                    let len = frame.len();
                    bytes += len;
                    if len > MAX_FRAME {
                        self.cable.counters.sent_drops.add(1);
                        continue;
                    }
                    let packet = sender.cache.copy(&self.switch.pool, frame, len);
                    self.switch
                        .shape(&self.cable, shaper, &mut sender.cache, packet, true);
                }
                (frames.len(), bytes)
            }
        };
        self.cable.counters.sent(taken as u64, bytes as u64);
        taken
    }
}

impl Link for Port {
    fn info(&self) -> LinkInfo {
        LinkInfo {
            mac: None,
            mtu: self.switch.options.mtu,
            offloads: self.switch.options.offloads,
        }
    }

    fn attach(&self, waker: LinkWaker) {
        self.cable.inbox.attach(waker).wake();
    }

    fn send(&self, frames: &[Frame<'_>]) -> usize {
        let mut wakes = Wakes::default();
        let taken = self.carry(frames, &mut wakes);
        wakes.wake();
        taken
    }

    fn receive(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Option<(usize, FrameHeader)>> {
        let (frame, wakes) = self.cable.inbox.receive(&self.switch.pool, buffers);
        wakes.wake();
        Ok(frame)
    }

    fn detach(&self) {
        self.switch.change(|table| table.remove(self.cable.number));
        self.cable.inbox.close().wake();
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.detach();
    }
}
