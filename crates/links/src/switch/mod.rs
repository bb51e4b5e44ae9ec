//! [`Switch`]: an Ethernet switch in the process.
//!
//! It learns which address is behind which port, as a bridge does (IEEE 802.1D),
//! and sends frames to others, or to a group, to all ports. A frame is copied
//! once from the sending kernel, and once into the receiving one:
//!
//! ```text
//!   send ──▶ (shaper ──▶ timer) ──▶ Forward ──▶ (shaper ──▶ timer) ──▶ inbox ──▶ receive
//!             cable of the sender   by table     cable of the receiver
//! ```
//!
//! - [`port`]: a port, which is a link, and its cable.
//! - [`table`]: ports and addresses.
//! - [`shaper`]: delay, rate and loss of a cable; [`timer`]: the thread that delivers
//!   delayed frames.
//!
//! **Flow control.** If a frame goes to one port, its cable has no delay, rate or loss,
//! and its queue is full, the sending kernel keeps the frame and is woken when there is
//! room. If the receiver takes nothing for [`PATIENCE`], senders no longer wait: frames
//! to it are lost until it takes some. Frames to all ports are lost where there is no
//! room.

mod options;
mod port;
mod shaper;
mod table;
mod timer;

use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use drupe_host::link::Frame;

use crate::inbox::Wakes;
use crate::packet::{Cache, MAX_FRAME, Packet, Pool, cost, head};
pub use options::{PortCounters, PortOptions, SwitchOptions};
pub use port::Port;
use port::{Cable, Sender};
use shaper::{Fate, Shaper};
use table::{Mac, Table, is_group};
use timer::{Serve, Timer};

/// How long senders wait for a receiver whose queue is full.
const PATIENCE: Duration = Duration::from_millis(50);

/// An Ethernet switch in the process. Clones are handles to the same switch, which exists
/// as long as a handle or a port.
#[derive(Clone)]
pub struct Switch(Arc<Shared>);

impl std::fmt::Debug for Switch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Switch").finish_non_exhaustive()
    }
}

impl Default for Switch {
    fn default() -> Switch {
        Switch::with(SwitchOptions::default())
    }
}

impl Switch {
    /// A switch without ports, for frames of 1500 bytes and any offload.
    pub fn new() -> Switch {
        Switch::default()
    }

    /// A switch without ports.
    pub fn with(options: SwitchOptions) -> Switch {
        Switch(Arc::new_cyclic(|own| Shared {
            own: Weak::clone(own),
            options,
            table: RwLock::default(),
            pool: Pool::default(),
            timer: Timer::default(),
        }))
    }

    /// A new port.
    pub fn port(&self, options: PortOptions) -> Port {
        let cable = self.0.change(|table| {
            let number = table.next;
            table.next += 1;
            let cable = Arc::new(Cable::new(number, &options));
            table.ports.push(Arc::clone(&cable));
            cable
        });
        Port::new(Arc::clone(&self.0), cable)
    }
}

struct Shared {
    own: Weak<Shared>,
    options: SwitchOptions,
    table: RwLock<Arc<Table>>,
    pool: Pool,
    timer: Timer<Event>,
}

/// An event of the timer.
enum Event {
    /// A frame arrives at the switch's end of a cable, or at the kernel's.
    Arrives {
        cable: Arc<Cable>,
        packet: Packet,
        at_switch: bool,
    },
    /// Check whether the receiver with a full queue has taken frames since.
    StillFull { cable: Arc<Cable>, drains: u64 },
}

impl Shared {
    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut table))
    }

    fn schedule(&self, due: Instant, event: Event) {
        self.timer.schedule(&self.own, due, event);
    }

    /// Sends a frame along a cable. `from_kernel`: towards the switch.
    fn shape(
        &self,
        cable: &Arc<Cable>,
        shaper: &Shaper,
        cache: &mut Cache,
        packet: Packet,
        from_kernel: bool,
    ) {
        let arrives = |packet| Event::Arrives {
            cable: Arc::clone(cable),
            packet,
            at_switch: from_kernel,
        };
        match shaper.send(Instant::now(), packet.data.len()) {
            Fate::Lost => {
                match from_kernel {
                    true => cable.counters.sent_drops.add(1),
                    false => cable.counters.received_drops.add(1),
                }
                cache.put(&self.pool, packet);
            }
            Fate::Arrives(at, again) => {
                if let Some(again) = again {
                    self.schedule(again, arrives(cache.clone(&self.pool, &packet)));
                }
                self.schedule(at, arrives(packet));
            }
        }
    }
}

impl Serve for Shared {
    type Event = Event;

    fn serve(&self, events: &mut Vec<Event>) {
        let mut wakes = Wakes::default();
        let mut sender = Sender::default();
        for event in events.drain(..) {
            match event {
                Event::Arrives {
                    cable,
                    packet,
                    at_switch,
                } => {
                    if let Some([from_kernel, to_kernel]) = &cable.shapers {
                        let shaper = if at_switch { from_kernel } else { to_kernel };
                        shaper.arrived(packet.data.len());
                    }
                    match at_switch {
                        true => Forward::new(self, &cable, &mut sender, &mut wakes).one(packet),
                        false => cable.deliver(packet, &mut wakes),
                    }
                }
                Event::StillFull { cable, drains } => {
                    cable.stop_watching();
                    let (waiting, woken) = cable.inbox.give_up(drains);
                    wakes.append(woken);
                    if waiting {
                        self.look_again(&cable);
                    }
                }
            }
        }
        wakes.wake();
    }
}

