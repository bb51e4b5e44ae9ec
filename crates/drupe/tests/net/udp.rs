//! UDP, multicast, and what recvmsg(2) says beside the data.

use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use drupe::Errno;
use drupe::net::{Domain, Protocol, Socket, Type, UdpSocket};
use drupe_netadmin::{NetworkExt, NewLink};

use crate::lab::{Outcome, bounded, kernel, pattern};

#[test]
fn datagrams_of_both_families() -> Outcome {
    let kernel = kernel()?;
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let one = UdpSocket::bind(&kernel, any)?;
        let other = UdpSocket::bind(&kernel, any)?;
        let data = pattern(60_000);
        assert_eq!(one.send_to(&data, other.local_addr()?)?, data.len());
        let mut bytes = vec![0; 65_536];
        let mut start = [0; 8];
        let (len, from) = bounded(|| other.peek_from(&mut start))?;
        assert_eq!((len, from), (8, one.local_addr()?));
        let (len, from) = bounded(|| other.recv_from(&mut bytes))?;
        assert_eq!((&bytes[..len], from), (&data[..], one.local_addr()?));
        // Connected: only from there, and both ways.
        one.connect(other.local_addr()?)?;
        assert_eq!(one.peer_addr()?, other.local_addr()?);
        let stranger = UdpSocket::bind(&kernel, any)?;
        stranger.send_to(b"stranger", one.local_addr()?)?;
        other.send_to(b"friend", one.local_addr()?)?;
        let len = bounded(|| one.recv(&mut bytes))?;
        assert_eq!(&bytes[..len], b"friend");
        one.send(b"back")?;
        assert_eq!(bounded(|| other.recv_from(&mut bytes))?.0, 4);
        // Whom it was sent to is gone: said at the next call.
        drop(other);
        one.send(b"anybody?")?;
        let error = bounded(|| one.recv(&mut bytes)).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::CONNREFUSED));
    }
    Ok(())
}

