//! [`Netem`]: emulates a network that delays, loses, duplicates or reorders packets.

use std::time::Duration;

use crate::netlink::Body;

/// Options of tc-netem(8), which delays, loses, duplicates or reorders sent packets.
///
/// ```
/// # use drupe_netadmin::Netem;
/// # use std::time::Duration;
/// let satellite = Netem::new().delay(Duration::from_millis(300)).loss(0.01);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
pub struct Netem {
    delay: Duration,
    jitter: Duration,
    loss: f64,
    duplicate: f64,
    reorder: f64,
    corrupt: f64,
    rate: u64,
    limit: u32,
    seed: Option<u64>,
}

impl Default for Netem {
    fn default() -> Netem {
        Netem {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            corrupt: 0.0,
            rate: 0,
            limit: 1000,
            seed: None,
        }
    }
}

impl Netem {
    /// Options under which packets are sent unchanged.
    pub fn new() -> Netem {
        Netem::default()
    }

    /// Delays packets.
    pub fn delay(mut self, delay: Duration) -> Netem {
        self.delay = delay;
        self
    }

    /// Varies the delay by up to this much, either way.
    pub fn jitter(mut self, jitter: Duration) -> Netem {
        self.jitter = jitter;
        self
    }

    /// Loses this fraction of packets: 0.01 is one in a hundred.
    pub fn loss(mut self, part: f64) -> Netem {
        self.loss = part;
        self
    }

    /// Sends this fraction of packets twice.
    pub fn duplicate(mut self, part: f64) -> Netem {
        self.duplicate = part;
        self
    }

    /// Sends this fraction of packets without the delay, before others.
    pub fn reorder(mut self, part: f64) -> Netem {
        self.reorder = part;
        self
    }

    /// Changes one bit in this fraction of packets.
    pub fn corrupt(mut self, part: f64) -> Netem {
        self.corrupt = part;
        self
    }

    /// Limits the rate to this many bytes per second; 0: no limit.
    pub fn rate(mut self, bytes_per_second: u64) -> Netem {
        self.rate = bytes_per_second;
        self
    }

    /// Sets how many packets may wait; more are dropped. Default: 1000.
    pub fn limit(mut self, packets: u32) -> Netem {
        self.limit = packets;
        self
    }

    /// Seeds the random choices, so that the same packets are lost in each run.
    pub fn seed(mut self, seed: u64) -> Netem {
        self.seed = Some(seed);
        self
    }

    /// `struct tc_netem_qopt`, and attributes behind it.
    pub(super) fn options(&self) -> Vec<u8> {
        /// `TCA_NETEM_*`, include/uapi/linux/pkt_sched.h.
        const REORDER: u16 = 3;
        const CORRUPT: u16 = 4;
        const RATE: u16 = 6;
        const RATE64: u16 = 8;
        const LATENCY64: u16 = 10;
        const JITTER64: u16 = 11;
        const SEED: u16 = 14;
        let gap = u32::from(self.reorder > 0.0);
        // Latency and jitter in ticks: the attributes tell instead.
        let words = [
            0,
            self.limit,
            probability(self.loss),
            gap,
            probability(self.duplicate),
            0,
        ];
        let header: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut body = Body::new(&header);
        body.put_u64(LATENCY64, nanos(self.delay));
        body.put_u64(JITTER64, nanos(self.jitter));
        // A probability, and a correlation.
        let pair = |part| u64::from(probability(part)).to_le_bytes();
        if self.reorder > 0.0 {
            body.put(REORDER, &pair(self.reorder));
        }
        if self.corrupt > 0.0 {
            body.put(CORRUPT, &pair(self.corrupt));
        }
        if self.rate > 0 {
            // struct tc_netem_rate: the rate, saturated, and overheads.
            let rate = u32::try_from(self.rate).unwrap_or(u32::MAX);
            let mut value = rate.to_ne_bytes().to_vec();
            value.extend([0; 12]);
            body.put(RATE, &value);
            if rate == u32::MAX {
                body.put_u64(RATE64, self.rate);
            }
        }
        if let Some(seed) = self.seed {
            body.put_u64(SEED, seed);
        }
        body.as_bytes().to_vec()
    }
}

/// A fraction as the kernel has it: of 2³² − 1.
fn probability(part: f64) -> u32 {
    (part.clamp(0.0, 1.0) * f64::from(u32::MAX)) as u32
}

fn nanos(time: Duration) -> u64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX) as u64
}
