//! [`Qdisc`]: queueing disciplines, which decide when an interface sends which packet.

mod netem;

pub use netem::Netem;

use std::time::Duration;

use drupe::{Errno, Error, Result};

use crate::Interface;
use crate::netlink::{Attributes, Body, CREATE, REPLACE};

/// A queueing discipline, as in tc(8). `None` means the kernel's default.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Qdisc {
    /// Emulates a network with delay, loss and so on (tc-netem(8)).
    Netem(Netem),
    /// Fair among flows, and paced; best with BBR (tc-fq(8)).
    Fq {
        /// Limit of each flow's rate in bytes per second.
        max_rate: Option<u32>,
    },
    /// Fair among flows, with short queues (tc-fq_codel(8)).
    FqCodel {
        /// Limit of packets in all queues.
        limit: Option<u32>,
        /// The target of the time that packets wait.
        target: Option<Duration>,
        /// Whether to mark packets instead of dropping them, if they allow it.
        ecn: Option<bool>,
    },
    /// Limits the rate (tc-tbf(8)).
    Tbf {
        /// Bytes per second.
        rate: u64,
        /// Bytes that may be sent at once, at least the largest packet.
        burst: u32,
        /// Bytes that may wait.
        limit: u32,
    },
    /// Classes with a rate each, which lend each other their unused rates (tc-htb(8)).
    /// The first class is `1:1`, and so on. A socket's priority selects its class
    /// ([`Socket::set_priority`](drupe::net::Socket::set_priority) with `0x1_0001` for
    /// `1:1`).
    Htb {
        /// The classes, all below the root.
        classes: Vec<HtbClass>,
        /// Number of the class of packets that select none, from 1; 0: they are sent
        /// without waiting.
        default: u16,
    },
    /// Any other discipline, with its defaults: "cake", "pfifo_fast", "sfq".
    Other(String),
}

/// A class of [`Qdisc::Htb`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HtbClass {
    /// Its rate in bytes per second.
    pub rate: u64,
    /// Its highest rate in bytes per second, when other classes do not use theirs.
    pub ceiling: u64,
    /// Its priority for unused rates of other classes, 0 (first) to 7.
    pub priority: u32,
}

/// `TC_H_ROOT`, include/uapi/linux/pkt_sched.h.
const ROOT: u32 = u32::MAX;
/// `1:0`.
const FIRST: u32 = 1 << 16;
/// `TCA_KIND`, `TCA_OPTIONS`, include/uapi/linux/rtnetlink.h.
const KIND: u16 = 1;
const OPTIONS: u16 = 2;
/// `TC_LINKLAYER_ETHERNET`: rates are not looked up in tables.
const ETHERNET: u8 = 1;

/// `struct tcmsg`: family, index, handle, parent, info.
fn tcmsg(index: u32, handle: u32, parent: u32) -> Body {
    let mut header = [0; 20];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&handle.to_ne_bytes());
    header[12..16].copy_from_slice(&parent.to_ne_bytes());
    Body::new(&header)
}

/// `struct tc_ratespec`: the rate in bytes per second, saturated.
fn ratespec(rate: u64) -> [u8; 12] {
    let mut spec = [0; 12];
    spec[1] = ETHERNET;
    let rate = u32::try_from(rate).unwrap_or(u32::MAX);
    spec[8..].copy_from_slice(&rate.to_ne_bytes());
    spec
}

