//! A DHCP client (RFC 2131): gets a lease from the first server that answers.
//!
//! It uses a packet socket: an interface without an address does not receive packets to
//! the address that it is offered. `packet.rs` has the packet format.

mod packet;

#[cfg(feature = "fuzzing")]
pub use packet::parse_packet;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use drupe::net::{Domain, PacketAddress, Protocol, Socket, Type};
use drupe::{Cause, Errno, Error, Kernel, Result};

use crate::{Interface, Prefix, Route};
use packet::{Answer, Kind, Request};

const ETHERTYPE: u16 = libc::ETH_P_IP as u16;

/// The offer of a server.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub(super) address: Ipv4Addr,
    pub(super) mask: Option<Ipv4Addr>,
    pub(super) routers: Vec<Ipv4Addr>,
    pub(super) dns: Vec<Ipv4Addr>,
    pub(super) domain: Option<String>,
    pub(super) mtu: Option<u16>,
    pub(super) server: Ipv4Addr,
    /// The duration of the lease in seconds; `u32::MAX`: for ever.
    pub(super) seconds: u32,
    /// Networks and their gateways (RFC 3442).
    pub(super) classless: Vec<(Prefix, Ipv4Addr)>,
}

impl Offer {
    pub(super) fn prefix(&self) -> Prefix {
        let len = self.mask.map_or(24, |mask| mask.to_bits().leading_ones());
        Prefix {
            address: self.address.into(),
            len: len as u8,
        }
    }

    pub(super) fn lifetime(&self) -> Option<Duration> {
        (self.seconds != u32::MAX).then(|| Duration::from_secs(self.seconds.into()))
    }

    /// The routes to add: those of RFC 3442 if there are any, else the default route.
    pub(super) fn routes(&self) -> Vec<Route> {
        if !self.classless.is_empty() {
            let routes =
                self.classless
                    .iter()
                    .map(|&(network, gateway)| match gateway.is_unspecified() {
                        true => Route::to(network),
                        false => Route::to(network).via(gateway),
                    });
            return routes.collect();
        }
        let router = self.routers.first();
        router
            .map(|&router| Route::default_via(router))
            .into_iter()
            .collect()
    }
}

/// Requests an address for the interface.
pub(super) fn ask(interface: &Interface, timeout: Duration) -> Result<Offer> {
    let asked = Client::new(interface).and_then(|mut client| client.run(timeout));
    asked.map_err(|e| e.with_operation("dhcp"))
}

struct Client {
    socket: Socket,
    broadcast: PacketAddress,
    mac: [u8; 6],
    transaction: u32,
}

impl Client {
    fn new(interface: &Interface) -> Result<Client> {
        let info = interface.info()?;
        let mac = info.mac[..].try_into().map_err(|_| no_ethernet())?;
        let namespace = interface.network().namespace();
        let kernel = namespace.kernel();
        let protocol = Some(Protocol::ethernet(ETHERTYPE));
        let open = || Socket::new(&kernel, Domain::PACKET, Type::DGRAM, protocol);
        let socket = namespace.run(open)??;
        let address = PacketAddress {
            protocol: ETHERTYPE,
            interface: interface.index(),
            ..PacketAddress::default()
        };
        socket.bind(address.clone())?;
        socket.set_nonblocking(true)?;
        Ok(Client {
            socket,
            broadcast: PacketAddress {
                hardware: vec![0xff; 6],
                ..address
            },
            mac,
            transaction: transaction(&kernel)?,
        })
    }

    /// DISCOVER, OFFER, REQUEST, ACK; again from the start after a NAK.
    fn run(&mut self, timeout: Duration) -> Result<Offer> {
        let end = Instant::now() + timeout;
        // A server that offers and refuses in turn is not listened to for ever.
        while Instant::now() < end {
            self.transaction = self.transaction.wrapping_add(1);
            let offer = self.exchange(Kind::Discover, None, end)?;
            let Some(offer) = offer else { continue };
            if let Some(given) = self.exchange(Kind::Request, Some(&offer), end)? {
                return Ok(given);
            }
        }
        Err(Error::new("dhcp", Cause::TimedOut))
    }

    /// Sends a request, again after 1, 2, 4 … seconds, until its answer comes. `None`:
    /// the server refuses, or does not answer a request for its offer.
    fn exchange(&self, kind: Kind, offer: Option<&Offer>, end: Instant) -> Result<Option<Offer>> {
        let request = Request {
            kind,
            transaction: self.transaction,
            mac: self.mac,
            chosen: offer.map(|offer| (offer.address, offer.server)),
        };
        let packet = request.packet();
        let mut patience = Duration::from_secs(1);
        for _ in 0..4 {
            self.send(&packet)?;
            let until = end.min(Instant::now() + patience);
            while let Some(answer) = self.answer(until)? {
                match (kind, answer) {
                    (_, Answer::No) if kind == Kind::Request => return Ok(None),
                    (Kind::Discover, Answer::Offer(offer))
                    | (Kind::Request, Answer::Given(offer)) => return Ok(Some(offer)),
                    _ => {}
                }
            }
            if Instant::now() >= end {
                return Err(Error::new("dhcp", Cause::TimedOut));
            }
            patience *= 2;
        }
        Ok(None)
    }

    fn send(&self, packet: &[u8]) -> Result<()> {
        match self.socket.send_to(packet, self.broadcast.clone()) {
            // Not yet, perhaps: it is tried again.
            Err(error) if error.errno() == Some(Errno::NETDOWN) => Ok(()),
            result => result.map(drop),
        }
    }

    /// The next answer to this transaction; `None`: none came until `until`.
    fn answer(&self, until: Instant) -> Result<Option<Answer>> {
        let mut bytes = vec![0; 2048];
        loop {
            match self.socket.recv(&mut bytes) {
                Ok(len) => {
                    let answer = packet::parse(&bytes[..len], self.transaction, self.mac);
                    if answer.is_some() {
                        return Ok(answer);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    let left = until.saturating_duration_since(Instant::now());
                    if !self.socket.wait(libc::POLLIN, left)? {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// A transaction number. It is from the kernel's random source, so that a program with
/// its own source gets reproducible runs.
fn transaction(kernel: &Kernel) -> Result<u32> {
    let mut bytes = [0; 4];
    kernel.random(&mut bytes)?;
    Ok(u32::from_ne_bytes(bytes))
}

/// The error for interfaces that are not Ethernet.
fn no_ethernet() -> Error {
    Error::new("dhcp", Errno::AFNOSUPPORT)
}
