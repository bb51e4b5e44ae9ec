//! [`UdpSocket`], as that of [`std::net`].

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use super::resolve::{each, first};
use super::tcp::{ip, is_a_socket};
use super::{Domain, Socket, SocketAddress, Type};
use crate::Kernel;
use crate::error::Result;

/// A UDP socket, as [`std::net::UdpSocket`].
pub struct UdpSocket(Socket);

is_a_socket!(UdpSocket);

impl UdpSocket {
    /// Binds to the first of the addresses that is free. Port 0: any free port.
    pub fn bind(kernel: &Kernel, address: impl ToSocketAddrs) -> Result<UdpSocket> {
        each("bind", address, |address| {
            let socket = Socket::new(kernel, Domain::of(&address), Type::DGRAM, None)?;
            socket.bind(address)?;
            Ok(UdpSocket(socket))
        })
    }

    /// Receives one datagram. Returns its length and the sender's address. The part that
    /// does not fit is lost.
    pub fn recv_from(&self, bytes: &mut [u8]) -> Result<(usize, SocketAddr)> {
        let (len, from) = self.0.recv_from(bytes)?;
        Ok((len, ip("receive", from)?))
    }

    /// Like [`UdpSocket::recv_from`], but leaves the datagram in the queue.
    pub fn peek_from(&self, bytes: &mut [u8]) -> Result<(usize, SocketAddr)> {
        let (len, from) = self.0.recv_from_with(bytes, libc::MSG_PEEK)?;
        Ok((len, ip("receive", from)?))
    }

    /// Sends one datagram to the first of the addresses.
    pub fn send_to(&self, bytes: &[u8], address: impl ToSocketAddrs) -> Result<usize> {
        self.0.send_to(bytes, first("send", address)?)
    }

    /// Connects to the first of the addresses for which that succeeds: sends to it by
    /// default, and receives only from it.
    pub fn connect(&self, address: impl ToSocketAddrs) -> Result<()> {
        each("connect", address, |address| self.0.connect(address))
    }

    /// Sends one datagram to the connected peer.
    pub fn send(&self, bytes: &[u8]) -> Result<usize> {
        self.0.send(bytes)
    }

    /// Receives one datagram from the connected peer.
    pub fn recv(&self, bytes: &mut [u8]) -> Result<usize> {
        self.0.recv(bytes)
    }

    /// Like [`UdpSocket::recv`], but leaves the datagram in the queue.
    pub fn peek(&self, bytes: &mut [u8]) -> Result<usize> {
        self.0.peek(bytes)
    }

    /// The connected peer's address; ENOTCONN if it is not connected.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        ip("peer address", self.0.peer_address()?)
    }

    /// Its own address.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        ip("local address", self.0.local_address()?)
    }

    /// Another handle to the same socket.
    pub fn try_clone(&self) -> Result<UdpSocket> {
        self.0.try_clone().map(UdpSocket)
    }

    /// Sets how long receiving may block; it then fails with `WouldBlock`. `None`: for
    /// ever; zero is EINVAL.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> Result<()> {
        self.0.set_read_timeout(timeout)
    }

    /// Sets how long sending may block, as [`UdpSocket::set_read_timeout`].
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> Result<()> {
        self.0.set_write_timeout(timeout)
    }

    /// What [`UdpSocket::set_read_timeout`] has set.
    pub fn read_timeout(&self) -> Result<Option<Duration>> {
        self.0.read_timeout()
    }

    /// What [`UdpSocket::set_write_timeout`] has set.
    pub fn write_timeout(&self) -> Result<Option<Duration>> {
        self.0.write_timeout()
    }

    /// Allows sending to broadcast addresses.
    pub fn set_broadcast(&self, yes: bool) -> Result<()> {
        self.0.set_broadcast(yes)
    }

    /// What [`UdpSocket::set_broadcast`] has set.
    pub fn broadcast(&self) -> Result<bool> {
        self.0.broadcast()
    }

    /// Whether multicast packets reach the kernel's own sockets.
    pub fn set_multicast_loop_v4(&self, yes: bool) -> Result<()> {
        self.0.set_multicast_loop_v4(yes)
    }

    /// What [`UdpSocket::set_multicast_loop_v4`] has set.
    pub fn multicast_loop_v4(&self) -> Result<bool> {
        self.0.multicast_loop_v4()
    }

    /// Sets the number of hops that multicast packets may take.
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> Result<()> {
        self.0.set_multicast_ttl_v4(ttl)
    }

    /// What [`UdpSocket::set_multicast_ttl_v4`] has set.
    pub fn multicast_ttl_v4(&self) -> Result<u32> {
        self.0.multicast_ttl_v4()
    }

    /// Whether multicast packets reach the kernel's own sockets.
    pub fn set_multicast_loop_v6(&self, yes: bool) -> Result<()> {
        self.0.set_multicast_loop_v6(yes)
    }

    /// What [`UdpSocket::set_multicast_loop_v6`] has set.
    pub fn multicast_loop_v6(&self) -> Result<bool> {
        self.0.multicast_loop_v6()
    }

    /// Sets the number of hops that packets may take, 1 to 255 (of IPv4, as in
    /// [`std::net`]).
    pub fn set_ttl(&self, ttl: u32) -> Result<()> {
        self.0.set_ttl_v4(ttl)
    }

    /// What [`UdpSocket::set_ttl`] has set.
    pub fn ttl(&self) -> Result<u32> {
        self.0.ttl_v4()
    }

    /// Joins a multicast group on the interface with this address.
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> Result<()> {
        self.0.join_multicast_v4(group, interface)
    }

    /// Joins a multicast group on the interface with this index.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> Result<()> {
        self.0.join_multicast_v6(group, interface)
    }

    /// Leaves a group that was joined with [`UdpSocket::join_multicast_v4`].
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> Result<()> {
        self.0.leave_multicast_v4(group, interface)
    }

    /// Leaves a group that was joined with [`UdpSocket::join_multicast_v6`].
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> Result<()> {
        self.0.leave_multicast_v6(group, interface)
    }

    /// The pending error, which is cleared.
    pub fn take_error(&self) -> Result<Option<io::Error>> {
        self.0.take_error()
    }

    /// Whether calls fail with `WouldBlock` rather than block.
    pub fn set_nonblocking(&self, yes: bool) -> Result<()> {
        self.0.set_nonblocking(yes)
    }
}
