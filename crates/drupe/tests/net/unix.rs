//! Sockets of the other families: Unix, vsock, packet.

use std::io::{Read, Write};

use drupe::Errno;
use drupe::net::{
    Domain, PacketAddress, Protocol, Socket, SocketAddress, Type, UdpSocket, UnixAddress,
};

use crate::lab::{Outcome, bounded, kernel};

/// A listener, a client, and what the client has sent.
fn greet(
    domain: Domain,
    kind: Type,
    address: &SocketAddress,
) -> Result<Socket, Box<dyn std::error::Error>> {
    let kernel = kernel()?;
    let listener = Socket::new(&kernel, domain, kind, None)?;
    listener.bind(address.clone())?;
    listener.listen(4)?;
    assert!(listener.is_listener()?);
    let mut client = Socket::new(&kernel, domain, kind, None)?;
    client.connect(address.clone())?;
    let (mut server, _) = bounded(|| listener.accept())?;
    client.write_all(b"greetings")?;
    let mut bytes = [0; 9];
    bounded(|| server.read_exact(&mut bytes))?;
    assert_eq!(&bytes, b"greetings");
    assert_eq!(client.peer_address()?, *address);
    assert_eq!(client.domain()?, domain);
    assert_eq!(client.socket_type()?, kind);
    drop(client);
    assert_eq!(bounded(|| server.read(&mut bytes))?, 0);
    Ok(listener)
}

#[test]
fn unix_streams_by_name_and_by_path() -> Outcome {
    for kind in [Type::STREAM, Type::SEQPACKET] {
        greet(Domain::UNIX, kind, &SocketAddress::abstract_name("greeter"))?;
        greet(Domain::UNIX, kind, &SocketAddress::path("/greeter"))?;
    }
    Ok(())
}

#[test]
fn unix_pairs() -> Outcome {
    let kernel = kernel()?;
    let (one, other) = Socket::pair(&kernel, Domain::UNIX, Type::DGRAM, None)?;
    one.send(b"two")?;
    one.send(b"datagrams")?;
    let mut bytes = [0; 16];
    assert_eq!(bounded(|| other.recv(&mut bytes))?, 3);
    assert_eq!(bounded(|| other.recv(&mut bytes))?, 9);
    let unnamed = SocketAddress::Unix(UnixAddress::Unnamed);
    assert_eq!(one.local_address()?, unnamed);
    drop(other);
    assert_eq!(
        one.send(b"gone").unwrap_err().errno(),
        Some(Errno::CONNREFUSED)
    );
    Ok(())
}

#[test]
fn vsock_to_itself() -> Outcome {
    // VMADDR_CID_LOCAL.
    let address = SocketAddress::Vsock { cid: 1, port: 1234 };
    greet(Domain::VSOCK, Type::STREAM, &address)?;
    Ok(())
}

#[test]
fn packets_of_an_interface() -> Outcome {
    let kernel = kernel()?;
    let ip = Protocol::ethernet(libc::ETH_P_IP as u16);
    let tap = Socket::new(&kernel, Domain::PACKET, Type::DGRAM, Some(ip))?;
    tap.bind(PacketAddress {
        protocol: libc::ETH_P_IP as u16,
        interface: 1,
        ..PacketAddress::default()
    })?;
    let socket = UdpSocket::bind(&kernel, "127.0.0.1:0")?;
    socket.send_to(b"seen", socket.local_addr()?)?;
    let mut bytes = [0; 64];
    let (len, from) = bounded(|| tap.recv_from(&mut bytes))?;
    assert_eq!((len, &bytes[28..32]), (32, b"seen".as_slice()));
    let SocketAddress::Packet(from) = from else {
        return Err(format!("from {from:?}").into());
    };
    assert_eq!((from.interface, from.protocol), (1, libc::ETH_P_IP as u16));
    Ok(())
}
