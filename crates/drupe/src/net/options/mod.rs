//! Options of every socket: socket(7).

mod info;
mod ip;
mod tcp;
mod value;

pub use info::{TcpInfo, TcpState};
pub use value::OptionValue;

use std::time::Duration;

use drupe_abi::Errno;

use super::{Domain, Protocol, Socket, Type, named};
use crate::error::{Error, Result};
use value::options;

options! {
    /// Bind to an address that connections of an earlier socket still use.
    reuse_address, set_reuse_address: bool = SOL_SOCKET, SO_REUSEADDR;
    /// Several sockets may bind to the same address; connections and datagrams are spread
    /// among them.
    reuse_port, set_reuse_port: bool = SOL_SOCKET, SO_REUSEPORT;
    /// Allows sending to broadcast addresses, and receiving packets to them.
    broadcast, set_broadcast: bool = SOL_SOCKET, SO_BROADCAST;
    /// Sends probes on an idle connection to check that the peer is alive; see
    /// [`Socket::set_keepalive_time`].
    keepalive, set_keepalive: bool = SOL_SOCKET, SO_KEEPALIVE;
    /// Size of the send buffer in bytes, at most the sysctl `net.core.wmem_max`. The
    /// kernel doubles the value, and the getter returns the doubled one.
    send_buffer_size, set_send_buffer_size: u32 = SOL_SOCKET, SO_SNDBUF;
    /// Size of the receive buffer in bytes, at most the sysctl `net.core.rmem_max`;
    /// doubled like the send buffer's.
    receive_buffer_size, set_receive_buffer_size: u32 = SOL_SOCKET, SO_RCVBUF;
    /// The least number of bytes for which a read returns and the socket counts as
    /// readable.
    receive_low_water, set_receive_low_water: u32 = SOL_SOCKET, SO_RCVLOWAT;
    /// Mark of all packets sent, for routing rules and filters.
    mark, set_mark: u32 = SOL_SOCKET, SO_MARK;
    /// Priority of all packets sent, 0 to 6 without privilege.
    priority, set_priority: u32 = SOL_SOCKET, SO_PRIORITY;
    /// Don't go through gateways.
    dont_route, set_dont_route: bool = SOL_SOCKET, SO_DONTROUTE;
    /// Limit of the sending rate in bytes per second, which TCP or the `fq` discipline
    /// applies; `u64::MAX`: no limit.
    max_pacing_rate, set_max_pacing_rate: u64 = SOL_SOCKET, SO_MAX_PACING_RATE;
    /// Adds the time of arrival to each received datagram
    /// ([`Received::timestamp`](super::Received::timestamp)).
    timestamp_ns, set_timestamp_ns: bool = SOL_SOCKET, SO_TIMESTAMPNS;
    /// `SOF_TIMESTAMPING_*` flags
    /// (`Documentation/networking/timestamping.rst`).
    timestamping, set_timestamping: u32 = SOL_SOCKET, SO_TIMESTAMPING;
    /// Urgent data stays in the stream.
    out_of_band_inline, set_out_of_band_inline: bool = SOL_SOCKET, SO_OOBINLINE;
    /// How long a read that would block polls the device, in microseconds.
    busy_poll, set_busy_poll: u32 = SOL_SOCKET, SO_BUSY_POLL;
    /// Adds a control message with the sender's process, user and group to each datagram
    /// (unix(7)).
    passcred, set_passcred: bool = SOL_SOCKET, SO_PASSCRED;
}

impl Socket {
    /// Sets the size of the send buffer in bytes, without the limit of
    /// `net.core.wmem_max` (`SO_SNDBUFFORCE`).
    pub fn force_send_buffer_size(&self, bytes: u32) -> Result<()> {
        let name = libc::SO_SNDBUFFORCE;
        self.set("force_send_buffer_size", libc::SOL_SOCKET, name, bytes)
    }

    /// Sets the size of the receive buffer in bytes, without the limit of
    /// `net.core.rmem_max` (`SO_RCVBUFFORCE`).
    pub fn force_receive_buffer_size(&self, bytes: u32) -> Result<()> {
        let name = libc::SO_RCVBUFFORCE;
        self.set("force_receive_buffer_size", libc::SOL_SOCKET, name, bytes)
    }

    /// Whether it listens (`SO_ACCEPTCONN`).
    pub fn is_listener(&self) -> Result<bool> {
        self.get("is_listener", libc::SOL_SOCKET, libc::SO_ACCEPTCONN)
    }

    /// Its type (`SO_TYPE`).
    pub fn socket_type(&self) -> Result<Type> {
        let kind = self.get("socket_type", libc::SOL_SOCKET, libc::SO_TYPE)?;
        Ok(Type(kind))
    }

