//! [`SwitchOptions`] and [`PortOptions`] of a switch; [`PortCounters`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use drupe_host::link::Offloads;

use crate::inbox;

/// Options of a [`Switch`](super::Switch), common to all ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwitchOptions {
    /// Largest payload of a frame in bytes, 68 to 65,521. Default: 1500.
    pub mtu: u32,
    /// The offloads of all ports. Default: all. Without `tso` and `uso` each frame is as
    /// on a wire, so that loss and rates are realistic; with them, a frame of 64 KiB is
    /// lost as a whole.
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

/// Options of the cable between a kernel and a port of a [`Switch`](super::Switch), for
/// each direction. By default frames arrive at once, and a sender waits for a slow
/// receiver for up to 50 ms.
#[derive(Debug, Clone, PartialEq)]
pub struct PortOptions {
    /// The delay of each frame, in addition to the time that `rate` takes. At most an
    /// hour.
    pub delay: Duration,
    /// Rate in bits per second, counting the bytes of the frame. `None`: no limit.
    pub rate: Option<u64>,
    /// The fraction of frames that are lost: 0.0 to 1.0.
    pub loss: f64,
    /// The fraction of frames that arrive twice: 0.0 to 1.0.
    pub duplicate: f64,
    /// The fraction of frames that are held back, so that later ones overtake them: 0.0
    /// to 1.0.
    pub reorder: f64,
    /// How long such a frame is held back. Default: 1 ms; at most an hour.
    pub reorder_delay: Duration,
    /// The random seed of loss, duplication and reordering. With the same seed, the same
    /// frames (by their number in each direction) are affected.
    pub seed: u64,
    /// Size in bytes of the queue for `rate`, and of the queue for the receiver. When a
    /// queue is full, frames are lost if any of delay, rate, loss, duplication or
    /// reordering is set; otherwise the sender waits. Default: 1 MiB.
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
    /// Whether any of delay, rate, loss, duplication and reordering is set.
    pub(super) fn shapes(&self) -> bool {
        let chances = self.loss + self.duplicate + self.reorder;
        !self.delay.is_zero() || self.rate.is_some() || chances > 0.0
    }
}

/// Counters of a port since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PortCounters {
    /// Frames that the kernel has sent.
    pub sent_frames: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Frames that were put into the kernel's queue.
    pub received_frames: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Frames from the kernel that were lost on the cable, or malformed.
    pub sent_drops: u64,
    /// Frames for the kernel that were lost on the cable, or found its queue full.
    pub received_drops: u64,
}

/// The atomics behind [`PortCounters`]. Relaxed: nothing depends on their order.
#[derive(Debug, Default)]
pub(super) struct Counters {
    sent: [AtomicU64; 2],
    received: [AtomicU64; 2],
    pub(super) sent_drops: Counter,
    pub(super) received_drops: Counter,
}

/// One counter.
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