/// The kernel's unit of time for bursts: 64 ns (`PSCHED_SHIFT`).
fn ticks(bytes: u64, rate: u64) -> u32 {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
    u32::try_from(nanos >> 6).unwrap_or(u32::MAX)
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

impl Qdisc {
    fn name(&self) -> &str {
        match self {
            Qdisc::Netem(_) => "netem",
            Qdisc::Fq { .. } => "fq",
            Qdisc::FqCodel { .. } => "fq_codel",
            Qdisc::Tbf { .. } => "tbf",
            Qdisc::Htb { .. } => "htb",
            Qdisc::Other(name) => name,
        }
    }

    /// Adds the value of `TCA_OPTIONS`.
    fn put(&self, body: &mut Body) {
        match self {
            Qdisc::Netem(netem) => {
                body.put(OPTIONS, &netem.options());
            }
            Qdisc::Fq { max_rate } => {
                /// `TCA_FQ_FLOW_MAX_RATE`.
                const MAX_RATE: u16 = 7;
                body.nest(OPTIONS, |options| {
                    if let Some(rate) = max_rate {
                        options.put_u32(MAX_RATE, *rate);
                    }
                });
            }
            Qdisc::FqCodel { limit, target, ecn } => {
                /// `TCA_FQ_CODEL_*`.
                const TARGET: u16 = 1;
                const LIMIT: u16 = 2;
                const ECN: u16 = 4;
                body.nest(OPTIONS, |options| {
                    if let Some(target) = target {
                        options.put_u32(TARGET, micros(*target));
                    }
                    if let Some(limit) = limit {
                        options.put_u32(LIMIT, *limit);
                    }
                    if let Some(ecn) = ecn {
                        options.put_u32(ECN, (*ecn).into());
                    }
                });
            }
            Qdisc::Tbf { rate, burst, limit } => {
                /// `TCA_TBF_*`.
                const PARAMETERS: u16 = 1;
                const RATE64: u16 = 4;
                const BURST: u16 = 6;
                // struct tc_tbf_qopt: rate, peak rate, limit, buffer, mtu.
                let mut parameters = [ratespec(*rate), [0; 12]].concat();
                parameters.extend(limit.to_ne_bytes());
                parameters.extend(ticks((*burst).into(), *rate).to_ne_bytes());
                parameters.extend([0; 4]);
                body.nest(OPTIONS, |options| {
                    options.put(PARAMETERS, &parameters);
                    options.put_u32(BURST, *burst);
                    if *rate > u32::MAX.into() {
                        options.put_u64(RATE64, *rate);
                    }
                });
            }
            Qdisc::Htb { default, .. } => {
                /// `TCA_HTB_INIT`.
                const INIT: u16 = 2;
                // struct tc_htb_glob: version, rate to quantum, default class,
                // debugging, packets sent directly.
                let words = [3, 10, u32::from(*default), 0, 0];
                let init: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
                body.nest(OPTIONS, |options| {
                    options.put(INIT, &init);
                });
            }
            Qdisc::Other(_) => {}
        }
    }
}

impl HtbClass {
    /// `struct tc_htb_opt`: rate, ceiling, their buffers, quantum, level,
    /// priority.
    fn options(&self, options: &mut Body) {
        /// `TCA_HTB_*`.
        const PARAMETERS: u16 = 1;
        const RATE64: u16 = 6;
        const CEILING64: u16 = 7;
        /// Bytes of the largest packet that the network stack passes to a device.
        const LARGEST: u64 = 64 << 10;
        // What 1 ms brings, or a packet.
        let buffer = |rate: u64| ticks((rate / 1000).max(LARGEST), rate);
        let mut parameters = [ratespec(self.rate), ratespec(self.ceiling)].concat();
        let words = [
            buffer(self.rate),
            buffer(self.ceiling),
            1514,
            0,
            self.priority,
        ];
        parameters.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        options.put(PARAMETERS, &parameters);
        options.put_u64(RATE64, self.rate);
        options.put_u64(CEILING64, self.ceiling);
    }
}

impl Interface {
    /// Replaces the interface's queueing discipline.
    pub fn set_qdisc(&self, qdisc: &Qdisc) -> Result<()> {
        let operation = "set qdisc";
        let handle = match qdisc {
            // Its classes need a name to be put under; a fresh one has none.
            Qdisc::Htb { .. } => {
                self.forget_qdisc()?;
                FIRST
            }
            _ => 0,
        };
        let mut body = tcmsg(self.index(), handle, ROOT);
        body.put_str(KIND, qdisc.name());
        qdisc.put(&mut body);
        let flags = CREATE | REPLACE;
        self.network()
            .change(operation, libc::RTM_NEWQDISC, flags, &body)?;
        let Qdisc::Htb { classes, .. } = qdisc else {
            return Ok(());
        };
        for (number, class) in (1..).zip(classes) {
            let mut body = tcmsg(self.index(), FIRST + number, FIRST);
            body.put_str(KIND, qdisc.name());
            body.nest(OPTIONS, |options| class.options(options));
            self.network()
                .change(operation, libc::RTM_NEWTCLASS, CREATE, &body)?;
        }
        Ok(())
    }

    /// Restores the interface's default queueing discipline.
    pub fn remove_qdisc(&self) -> Result<()> {
        let body = tcmsg(self.index(), 0, ROOT);
        self.network()
            .change("remove qdisc", libc::RTM_DELQDISC, 0, &body)
    }

    fn forget_qdisc(&self) -> Result<()> {
        match self.remove_qdisc() {
            // It had the one that it has by default.
            Err(error) if matches!(error.errno(), Some(Errno::NOENT | Errno::INVAL)) => Ok(()),
            result => result,
        }
    }

    /// The name of its discipline ("noqueue" if packets never wait), and how many packets
    /// it has dropped.
    pub fn qdisc(&self) -> Result<(String, u32)> {
        /// `TCA_STATS2`, and `TCA_STATS_QUEUE` in it: struct gnet_stats_queue.
        const STATISTICS: u16 = 7;
        const QUEUE: u16 = 3;
        let body = tcmsg(self.index(), 0, 0);
        let all = self.network().all("qdisc", libc::RTM_GETQDISC, &body)?;
        let mut roots = all.iter().filter(|message| {
            let word = |at: usize| message.payload.get(at..at + 4);
            word(4) == Some(&self.index().to_ne_bytes()[..])
                && word(12) == Some(&ROOT.to_ne_bytes()[..])
        });
        let Some(root) = roots.next() else {
            return Err(Error::new("qdisc", Errno::NOENT));
        };
        let attributes = Attributes::behind(20, &root.payload);
        let name = attributes.clone().find(KIND);
        let queue = attributes
            .find(STATISTICS)
            .and_then(|statistics| statistics.nested().find(QUEUE));
        let dropped = queue.and_then(|queue| queue.value.get(8..12)?.try_into().ok());
        Ok((
            name.map(|name| name.text()).unwrap_or_default(),
            dropped.map_or(0, u32::from_ne_bytes),
        ))
    }
}
