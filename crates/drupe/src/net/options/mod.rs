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
    /// Several sockets share an address, and what arrives is spread among them.
    reuse_port, set_reuse_port: bool = SOL_SOCKET, SO_REUSEPORT;
    /// Send to broadcast addresses, and receive what is sent to them.
    broadcast, set_broadcast: bool = SOL_SOCKET, SO_BROADCAST;
    /// Probe whether the peer of an idle connection is there; see
    /// [`Socket::set_keepalive_time`].
    keepalive, set_keepalive: bool = SOL_SOCKET, SO_KEEPALIVE;
    /// Bytes of the send buffer. The kernel doubles it, and reads give that; at
    /// most the sysctl `net.core.wmem_max` (before doubling).
    send_buffer_size, set_send_buffer_size: u32 = SOL_SOCKET, SO_SNDBUF;
    /// Bytes of the receive buffer, likewise; `net.core.rmem_max`.
    receive_buffer_size, set_receive_buffer_size: u32 = SOL_SOCKET, SO_RCVBUF;
    /// Least bytes for which a read or a readiness notice is given.
    receive_low_water, set_receive_low_water: u32 = SOL_SOCKET, SO_RCVLOWAT;
    /// Mark of all packets sent, for routing rules and filters.
    mark, set_mark: u32 = SOL_SOCKET, SO_MARK;
    /// Priority of all packets sent, 0 to 6 without privilege.
    priority, set_priority: u32 = SOL_SOCKET, SO_PRIORITY;
    /// Don't go through gateways.
    dont_route, set_dont_route: bool = SOL_SOCKET, SO_DONTROUTE;
    /// Bytes per second that TCP, or the `fq` discipline, paces it to;
    /// `u64::MAX`: no limit.
    max_pacing_rate, set_max_pacing_rate: u64 = SOL_SOCKET, SO_MAX_PACING_RATE;
    /// Each datagram received brings the time of its arrival
    /// ([`Received::timestamp`](super::Received::timestamp)).
    timestamp_ns, set_timestamp_ns: bool = SOL_SOCKET, SO_TIMESTAMPNS;
    /// `SOF_TIMESTAMPING_*` flags
    /// (`Documentation/networking/timestamping.rst`).
    timestamping, set_timestamping: u32 = SOL_SOCKET, SO_TIMESTAMPING;
    /// Urgent data stays in the stream.
    out_of_band_inline, set_out_of_band_inline: bool = SOL_SOCKET, SO_OOBINLINE;
    /// Microseconds to poll the device for, in a read that would block.
    busy_poll, set_busy_poll: u32 = SOL_SOCKET, SO_BUSY_POLL;
    /// Whom the datagrams come from is among their control messages (unix(7)).
    passcred, set_passcred: bool = SOL_SOCKET, SO_PASSCRED;
}

impl Socket {
    /// What the send buffer is to be, beyond `net.core.wmem_max`
    /// (`SO_SNDBUFFORCE`).
    pub fn force_send_buffer_size(&self, bytes: u32) -> Result<()> {
        let name = libc::SO_SNDBUFFORCE;
        self.set("force_send_buffer_size", libc::SOL_SOCKET, name, bytes)
    }

    /// What the receive buffer is to be, beyond `net.core.rmem_max`
    /// (`SO_RCVBUFFORCE`).
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

    /// How long closing waits for what is not sent yet, in whole seconds; zero
    /// drops it and resets the connection. `None`: it does not wait
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

    /// What [`Socket::set_linger`] is about.
    pub fn linger(&self) -> Result<Option<Duration>> {
        let value: u64 = self.get("linger", libc::SOL_SOCKET, libc::SO_LINGER)?;
        let (on, seconds) = (value as u32, value >> 32);
        Ok((on != 0).then(|| Duration::from_secs(seconds)))
    }

    /// How long a read, an accept and a connect may block: EAGAIN then. `None`:
    /// for ever; zero is EINVAL (`SO_RCVTIMEO`).
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> Result<()> {
        self.set_timeout("set_read_timeout", libc::SO_RCVTIMEO, timeout)
    }

    /// What [`Socket::set_read_timeout`] has set.
    pub fn read_timeout(&self) -> Result<Option<Duration>> {
        self.timeout("read_timeout", libc::SO_RCVTIMEO)
    }

    /// How long a write may block: EAGAIN then. `None`: for ever; zero is EINVAL
    /// (`SO_SNDTIMEO`).
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

    /// Only packets of this interface, in and out; `None`: of any
    /// (`SO_BINDTODEVICE`).
    pub fn bind_device(&self, interface: Option<&str>) -> Result<()> {
        self.set_text_option(
            "bind_device",
            libc::SOL_SOCKET,
            libc::SO_BINDTODEVICE,
            interface.unwrap_or_default(),
        )
    }

    /// What [`Socket::bind_device`] is about.
    pub fn device(&self) -> Result<Option<String>> {
        let name = self.text_option("device", libc::SOL_SOCKET, libc::SO_BINDTODEVICE)?;
        Ok((!name.is_empty()).then_some(name))
    }
}
