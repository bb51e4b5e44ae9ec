//! Options of TCP sockets: tcp(7).

use std::time::Duration;

use super::TcpInfo;
use super::value::options;
use crate::error::Result;
use crate::net::{Socket, named};

options! {
    /// Send at once, without waiting to fill a segment (no Nagle algorithm).
    nodelay, set_nodelay: bool = IPPROTO_TCP, TCP_NODELAY;
    /// Sends only full segments until it is turned off again, at most for 200 ms.
    cork, set_cork: bool = IPPROTO_TCP, TCP_CORK;
    /// Acknowledges at once. The kernel may turn this off again.
    quickack, set_quickack: bool = IPPROTO_TCP, TCP_QUICKACK;
    /// Largest segment in bytes, 88 to 32,767; before connecting.
    mss, set_mss: u32 = IPPROTO_TCP, TCP_MAXSEG;
    /// The socket does not count as writable while this many bytes or more are unsent.
    notsent_lowat, set_notsent_lowat: u32 = IPPROTO_TCP, TCP_NOTSENT_LOWAT;
    /// Unacknowledged probes before the connection is dropped, 1 to 127.
    keepalive_retries, set_keepalive_retries: u32 = IPPROTO_TCP, TCP_KEEPCNT;
    /// For a listener: how many connections with data in their SYN may wait to be
    /// accepted. The sysctl `net.ipv4.tcp_fastopen` must have bit 1 set.
    fastopen, set_fastopen: u32 = IPPROTO_TCP, TCP_FASTOPEN;
    /// Delays connecting until the first data is written, and sends it in the SYN. The
    /// sysctl `net.ipv4.tcp_fastopen` must have bit 0 set, which is the default.
    fastopen_connect, set_fastopen_connect: bool = IPPROTO_TCP, TCP_FASTOPEN_CONNECT;
    /// Retransmissions of the SYN before connecting fails, 1 to 127.
    syn_count, set_syn_count: u32 = IPPROTO_TCP, TCP_SYNCNT;
    /// A connection can be accepted only when data has arrived, or after this many
    /// seconds.
    defer_accept, set_defer_accept: u32 = IPPROTO_TCP, TCP_DEFER_ACCEPT;
    /// The largest window to advertise in bytes; 0: no limit.
    window_clamp, set_window_clamp: u32 = IPPROTO_TCP, TCP_WINDOW_CLAMP;
}

impl Socket {
    /// Sets how long sent data may stay unacknowledged before the connection is dropped,
    /// in whole milliseconds; zero: the system's default. `TCP_USER_TIMEOUT`.
    pub fn set_user_timeout(&self, time: Duration) -> Result<()> {
        let millis = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let name = libc::TCP_USER_TIMEOUT;
        self.set("set_user_timeout", libc::IPPROTO_TCP, name, millis)
    }

    /// What [`Socket::set_user_timeout`] has set.
    pub fn user_timeout(&self) -> Result<Duration> {
        let name = libc::TCP_USER_TIMEOUT;
        let millis: u32 = self.get("user_timeout", libc::IPPROTO_TCP, name)?;
        Ok(Duration::from_millis(millis.into()))
    }

    /// Sets how long a connection is idle before a probe is sent, 1 to 32,767 whole
    /// seconds; see [`Socket::set_keepalive`]. `TCP_KEEPIDLE`.
    pub fn set_keepalive_time(&self, time: Duration) -> Result<()> {
        self.set_seconds("set_keepalive_time", libc::TCP_KEEPIDLE, time)
    }

    /// The value of [`Socket::set_keepalive_time`].
    pub fn keepalive_time(&self) -> Result<Duration> {
        self.seconds("keepalive_time", libc::TCP_KEEPIDLE)
    }

    /// Sets the time between probes, 1 to 32,767 whole seconds. `TCP_KEEPINTVL`.
    pub fn set_keepalive_interval(&self, time: Duration) -> Result<()> {
        self.set_seconds("set_keepalive_interval", libc::TCP_KEEPINTVL, time)
    }

    /// The value of [`Socket::set_keepalive_interval`].
    pub fn keepalive_interval(&self) -> Result<Duration> {
        self.seconds("keepalive_interval", libc::TCP_KEEPINTVL)
    }

    fn set_seconds(&self, operation: &'static str, name: i32, time: Duration) -> Result<()> {
        let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        self.set(operation, libc::IPPROTO_TCP, name, seconds)
    }

    fn seconds(&self, operation: &'static str, name: i32) -> Result<Duration> {
        let seconds: u32 = self.get(operation, libc::IPPROTO_TCP, name)?;
        Ok(Duration::from_secs(seconds.into()))
    }

    /// Sets the congestion control algorithm: "cubic", "bbr", "dctcp", "vegas" or "reno".
    /// ENOENT if the kernel does not have it. `TCP_CONGESTION`.
    pub fn set_congestion(&self, name: &str) -> Result<()> {
        self.set_text_option(
            "set_congestion",
            libc::IPPROTO_TCP,
            libc::TCP_CONGESTION,
            name,
        )
    }

    /// The name of the congestion control algorithm.
    pub fn congestion(&self) -> Result<String> {
        self.text_option("congestion", libc::IPPROTO_TCP, libc::TCP_CONGESTION)
    }

    /// State and statistics of the connection (`TCP_INFO`).
    pub fn tcp_info(&self) -> Result<TcpInfo> {
        let mut value = [0; 512];
        let raw = self.fd.raw();
        let got = self
            .sys()
            .getsockopt(raw, libc::IPPROTO_TCP, libc::TCP_INFO, &mut value);
        let len = named("tcp_info", got)?;
        Ok(TcpInfo::parse(&value[..len]))
    }
}
