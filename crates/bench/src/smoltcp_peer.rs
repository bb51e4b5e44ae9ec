//! A peer for the rows of TCP: smoltcp, another TCP in a process, with its loopback
//! device in one thread.

use anyhow::{Result, anyhow};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{Loopback, Medium};
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::time::Instant as Time;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};
use std::time::Instant;

/// Bytes of each socket's buffers: the most that its windows can use.
const BUFFER: usize = 65_535;

/// Nanoseconds until `bytes` have gone from one socket to another.
pub(crate) fn stream(bytes: usize) -> Result<f64> {
    let start = Instant::now();
    let now = || Time::from_micros(start.elapsed().as_micros() as i64);
    let mut device = Loopback::new(Medium::Ethernet);
    let config = Config::new(EthernetAddress([2, 0, 0, 0, 0, 1]).into());
    let mut iface = Interface::new(config, &mut device, now());
    let here = IpAddress::v4(127, 0, 0, 1);
    iface.update_ip_addrs(|addresses| {
        // There is room for the first.
        let _ = addresses.push(IpCidr::new(here, 8));
    });
    let socket = || {
        let buffer = || SocketBuffer::new(vec![0; BUFFER]);
        Socket::new(buffer(), buffer())
    };
    let mut sockets = SocketSet::new(Vec::new());
    let far = sockets.add(socket());
    let near = sockets.add(socket());
    let listening = sockets.get_mut::<Socket<'_>>(far).listen(80);
    listening.map_err(|error| anyhow!("smoltcp cannot listen: {error}"))?;
    let connecting =
        sockets
            .get_mut::<Socket<'_>>(near)
            .connect(iface.context(), (here, 80), 65_000);
    connecting.map_err(|error| anyhow!("smoltcp cannot connect: {error}"))?;
    let (mut sent, mut received, mut data) = (0, 0, vec![0; BUFFER]);
    while received < bytes {
        iface.poll(now(), &mut device, &mut sockets);
        let socket = sockets.get_mut::<Socket<'_>>(near);
        if socket.can_send() {
            let piece = socket.send(|room| {
                let len = room.len().min(bytes - sent);
                // As a program's write does.
                room[..len].fill(7);
                (len, len)
            });
            sent += piece.map_err(|error| anyhow!("smoltcp cannot send: {error}"))?;
        }
        let socket = sockets.get_mut::<Socket<'_>>(far);
        while socket.can_recv() {
            let piece = socket.recv_slice(&mut data);
            received += piece.map_err(|error| anyhow!("smoltcp cannot receive: {error}"))?;
        }
    }
    Ok(start.elapsed().as_nanos() as f64)
}
