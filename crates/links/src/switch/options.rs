//! What a switch and its ports are like, and what a port has counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use drupe_host::link::Offloads;

use crate::inbox;

/// What all ports of a [`Switch`](super::Switch) have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwitchOptions {
    /// Largest payload of a frame in bytes, 68 to 65,521. 1500 unless set.
    pub mtu: u32,
    /// What frames may lack; all unless set. Without `tso` and `uso` each frame
    /// is one as it goes over a wire, so that loss and rates mean what they do
    /// there; with them, a frame of 64 KiB is lost as a whole.
    pub offloads: Offloads,
}

impl Default for SwitchOptions {
    fn default() -> SwitchOptions {
        SwitchOptions {
            mtu: 1500,
            offloads: Offloads {
                checksum: true,
                tso: true,
                uso: true,
            },
        }
    }
}

/// What the cable between a kernel and a port of a [`Switch`](super::Switch) does
/// to frames, each way. Unless something is set, it does nothing: frames are there at
/// once, and a sender waits while a receiver is slow, if it is not for more than
/// 50 ms.
#[derive(Debug, Clone, PartialEq)]
pub struct PortOptions {
    /// How long a frame is on its way, beside the time that its rate costs. At
    /// most an hour.
    pub delay: Duration,
    /// Bits per second, counting the bytes of the frame. `None`: no bound.
    pub rate: Option<u64>,
    /// How many frames of 1 are lost: 0.0 to 1.0.
    pub loss: f64,
    /// How many frames of 1 come twice: 0.0 to 1.0.
    pub duplicate: f64,
    /// How many frames of 1 are held back, so that later ones overtake them: 0.0
    /// to 1.0.
    pub reorder: f64,
    /// How long a frame is held back. 1 ms unless set; at most an hour.
    pub reorder_delay: Duration,
    /// What loss, duplication and reordering are drawn from: with the same seed
    /// the same frames, counted one by one each way, share the same fate.
    pub seed: u64,
    /// Bytes that may wait for `rate`, and bytes that may wait for the receiver.
    /// What comes when they do is lost if there is any of delay, rate, loss,
    /// duplication or reordering; otherwise the sender waits. 1 MiB unless set.
    pub queue: usize,
}

impl Default for PortOptions {
    fn default() -> PortOptions {
        PortOptions {
            delay: Duration::ZERO,
            rate: None,
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_delay: Duration::from_millis(1),
            seed: 0,
            queue: inbox::LIMIT,
        }
    }
}

impl PortOptions {
    /// Whether frames meet anything on their way.
    pub(super) fn shapes(&self) -> bool {
        let chances = self.loss + self.duplicate + self.reorder;
        !self.delay.is_zero() || self.rate.is_some() || chances > 0.0
    }
}

/// What a port has counted since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PortCounters {
    /// Frames taken from the kernel.
    pub sent_frames: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Frames put into the queue for the kernel.
    pub received_frames: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Frames from the kernel that were lost on the cable, or were none.
    pub sent_drops: u64,
    /// Frames for the kernel that were lost on the cable, or found no room.
    pub received_drops: u64,
}

/// [`PortCounters`] while they count. Nothing depends on their order: relaxed.
#[derive(Debug, Default)]
pub(super) struct Counters {
    sent: [AtomicU64; 2],
    received: [AtomicU64; 2],
    pub(super) sent_drops: Counter,
    pub(super) received_drops: Counter,
}

/// One that counts up.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
}

impl Counters {
    pub(super) fn sent(&self, frames: u64, bytes: u64) {
        self.sent[0].fetch_add(frames, Ordering::Relaxed);
        self.sent[1].fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn received(&self, frames: u64, bytes: u64) {
        self.received[0].fetch_add(frames, Ordering::Relaxed);
        self.received[1].fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> PortCounters {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PortCounters {
            sent_frames: load(&self.sent[0]),
            sent_bytes: load(&self.sent[1]),
            received_frames: load(&self.received[0]),
            received_bytes: load(&self.received[1]),
            sent_drops: load(&self.sent_drops.0),
            received_drops: load(&self.received_drops.0),
        }
    }
}
