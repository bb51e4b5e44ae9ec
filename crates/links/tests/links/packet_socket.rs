//! Packet sockets, on one end of a veth in a network namespace.

use std::net::UdpSocket;

use drupe_host::link::{FrameHeader, Link};
use drupe_links::{PacketSocket, Station};

use crate::frames::{PATIENCE, assert_silent, frame, mac, until};
use crate::tap::{arp_request, in_namespace, ip, is_arp_reply};

#[test]
fn the_other_end_of_a_veth_answers() {
    in_namespace(|| {
        ip("link add near type veth peer name far");
        ip("address add 10.1.1.1/24 dev far");
        ip("link set near mtu 9000 up");
        ip("link set far mtu 9000 up");
        ip("neighbour add 10.1.1.2 lladdr 02:00:00:00:00:02 dev far");
        let link = PacketSocket::open("near").unwrap();
        assert_eq!(link.info().mtu, 9000);
        let station = Station::new(link);
        until(&station, &arp_request(), &station, is_arp_reply);

        // A checksum is left to us: veth has nobody compute it.
        let socket = UdpSocket::bind("10.1.1.1:7").unwrap();
        socket.send_to(b"to the kernel", "10.1.1.2:9").unwrap();
        let header = loop {
            let (header, frame) = station.receive(PATIENCE).unwrap().expect("a datagram");
            if frame.ends_with(b"to the kernel") {
                break header;
            }
        };
        assert_eq!(header.flags, FrameHeader::NEEDS_CSUM);
        assert_eq!((header.csum_start, header.csum_offset), (34, 6));
    });
}

/// What is sent is not received, and two on one interface see each other's.
#[test]
fn what_goes_out_does_not_come_back() {
    in_namespace(|| {
        ip("link add near type veth peer name far");
        for end in ["near", "far"] {
            ip(&format!("link set {end} addrgenmode none up"));
        }
        let near = Station::new(PacketSocket::open("near").unwrap());
        let far = Station::new(PacketSocket::open("far").unwrap());
        let frame = frame(mac(9), mac(8), b"for nobody here");
        let same = |got: &[u8]| got == frame;
        until(&near, &frame, &far, same);
        assert_silent(&near);
        ip("link set near down");
        assert!(near.send(&frame));
        assert_silent(&near);
        ip("link set near up");
        until(&near, &frame, &far, same);
        assert_silent(&near);
    });
}