#[test]
fn nothing_there() -> Outcome {
    let kernel = kernel()?;
    let socket = UdpSocket::bind(&kernel, "127.0.0.1:0")?;
    socket.set_nonblocking(true)?;
    let error = socket.recv_from(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(Duration::from_millis(10)))?;
    let error = socket.recv_from(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let error = socket
        .send_to(&[0; 65_508], socket.local_addr()?)
        .unwrap_err();
    assert_eq!(error.errno(), Some(Errno::MSGSIZE));
    Ok(())
}

#[test]
fn groups_of_both_families() -> Outcome {
    let kernel = kernel()?;
    let network = kernel.network()?;
    let dummy = network.create("dummy0", &NewLink::Dummy)?;
    dummy.add_address("10.0.0.1/24")?;
    dummy.add_address("fd00::1/64")?;
    dummy.set_up()?;

    let group = Ipv4Addr::new(239, 1, 2, 3);
    let own = Ipv4Addr::new(10, 0, 0, 1);
    let member = UdpSocket::bind(&kernel, "0.0.0.0:5000")?;
    member.join_multicast_v4(&group, &own)?;
    let sender = UdpSocket::bind(&kernel, "10.0.0.1:0")?;
    sender.as_socket().set_multicast_if_v4(own)?;
    sender.set_multicast_ttl_v4(3)?;
    assert_eq!(sender.multicast_ttl_v4()?, 3);
    sender.send_to(b"to all", (group, 5000))?;
    let mut bytes = [0; 16];
    let (len, from) = bounded(|| member.recv_from(&mut bytes))?;
    assert_eq!(
        (&bytes[..len], from),
        (&b"to all"[..], sender.local_addr()?)
    );
    member.leave_multicast_v4(&group, &own)?;
    assert!(member.leave_multicast_v4(&group, &own).is_err());

    let group: Ipv6Addr = "ff15::7".parse()?;
    let member = UdpSocket::bind(&kernel, "[::]:5001")?;
    member.join_multicast_v6(&group, dummy.index())?;
    let sender = UdpSocket::bind(&kernel, "[fd00::1]:0")?;
    sender.as_socket().set_multicast_if_v6(dummy.index())?;
    sender.send_to(b"to all", (group, 5001))?;
    let (len, from) = bounded(|| member.recv_from(&mut bytes))?;
    assert_eq!(
        (&bytes[..len], from),
        (&b"to all"[..], sender.local_addr()?)
    );
    member.leave_multicast_v6(&group, dummy.index())?;
    Ok(())
}

#[test]
fn broadcasts_need_permission() -> Outcome {
    let kernel = kernel()?;
    let dummy = kernel.network()?.create("dummy0", &NewLink::Dummy)?;
    dummy.add_address("10.0.0.1/24")?;
    dummy.set_up()?;
    let socket = UdpSocket::bind(&kernel, "0.0.0.0:0")?;
    let error = socket.send_to(b"all", "10.0.0.255:9").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    socket.set_broadcast(true)?;
    socket.send_to(b"all", "10.0.0.255:9")?;
    Ok(())
}

#[test]
fn the_time_of_arrival() -> Outcome {
    let kernel = kernel()?;
    let socket = UdpSocket::bind(&kernel, "127.0.0.1:0")?;
    let plain = Socket::from(socket.try_clone()?);
    plain.set_timestamp_ns(true)?;
    plain.set_packet_info_v4(true)?;
    let before = SystemTime::now();
    let pieces = [b"at ".as_slice(), b"last"].map(IoSlice::new);
    plain.send_vectored(&pieces, Some(&plain.local_address()?))?;
    let (mut one, mut two) = ([0; 2], [0; 16]);
    let mut room = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
    let received = bounded(|| plain.receive(&mut room, 256, 0))?;
    assert_eq!((received.len, received.flags), (7, 0));
    assert_eq!((&one, &two[..5]), (b"at", b" last".as_slice()));
    assert_eq!(received.from.as_ip(), Some(socket.local_addr()?));
    let time = received.timestamp().ok_or("no timestamp")?;
    // The kernel's clock was set when it booted, as well as a busy host could.
    let slack = Duration::from_secs(10);
    assert!(time + slack >= before && time <= SystemTime::now() + slack);
    // IP_PKTINFO: by the loopback interface, whose index is 1.
    let info = received.control.iter().find(|control| control.level == 0);
    assert_eq!(info.ok_or("no packet info")?.data[..4], 1u32.to_ne_bytes());
    Ok(())
}

#[test]
fn one_write_many_datagrams() -> Outcome {
    let kernel = kernel()?;
    let sender = UdpSocket::bind(&kernel, "127.0.0.1:0")?;
    let receiver = UdpSocket::bind(&kernel, "127.0.0.1:0")?;
    sender.as_socket().set_udp_segment(1000)?;
    sender.send_to(&pattern(2500), receiver.local_addr()?)?;
    let mut bytes = [0; 4096];
    for expected in [1000, 1000, 500] {
        assert_eq!(bounded(|| receiver.recv(&mut bytes))?, expected);
    }
    Ok(())
}

#[test]
fn raw_sockets_see_headers() -> Outcome {
    let kernel = kernel()?;
    let ping = Socket::new(&kernel, Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
    // An echo request, number 7 of 9, and its checksum.
    let mut request = [8, 0, 0, 0, 0, 9, 0, 7];
    let sum: u32 = request
        .chunks(2)
        .map(|two| u32::from(two[0]) << 8 | u32::from(two[1]))
        .sum();
    request[2..4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    ping.send_to(&request, "127.0.0.1:0".parse::<SocketAddr>()?)?;
    let mut packet = [0; 64];
    // Its own request comes by too.
    let reply = bounded(|| -> drupe::Result<usize> {
        loop {
            let len = ping.recv(&mut packet)?;
            if packet[20] == 0 {
                return Ok(len);
            }
        }
    })?;
    assert_eq!(reply, 28);
    assert_eq!(packet[0], 0x45);
    assert_eq!(packet[24..28], [0, 9, 0, 7]);
    Ok(())
}
