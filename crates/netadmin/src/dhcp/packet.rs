//! DHCP packets (RFC 2131 and 2132): built and parsed, with their UDP and IP headers.

use std::net::{IpAddr, Ipv4Addr};

use super::Offer;
use crate::Prefix;

const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
/// Bytes of a message before its options, the cookie included.
const FIXED: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];

mod option {
    pub(super) const MASK: u8 = 1;
    pub(super) const ROUTERS: u8 = 3;
    pub(super) const DNS: u8 = 6;
    pub(super) const DOMAIN: u8 = 15;
    pub(super) const MTU: u8 = 26;
    pub(super) const REQUESTED: u8 = 50;
    pub(super) const LEASE: u8 = 51;
    pub(super) const KIND: u8 = 53;
    pub(super) const SERVER: u8 = 54;
    pub(super) const WANTED: u8 = 55;
    pub(super) const LARGEST: u8 = 57;
    pub(super) const CLIENT: u8 = 61;
    pub(super) const CLASSLESS: u8 = 121;
    pub(super) const END: u8 = 255;
}

/// The type of a client's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Discover = 1,
    Request = 3,
}

pub(super) struct Request {
    pub(super) kind: Kind,
    pub(super) transaction: u32,
    pub(super) mac: [u8; 6],
    /// The requested address, and the server that offered it.
    pub(super) chosen: Option<(Ipv4Addr, Ipv4Addr)>,
}

/// A server's message.
#[derive(Debug)]
pub(super) enum Answer {
    Offer(Offer),
    Given(Offer),
    No,
}

impl Request {
    /// The IP packet, to be broadcast.
    pub(super) fn packet(&self) -> Vec<u8> {
        let message = self.message();
        let len = message.len() as u16;
        // IP: version and length, service, total length, id, fragment, hops,
        // protocol, checksum, from nowhere to all.
        let mut packet = vec![0x45, 0x10];
        packet.extend((28 + len).to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, libc::IPPROTO_UDP as u8, 0, 0]);
        packet.extend([0; 4]);
        packet.extend([255; 4]);
        let sum = checksum(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(CLIENT_PORT.to_be_bytes());
        packet.extend(SERVER_PORT.to_be_bytes());
        packet.extend((8 + len).to_be_bytes());
        // UDP over IPv4 may go without a checksum.
        packet.extend([0, 0]);
        packet.extend(message);
        packet
    }

    fn message(&self) -> Vec<u8> {
        /// `BOOTREQUEST`, Ethernet, length of its addresses, no hops.
        const START: [u8; 4] = [1, 1, 6, 0];
        let mut message = START.to_vec();
        message.extend(self.transaction.to_be_bytes());
        message.resize(28, 0);
        message.extend(self.mac);
        message.resize(FIXED - 4, 0);
        message.extend(COOKIE);
        message.extend([option::KIND, 1, self.kind as u8]);
        message.extend([option::CLIENT, 7, 1]);
        message.extend(self.mac);
        if let Some((address, server)) = self.chosen {
            message.extend([option::REQUESTED, 4]);
            message.extend(address.octets());
            message.extend([option::SERVER, 4]);
            message.extend(server.octets());
        }
        message.extend([option::LARGEST, 2]);
        message.extend(1500u16.to_be_bytes());
        let wanted = [
            option::MASK,
            option::CLASSLESS,
            option::ROUTERS,
            option::DNS,
            option::DOMAIN,
            option::MTU,
            option::LEASE,
        ];
        message.extend([option::WANTED, wanted.len() as u8]);
        message.extend(wanted);
        message.push(option::END);
        // Some servers take none that are shorter (RFC 1542).
        message.resize(message.len().max(300), 0);
        message
    }
}

