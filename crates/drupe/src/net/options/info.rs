//! [`TcpInfo`]: the kernel's state and statistics of a TCP connection.

use std::time::Duration;

/// The state of a TCP socket (`include/net/tcp_states.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names are those of RFC 9293")]
pub enum TcpState {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    #[default]
    Closed,
    CloseWait,
    LastAck,
    Listen,
    Closing,
}

/// The main fields of `struct tcp_info` (include/uapi/linux/tcp.h). From
/// [`Socket::tcp_info`](crate::net::Socket::tcp_info).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TcpInfo {
    /// Its state.
    pub state: TcpState,
    /// Timeouts in a row without an acknowledgement.
    pub retransmits: u8,
    /// Time after which unacknowledged data is sent again.
    pub retransmit_timeout: Duration,
    /// Bytes of the largest segment sent.
    pub send_mss: u32,
    /// Bytes of the largest segment received.
    pub receive_mss: u32,
    /// Segments sent and not acknowledged.
    pub unacknowledged: u32,
    /// Segments that count as lost.
    pub lost: u32,
    /// Segments sent again and not acknowledged.
    pub retransmitted: u32,
    /// Largest packet of the path in bytes.
    pub path_mtu: u32,
    /// Round trip time, smoothed.
    pub rtt: Duration,
    /// Its mean deviation.
    pub rtt_variation: Duration,
    /// The least round trip time of the last minutes.
    pub min_rtt: Duration,
    /// Segments that may be unacknowledged.
    pub congestion_window: u32,
    /// Segments at which slow start ends; `0x7fffffff`: not known yet.
    pub slow_start_threshold: u32,
    /// Segments sent again, since the beginning.
    pub total_retransmits: u32,
    /// The rate to which sending is limited, in bytes per second; `u64::MAX`: no limit.
    pub pacing_rate: u64,
    /// Bytes acknowledged by the peer.
    pub bytes_acknowledged: u64,
    /// Bytes received in order.
    pub bytes_received: u64,
    /// Bytes sent, including those sent again.
    pub bytes_sent: u64,
    /// Bytes sent again.
    pub bytes_retransmitted: u64,
    /// Bytes written and not sent yet.
    pub not_sent_bytes: u32,
    /// Segments sent.
    pub segments_out: u32,
    /// Segments received.
    pub segments_in: u32,
    /// The recent rate of delivery to the peer, in bytes per second.
    pub delivery_rate: u64,
    /// The window that the peer advertises, in bytes.
    pub send_window: u32,
}

impl TcpInfo {
    /// Parses `struct tcp_info`; fields that the kernel has not written are zero.
    pub(super) fn parse(bytes: &[u8]) -> TcpInfo {
        let word = |at: usize| {
            let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
            word.map_or(0, u32::from_ne_bytes)
        };
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let micros = |at: usize| Duration::from_micros(word(at).into());
        let byte = |at: usize| bytes.get(at).copied().unwrap_or_default();
        TcpInfo {
            state: state(byte(0)),
            retransmits: byte(2),
            retransmit_timeout: micros(8),
            send_mss: word(16),
            receive_mss: word(20),
            unacknowledged: word(24),
            lost: word(32),
            retransmitted: word(36),
            path_mtu: word(60),
            rtt: micros(68),
            rtt_variation: micros(72),
            slow_start_threshold: word(76),
            congestion_window: word(80),
            total_retransmits: word(100),
            pacing_rate: long(104),
            bytes_acknowledged: long(120),
            bytes_received: long(128),
            segments_out: word(136),
            segments_in: word(140),
            not_sent_bytes: word(144),
            min_rtt: micros(148),
            delivery_rate: long(160),
            bytes_sent: long(200),
            bytes_retransmitted: long(208),
            send_window: word(228),
        }
    }
}

fn state(number: u8) -> TcpState {
    match number {
        1 => TcpState::Established,
        2 => TcpState::SynSent,
        // TCP_NEW_SYN_RECV is the same to a user.
        3 | 12 => TcpState::SynReceived,
        4 => TcpState::FinWait1,
        5 => TcpState::FinWait2,
        6 => TcpState::TimeWait,
        8 => TcpState::CloseWait,
        9 => TcpState::LastAck,
        10 => TcpState::Listen,
        11 => TcpState::Closing,
        _ => TcpState::Closed,
    }
}