    /// Its protocol (`SO_PROTOCOL`).
    pub fn protocol(&self) -> Result<Protocol> {
        let protocol = self.get("protocol", libc::SOL_SOCKET, libc::SO_PROTOCOL)?;
        Ok(Protocol(protocol))
    }

    /// Its family (`SO_DOMAIN`).
    pub fn domain(&self) -> Result<Domain> {
        let domain = self.get("domain", libc::SOL_SOCKET, libc::SO_DOMAIN)?;
        Ok(Domain(domain))
    }

    /// Sets how long closing waits for unsent data, in whole seconds. Zero drops the data
    /// and resets the connection. `None`: closing does not wait, and the data is sent
    /// (`SO_LINGER`).
    pub fn set_linger(&self, time: Option<Duration>) -> Result<()> {
        let seconds = time.unwrap_or_default().as_secs();
        let seconds = i32::try_from(seconds).unwrap_or(i32::MAX);
        let mut value = [0; 8];
        value[..4].copy_from_slice(&i32::from(time.is_some()).to_ne_bytes());
        value[4..].copy_from_slice(&seconds.to_ne_bytes());
        let raw = self.fd.raw();
        let set = self
            .sys()
            .setsockopt(raw, libc::SOL_SOCKET, libc::SO_LINGER, &value);
        named("set_linger", set)
    }

    /// The value of [`Socket::set_linger`].
    pub fn linger(&self) -> Result<Option<Duration>> {
        let value: u64 = self.get("linger", libc::SOL_SOCKET, libc::SO_LINGER)?;
        let (on, seconds) = (value as u32, value >> 32);
        Ok((on != 0).then(|| Duration::from_secs(seconds)))
    }

    /// Sets how long a read, an accept or a connect may block; it then fails with EAGAIN.
    /// `None`: for ever; zero is EINVAL (`SO_RCVTIMEO`).
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> Result<()> {
        self.set_timeout("set_read_timeout", libc::SO_RCVTIMEO, timeout)
    }

    /// What [`Socket::set_read_timeout`] has set.
    pub fn read_timeout(&self) -> Result<Option<Duration>> {
        self.timeout("read_timeout", libc::SO_RCVTIMEO)
    }

    /// Sets how long a write may block; it then fails with EAGAIN. `None`: for ever; zero
    /// is EINVAL (`SO_SNDTIMEO`).
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> Result<()> {
        self.set_timeout("set_write_timeout", libc::SO_SNDTIMEO, timeout)
    }

    /// What [`Socket::set_write_timeout`] has set.
    pub fn write_timeout(&self) -> Result<Option<Duration>> {
        self.timeout("write_timeout", libc::SO_SNDTIMEO)
    }

    fn set_timeout(
        &self,
        operation: &'static str,
        name: i32,
        timeout: Option<Duration>,
    ) -> Result<()> {
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(Error::new(operation, Errno::INVAL));
        }
        let timeout = timeout.unwrap_or_default();
        let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
        // Zero would mean for ever.
        let least = i64::from(seconds == 0 && !timeout.is_zero());
        let micros = i64::from(timeout.subsec_micros()).max(least);
        let mut value = [0; 16];
        value[..8].copy_from_slice(&seconds.to_ne_bytes());
        value[8..].copy_from_slice(&micros.to_ne_bytes());
        let raw = self.fd.raw();
        let set = self.sys().setsockopt(raw, libc::SOL_SOCKET, name, &value);
        named(operation, set)
    }

    fn timeout(&self, operation: &'static str, name: i32) -> Result<Option<Duration>> {
        let mut value = [0; 16];
        let raw = self.fd.raw();
        let got = self
            .sys()
            .getsockopt(raw, libc::SOL_SOCKET, name, &mut value);
        named(operation, got)?;
        let word = |at: usize| u64::from_ne_bytes(value[at..at + 8].try_into().unwrap_or_default());
        let timeout = Duration::from_secs(word(0)) + Duration::from_micros(word(8));
        Ok((!timeout.is_zero()).then_some(timeout))
    }

    /// Sends and receives only through this interface; `None`: any (`SO_BINDTODEVICE`).
    pub fn bind_device(&self, interface: Option<&str>) -> Result<()> {
        self.set_text_option(
            "bind_device",
            libc::SOL_SOCKET,
            libc::SO_BINDTODEVICE,
            interface.unwrap_or_default(),
        )
    }

    /// The interface of [`Socket::bind_device`].
    pub fn device(&self) -> Result<Option<String>> {
        let name = self.text_option("device", libc::SOL_SOCKET, libc::SO_BINDTODEVICE)?;
        Ok((!name.is_empty()).then_some(name))
    }
}