/// The Internet checksum.
fn checksum(header: &[u8]) -> u16 {
    let halves = header.chunks_exact(2);
    let sum: u32 = halves
        .map(|half| u32::from(u16::from_be_bytes([half[0], half[1]])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !(((folded & 0xffff) + (folded >> 16)) as u16)
}

/// Parses an IP packet. `None`: it is not a server's answer to this client. The packet is
/// not trusted.
pub(super) fn parse(packet: &[u8], transaction: u32, mac: [u8; 6]) -> Option<Answer> {
    let header = usize::from(packet.first()? & 15) * 4;
    let udp = (packet[0] >> 4 == 4 && i32::from(*packet.get(9)?) == libc::IPPROTO_UDP)
        .then(|| packet.get(header..))??;
    let half = |at: usize| Some(u16::from_be_bytes(udp.get(at..at + 2)?.try_into().ok()?));
    if (half(0)?, half(2)?) != (SERVER_PORT, CLIENT_PORT) {
        return None;
    }
    let message = udp.get(8..usize::from(half(4)?))?;
    let fixed: &[u8; FIXED] = message.first_chunk()?;
    let ours = fixed[0] == 2
        && fixed[4..8] == transaction.to_be_bytes()
        && fixed[28..34] == mac
        && fixed[FIXED - 4..] == COOKIE;
    if !ours {
        return None;
    }
    let options = &message[FIXED..];
    let kind = find(options, option::KIND)?;
    let offer = || {
        let octets: [u8; 4] = fixed[16..20].try_into().ok()?;
        read(options, Ipv4Addr::from(octets))
    };
    match kind[..] {
        [2] => offer().map(Answer::Offer),
        [5] => offer().map(Answer::Given),
        [6] => Some(Answer::No),
        _ => None,
    }
}

/// Parses a packet that may be a server's answer to a client with the address
/// `02:00:00:00:00:01` and the transaction 1. For fuzz targets.
#[cfg(feature = "fuzzing")]
pub fn parse_packet(packet: &[u8]) {
    let _ = parse(packet, 1, [2, 0, 0, 0, 0, 1]);
}

fn read(options: &[u8], address: Ipv4Addr) -> Option<Offer> {
    if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
        return None;
    }
    let list = |number| addresses(&find(options, number).unwrap_or_default());
    let one = |number| list(number).first().copied();
    let number = |option| find(options, option);
    let mtu = number(option::MTU).and_then(|mtu| mtu.try_into().ok());
    let seconds = number(option::LEASE).and_then(|time| time.try_into().ok());
    let domain = number(option::DOMAIN);
    let domain = domain.map(|name| String::from_utf8_lossy(&name).into_owned());
    let classless = number(option::CLASSLESS).unwrap_or_default();
    Some(Offer {
        address,
        mask: one(option::MASK),
        routers: list(option::ROUTERS),
        dns: list(option::DNS),
        domain: domain.map(|name| name.trim_end_matches('\0').to_owned()),
        // The least that IPv4 allows.
        mtu: mtu.map(u16::from_be_bytes).filter(|&mtu| mtu >= 68),
        server: one(option::SERVER)?,
        seconds: seconds.map_or(u32::MAX, u32::from_be_bytes),
        classless: routes(&classless),
    })
}

/// The value of an option. Several parts are joined (RFC 3396).
fn find(mut options: &[u8], number: u8) -> Option<Vec<u8>> {
    let mut found = None;
    loop {
        match *options {
            [0, ref rest @ ..] => options = rest,
            [option::END, ..] | [] | [_] => return found,
            [kind, len, ref rest @ ..] => {
                let Some((value, rest)) = rest.split_at_checked(len.into()) else {
                    return found;
                };
                if kind == number {
                    found.get_or_insert_with(Vec::new).extend(value);
                }
                options = rest;
            }
        }
    }
}

fn addresses(value: &[u8]) -> Vec<Ipv4Addr> {
    let (addresses, _) = value.as_chunks::<4>();
    addresses.iter().map(|&octets| octets.into()).collect()
}

/// Parses routes: each has a prefix length, the significant bytes of the network, and a
/// gateway.
fn routes(mut value: &[u8]) -> Vec<(Prefix, Ipv4Addr)> {
    let mut routes = Vec::new();
    while let [len @ 0..=32, rest @ ..] = value {
        let significant = usize::from(len.div_ceil(8));
        let Some((network, rest)) = rest.split_at_checked(significant) else {
            break;
        };
        let Some((gateway, rest)) = rest.split_first_chunk::<4>() else {
            break;
        };
        let mut octets = [0; 4];
        octets[..significant].copy_from_slice(network);
        let prefix = Prefix {
            address: IpAddr::from(octets),
            len: *len,
        };
        routes.push((prefix, Ipv4Addr::from(*gateway)));
        value = rest;
    }
    routes
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    /// An ACK with these options, as a packet.
    fn given(options: &[u8]) -> Vec<u8> {
        let request = Request {
            kind: Kind::Request,
            transaction: 7,
            mac: MAC,
            chosen: None,
        };
        let mut packet = request.packet();
        packet.truncate(28 + FIXED);
        (packet[20..22]).copy_from_slice(&SERVER_PORT.to_be_bytes());
        (packet[22..24]).copy_from_slice(&CLIENT_PORT.to_be_bytes());
        packet[28] = 2;
        packet[28 + 16..28 + 20].copy_from_slice(&[10, 0, 0, 9]);
        packet.extend(options);
        let len = packet.len() as u16 - 20;
        packet[24..26].copy_from_slice(&len.to_be_bytes());
        packet
    }

    #[test]
    fn an_answer_is_understood() {
        let options = [
            53, 1, 5, 0, 54, 4, 10, 0, 0, 1, 1, 4, 255, 255, 252, 0, 51, 4, 0, 0, 14, 16, //
            3, 4, 10, 0, 0, 1, 6, 8, 1, 1, 1, 1, 8, 8, 8, 8, 26, 2, 5, 120, //
            121, 5, 0, 10, 0, 0, 1, 121, 8, 24, 192, 168, 7, 10, 0, 0, 2, 255, 9, 9,
        ];
        let Some(Answer::Given(offer)) = parse(&given(&options), 7, MAC) else {
            panic!("not understood");
        };
        assert_eq!(offer.prefix().to_string(), "10.0.0.9/22");
        assert_eq!(offer.seconds, 3600);
        assert_eq!(offer.routers, [Ipv4Addr::new(10, 0, 0, 1)]);
        assert_eq!(offer.dns.len(), 2);
        assert_eq!(offer.mtu, Some(1400));
        let routes: Vec<String> = offer
            .classless
            .iter()
            .map(|(network, gateway)| format!("{network} {gateway}"))
            .collect();
        assert_eq!(routes, ["0.0.0.0/0 10.0.0.1", "192.168.7.0/24 10.0.0.2"]);
    }

    #[test]
    fn others_answers_are_not_ours() {
        let packet = given(&[53, 1, 5, 54, 4, 10, 0, 0, 1, 255]);
        assert!(parse(&packet, 7, MAC).is_some());
        assert!(parse(&packet, 8, MAC).is_none());
        assert!(parse(&packet, 7, [2; 6]).is_none());
        for len in 0..packet.len() {
            // No panic, whatever is cut off.
            assert!(parse(&packet[..len], 7, MAC).is_none());
        }
        assert!(
            parse(&given(&[53, 1, 5, 255]), 7, MAC).is_none(),
            "no server"
        );
    }

    #[test]
    fn the_checksum_of_a_header_is_right() {
        let request = Request {
            kind: Kind::Discover,
            transaction: 1,
            mac: MAC,
            chosen: None,
        };
        // Summed up with itself it gives zero.
        assert_eq!(checksum(&request.packet()[..20]), 0);
    }
}
