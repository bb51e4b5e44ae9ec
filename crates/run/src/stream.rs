//! [`Stream`]: a socket that carries bytes: TCP, MPTCP, vsock.
//!
//! ```text
//!           connect, not at once          the kernel says so
//!   Idle ─────────────────────▶ Connecting ───────▶ Open ──▶ … Gone or Over
//!     ▲ ▲── refused, blocking ──────┤
//!     │                             └─ refused ───▶ Failed
//!     └── socket            accept ────────────────▶ Open
//! ```
//!
//! **Both directions are copied** between the supervisor's end of the pair and the
//! kernel's socket. Bytes that one side does not take at once wait in a [`Pending`], and
//! no more are read meanwhile.
//!
//! **Ends.** When the program's end is shut down or closed for writing, the kernel's
//! socket gets `shutdown(SHUT_WR)`; when the peer's FIN comes, the supervisor's end does.
//! The program has closed its last descriptor if the supervisor's end reads the end of
//! file and the program has not shut its end down. If both sides have shut down, the host
//! sends no more events, and it is unknown whether the socket is closed: [`Turn::Over`].
//!
//! **A reset** reaches the program as ECONNRESET, which the host returns to the peer of a
//! Unix socket that is closed with unread data. If there is no unread data, the
//! supervisor writes some through the program's end.

use std::mem;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

use crate::pair_state::{PairState, Ready, Tools, Turn};
use crate::pending::Pending;
use crate::socket::Socket;
use crate::target::Targets;

/// How many bytes of one stream are moved before others have their turn.
const TURN: usize = 1 << 20;

/// The state of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Idle,
    /// Connecting, with this many bytes of junk in the program's end, which make it not
    /// writable.
    Connecting {
        junk: usize,
    },
    Failed,
    Open,
    /// It has ended with an error, of which the program was told.
    Broken,
}

/// A socket that carries bytes.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) phase: Phase,
    outbound: Pending,
    inbound: Pending,
    /// Whether the program has shut its end down for reading.
    pub(crate) shut_read: bool,
    pub(crate) shut_write: bool,
    /// Whether the end of the program's data was read and passed on.
    finished: bool,
    /// Whether the end of the peer's data was passed on.
    peer_finished: bool,
    /// Whether the peer takes no more of the program's data.
    unwanted: bool,
    /// Whether the program takes no more of the peer's data.
    unread: bool,
    /// The error that has ended it, for `SO_ERROR`.
    pub(crate) error: Option<Errno>,
}

impl Stream {
    pub(crate) fn new(phase: Phase) -> Stream {
        Stream {
            phase,
            outbound: Pending::default(),
            inbound: Pending::default(),
            shut_read: false,
            shut_write: false,
            finished: false,
            peer_finished: false,
            unwanted: false,
            unread: false,
            error: None,
        }
    }

    pub(crate) fn advance(
        &mut self,
        pair: &mut PairState,
        socket: &Socket,
        blocking: bool,
        tools: &mut Tools<'_>,
    ) -> Turn {
        match self.phase {
            Phase::Idle if pair.end.hangup => return Turn::Gone,
            Phase::Failed | Phase::Broken => return Turn::Over,
            Phase::Idle => return Turn::Done,
            Phase::Connecting { .. } if pair.end.hangup => return Turn::Gone,
            Phase::Connecting { junk } if pair.wire.error || pair.wire.hangup => {
                self.refused(pair, junk, blocking, tools.targets);
                return Turn::Done;
            }
            Phase::Connecting { junk } if pair.wire.writable => {
                self.connected(pair, junk, tools.targets);
            }
            Phase::Connecting { .. } => return Turn::Done,
            Phase::Open => {}
        }
        let mut budget = TURN;
        if !self.send_all(pair, socket, tools, &mut budget) {
            return Turn::Gone;
        }
        let mut budget_in = TURN;
        if !self.receive_all(pair, socket, tools, &mut budget_in) {
            self.break_off(pair, tools);
            return Turn::Over;
        }
        if self.finished && self.outbound.is_empty() && self.is_closed(&pair.end) {
            discard(socket, tools.buffer);
            return Turn::Gone;
        }
        let over = self.finished && self.outbound.is_empty();
        let peer_over = self.peer_finished || self.shut_read;
        match () {
            () if pair.end.hangup && over && peer_over => Turn::Over,
            () if budget == 0 || budget_in == 0 => Turn::More,
            () => Turn::Done,
        }
    }

    /// Notes that the connection is established.
    pub(crate) fn connected(&mut self, pair: &mut PairState, junk: usize, targets: &mut Targets) {
        self.phase = Phase::Open;
        pair.unplug(junk, targets);
        pair.end.readable = true;
        pair.end.writable = true;
    }

    /// Notes that connecting has failed. A thread in connect(2) gets the error, and may
    /// try again; others get a hangup, and read the error with `SO_ERROR`.
    pub(crate) fn refused(
        &mut self,
        pair: &mut PairState,
        junk: usize,
        blocking: bool,
        targets: &mut Targets,
    ) {
        pair.unplug(junk, targets);
        pair.wire = Default::default();
        if blocking {
            self.phase = Phase::Idle;
            return;
        }
        self.phase = Phase::Failed;
        if let Some(ours) = &pair.ours {
            let _ = shutdown(ours, Shutdown::Both);
        }
    }

