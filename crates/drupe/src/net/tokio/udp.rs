//! [`UdpSocket`], as that of tokio.

use std::net::SocketAddr;

use ::tokio::net::ToSocketAddrs;

use super::lookup;
use super::registered::{Half, Registered};
use crate::Kernel;
use crate::error::Result;
use crate::net::tcp::ip;
use crate::net::{self, Socket};

/// A UDP socket, as `tokio::net::UdpSocket`. Any number of tasks may send and
/// receive at once.
#[derive(Debug)]
pub struct UdpSocket(Registered);

impl UdpSocket {
    /// Binds to the first of the addresses that is free. Port 0: any free port.
    pub async fn bind(kernel: &Kernel, address: impl ToSocketAddrs) -> Result<UdpSocket> {
        let addresses = lookup("bind", address).await?;
        UdpSocket::from_net(net::UdpSocket::bind(kernel, &addresses[..])?)
    }

    /// Registers an existing socket, which becomes non-blocking.
    pub fn from_net(socket: net::UdpSocket) -> Result<UdpSocket> {
        Registered::new(socket.into()).map(UdpSocket)
    }

    /// The socket, with all of its options. It is non-blocking.
    pub fn as_socket(&self) -> &Socket {
        self.0.socket()
    }

    /// Connects to the first of the addresses for which that succeeds: sends to it by
    /// default, and receives only from it.
    pub async fn connect(&self, address: impl ToSocketAddrs) -> Result<()> {
        let addresses = lookup("connect", address).await?;
        net::resolve::each("connect", &addresses[..], |address| {
            self.as_socket().connect(address)
        })
    }

    /// Its own address.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        ip("local address", self.as_socket().local_address()?)
    }

    /// The connected peer's address; ENOTCONN if it is not connected.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        ip("peer address", self.as_socket().peer_address()?)
    }

    /// Sends one datagram to the connected peer.
    pub async fn send(&self, bytes: &[u8]) -> Result<usize> {
        self.0.run(Half::Write, |socket| socket.send(bytes)).await
    }

    /// Receives one datagram from the connected peer.
    pub async fn recv(&self, bytes: &mut [u8]) -> Result<usize> {
        self.0.run(Half::Read, |socket| socket.recv(bytes)).await
    }

    /// Sends one datagram to the first of the addresses.
    pub async fn send_to(&self, bytes: &[u8], address: impl ToSocketAddrs) -> Result<usize> {
        let to = lookup("send", address).await?[0];
        let send = |socket: &Socket| socket.send_to(bytes, to);
        self.0.run(Half::Write, send).await
    }

    /// Receives one datagram. Returns its length and the sender's address.
    pub async fn recv_from(&self, bytes: &mut [u8]) -> Result<(usize, SocketAddr)> {
        let receive = |socket: &Socket| socket.recv_from(bytes);
        let (len, from) = self.0.run(Half::Read, receive).await?;
        Ok((len, ip("receive", from)?))
    }

    /// Like [`UdpSocket::recv_from`], but leaves the datagram in the queue.
    pub async fn peek_from(&self, bytes: &mut [u8]) -> Result<(usize, SocketAddr)> {
        let peek = |socket: &Socket| socket.recv_from_with(bytes, libc::MSG_PEEK);
        let (len, from) = self.0.run(Half::Read, peek).await?;
        Ok((len, ip("receive", from)?))
    }
}