impl Shared {
    /// Schedules the check of a receiver for which a sender waits.
    fn look_again(&self, cable: &Arc<Cable>) {
        if cable.watch() {
            return;
        }
        let drains = cable.inbox.drains();
        let cable = Arc::clone(cable);
        self.schedule(
            Instant::now() + PATIENCE,
            Event::StillFull { cable, drains },
        );
    }
}

/// Forwards frames of one port to others.
struct Forward<'a> {
    switch: &'a Shared,
    from: &'a Arc<Cable>,
    table: Arc<Table>,
    /// The sending port's buffers; `batch` has frames for the port of the previous
    /// frames.
    sender: &'a mut Sender,
    wakes: &'a mut Wakes,
}

/// The destination of a frame.
enum Target {
    Nowhere,
    One(Arc<Cable>),
    All,
}

impl<'a> Forward<'a> {
    fn new(
        switch: &'a Shared,
        from: &'a Arc<Cable>,
        sender: &'a mut Sender,
        wakes: &'a mut Wakes,
    ) -> Forward<'a> {
        Forward {
            switch,
            from,
            table: switch.table(),
            sender,
            wakes,
        }
    }

    fn target(&mut self, addresses: &[u8; 12]) -> Target {
        let mac = |at| -> Mac { std::array::from_fn(|i| addresses[at + i]) };
        let (to, from) = (mac(0), mac(6));
        if !self.table.knows(from, self.from.number) {
            let number = self.from.number;
            self.switch.change(|table| table.learn(from, number));
            self.table = self.switch.table();
        }
        if is_group(to) {
            return Target::All;
        }
        match self.table.find(to) {
            None => Target::All,
            Some(port) if port.number == self.from.number => Target::Nowhere,
            Some(port) => Target::One(Arc::clone(port)),
        }
    }

    /// Sends frames in order until one finds no room. Returns how many, and their bytes.
    fn send(mut self, frames: &[Frame<'_>]) -> (usize, usize) {
        let (mut taken, mut bytes) = (0, 0);
        let mut last: Option<([u8; 12], Target)> = None;
        while let Some(frame) = frames.get(taken) {
            let (len, addresses) = (frame.len(), head::<12>(frame.pieces));
            let Some(addresses) = addresses.filter(|_| (14..=MAX_FRAME).contains(&len)) else {
                self.from.counters.sent_drops.add(1);
                taken += 1;
                continue;
            };
            let target = match last.take() {
                Some((same, target)) if same == addresses => target,
                _ => self.target(&addresses),
            };
            match &target {
                Target::One(to) if to.shapers.is_none() => {
                    let run = self.run(to, &frames[taken..], &addresses);
                    if run.is_empty() {
                        break;
                    }
                    taken += run.len();
                    bytes += run.iter().map(Frame::len).sum::<usize>();
                }
                target => {
                    taken += 1;
                    bytes += len;
                    let packet = self.sender.cache.copy(&self.switch.pool, frame, len);
                    self.deliver(target, packet);
                }
            }
            last = Some((addresses, target));
        }
        (taken, bytes)
    }

    /// Sends the first frames that have these addresses to a port whose cable delays and
    /// loses nothing. Returns those that were sent or lost: none if the sender must wait.
    fn run<'f>(
        &mut self,
        to: &Arc<Cable>,
        frames: &'f [Frame<'f>],
        addresses: &[u8; 12],
    ) -> &'f [Frame<'f>] {
        let Sender { cache, batch } = &mut *self.sender;
        let (mut taken, mut bytes) = (0, 0);
        while let Some(mut room) = to.inbox.room() {
            while let (Some(frame), true) = (frames.get(taken), room > 0) {
                let len = frame.len();
                if len > MAX_FRAME || head(frame.pieces).as_ref() != Some(addresses) {
                    break;
                }
                batch.push(cache.copy(&self.switch.pool, frame, len));
                bytes += len;
                taken += 1;
                room = room.saturating_sub(cost(len));
            }
            // The first that finds no room is that of the next call.
            let waker = match taken {
                0 => Some(self.from.inbox.waker()),
                _ => None,
            };
            let more = match &waker {
                Some(None) => break,
                Some(Some(waker)) => Some((self.from.number, waker)),
                None => None,
            };
            let pushed = to.inbox.push(batch.drain(..), more);
            self.wakes.append(pushed.wakes);
            if pushed.refused {
                self.switch.look_again(to);
                return &[];
            }
            if taken > 0 {
                to.counters.received(taken as u64, bytes as u64);
                return &frames[..taken];
            }
        }
        // Nobody takes it.
        to.counters.received_drops.add(1);
        &frames[..1]
    }

    /// Forwards a delayed frame.
    fn one(mut self, packet: Packet) {
        let Some(addresses) = packet.data.first_chunk::<12>() else {
            return self.from.counters.sent_drops.add(1);
        };
        let target = self.target(addresses);
        self.deliver(&target, packet);
    }

    /// Delivers a frame, or loses it if there is no room.
    fn deliver(&mut self, target: &Target, packet: Packet) {
        let pool = &self.switch.pool;
        match target {
            Target::Nowhere => self.sender.cache.put(pool, packet),
            Target::One(to) => self.carry_to(to, packet),
            Target::All => {
                let table = Arc::clone(&self.table);
                for to in &table.ports {
                    if to.number != self.from.number {
                        let copy = self.sender.cache.clone(pool, &packet);
                        self.carry_to(to, copy);
                    }
                }
                self.sender.cache.put(pool, packet);
            }
        }
    }

    fn carry_to(&mut self, to: &Arc<Cable>, packet: Packet) {
        match &to.shapers {
            None => to.deliver(packet, self.wakes),
            Some([_, shaper]) => {
                let cache = &mut self.sender.cache;
                self.switch.shape(to, shaper, cache, packet, false);
            }
        }
    }
}