    /// Moves the program's data to the peer. `false`: the program has closed the socket,
    /// and all is sent.
    fn send_all(
        &mut self,
        pair: &mut PairState,
        socket: &Socket,
        tools: &mut Tools<'_>,
        budget: &mut usize,
    ) -> bool {
        let PairState {
            ours: Some(ours),
            end,
            wire,
            linger,
            ..
        } = pair
        else {
            return true;
        };
        let ours = &*ours;
        while *budget > 0 {
            if !self.outbound.is_empty() {
                if !wire.writable {
                    break;
                }
                match socket.send(self.outbound.as_bytes()) {
                    Ok(len) => self.outbound.consume(len),
                    Err(Errno::AGAIN) => wire.writable = false,
                    Err(errno) => self.unwanted(ours, wire, errno),
                }
                continue;
            }
            if self.finished || !end.readable {
                break;
            }
            match recv(ours, &mut *tools.buffer, RecvFlags::DONTWAIT) {
                Ok((0, _)) | Err(Errno::CONNRESET) => {
                    end.readable = false;
                    self.finished = true;
                    if *linger == Some(0) && self.is_closed(end) {
                        return false;
                    }
                    let _ = socket.shutdown(libc::SHUT_WR);
                }
                Ok((len, _)) => {
                    *budget = budget.saturating_sub(len);
                    end.readable = len == tools.buffer.len() || end.ended;
                    let bytes = &tools.buffer[..len];
                    if self.unwanted {
                        continue;
                    }
                    let sent = match wire.writable {
                        true => socket.send(bytes),
                        false => Err(Errno::AGAIN),
                    };
                    match sent {
                        Ok(sent) if sent == len => {}
                        Ok(sent) => self.outbound.put(&bytes[sent..]),
                        Err(Errno::AGAIN) => {
                            wire.writable = false;
                            self.outbound.put(bytes);
                        }
                        Err(errno) => self.unwanted(ours, wire, errno),
                    }
                }
                Err(_) => end.readable = false,
            }
        }
        if self.outbound.is_empty() && !end.readable {
            self.outbound.release();
        }
        true
    }

    /// Notes that the peer takes no more of the program's data.
    fn unwanted(&mut self, ours: &OwnedFd, wire: &mut Ready, errno: Errno) {
        self.outbound.clear();
        self.unwanted = true;
        if !self.peer_finished && errno != Errno::PIPE {
            self.error.get_or_insert(errno);
        }
        // Its next write says EPIPE; what it reads may say more.
        let _ = shutdown(ours, Shutdown::Read);
        wire.readable = true;
        wire.ended = true;
    }

    /// Moves the peer's data to the program. `false`: the connection was reset.
    fn receive_all(
        &mut self,
        pair: &mut PairState,
        socket: &Socket,
        tools: &mut Tools<'_>,
        budget: &mut usize,
    ) -> bool {
        let Some(ours) = &pair.ours else { return true };
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        while *budget > 0 {
            if !self.inbound.is_empty() {
                if !pair.end.writable {
                    break;
                }
                match send(ours, self.inbound.as_bytes(), flags) {
                    Ok(len) => self.inbound.consume(len),
                    Err(Errno::AGAIN) => pair.end.writable = false,
                    Err(_) => {
                        self.inbound.clear();
                        self.unread = true;
                    }
                }
                continue;
            }
            if self.peer_finished || !pair.wire.readable {
                break;
            }
            match socket.receive(tools.buffer, 0) {
                Ok(0) if self.error.is_some() => return false,
                Ok(0) => {
                    pair.wire.readable = false;
                    self.peer_finished = true;
                    let _ = shutdown(ours, Shutdown::Write);
                }
                Ok(len) => {
                    *budget = budget.saturating_sub(len);
                    pair.wire.readable = len == tools.buffer.len() || pair.wire.ended;
                    let bytes = &tools.buffer[..len];
                    if self.unread {
                        continue;
                    }
                    let sent = match pair.end.writable {
                        true => send(ours, bytes, flags),
                        false => Err(Errno::AGAIN),
                    };
                    match sent {
                        Ok(sent) if sent == len => {}
                        Ok(sent) => self.inbound.put(&bytes[sent..]),
                        Err(Errno::AGAIN) => {
                            pair.end.writable = false;
                            self.inbound.put(bytes);
                        }
                        Err(_) => self.unread = true,
                    }
                }
                Err(Errno::AGAIN) => pair.wire.readable = false,
                Err(errno) => {
                    self.error.get_or_insert(errno);
                    return false;
                }
            }
        }
        if self.inbound.is_empty() && !pair.wire.readable {
            self.inbound.release();
        }
        true
    }

    /// Whether the program has closed all its descriptors, after the supervisor's end has
    /// read the end of file.
    fn is_closed(&self, end: &Ready) -> bool {
        let by_reading = !self.shut_write && !self.unwanted;
        let by_hangup = end.hangup && !self.peer_finished && !self.shut_read;
        by_reading || by_hangup
    }

    /// Tells the program of the error that has ended the connection.
    fn break_off(&mut self, pair: &mut PairState, tools: &mut Tools<'_>) {
        self.phase = Phase::Broken;
        let Some(ours) = pair.ours.take() else { return };
        if let Some(theirs) = pair.find_theirs(tools.targets) {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            // Full, or shut down: then this is all that can be done.
            let _ = send(&theirs, b"x", flags);
        }
        drop(ours);
    }
}

/// Reads and drops data of the peer after the program has closed its end. Closing with
/// unread data would reset the connection, and lose data that is not acknowledged yet.
fn discard(socket: &Socket, buffer: &mut [u8]) {
    for _ in 0..64 {
        match socket.receive(buffer, libc::MSG_TRUNC) {
            Ok(1..) => {}
            _ => break,
        }
    }
}

impl Stream {
    /// Bytes that the kernel has not taken yet.
    pub(crate) fn unsent(&self) -> usize {
        self.outbound.as_bytes().len()
    }

    /// The error that has ended it; returned once.
    pub(crate) fn take_error(&mut self) -> Option<Errno> {
        mem::take(&mut self.error)
    }
}
