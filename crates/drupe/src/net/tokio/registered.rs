//! [`Registered`]: a non-blocking socket with its registration in the runtime.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use ::tokio::task::coop::poll_proceed;

use super::driver::{Registration, ended};
use super::ready::Direction;
use crate::error::{Cause, Error, Result};
use crate::net::Socket;

/// A non-blocking socket that is registered with the runtime it was made in.
pub(super) struct Registered {
    registration: Registration,
    socket: Socket,
}

/// A direction of a socket.
#[derive(Debug, Clone, Copy)]
pub(super) enum Half {
    Read,
    Write,
}

impl Registered {
    pub(super) fn new(socket: Socket) -> Result<Registered> {
        socket.set_nonblocking(true)?;
        Registered::of_nonblocking(socket)
    }

    /// Registers a socket that is non-blocking already.
    pub(super) fn of_nonblocking(socket: Socket) -> Result<Registered> {
        Ok(Registered {
            registration: Registration::new(&socket)?,
            socket,
        })
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    fn direction(&self, half: Half) -> &Direction {
        let ready = self.registration.ready();
        match half {
            Half::Read => &ready.read,
            Half::Write => &ready.write,
        }
    }

    /// Calls `f` until it does not return `WouldBlock`, waiting for the socket in
    /// between.
    pub(super) fn poll<T, E: WouldBlock>(
        &self,
        cx: &mut Context<'_>,
        half: Half,
        mut f: impl FnMut(&Socket) -> std::result::Result<T, E>,
    ) -> Poll<std::result::Result<T, E>> {
        // A task that always finds its socket ready lets others run, too.
        let progress = ready!(poll_proceed(cx));
        let direction = self.direction(half);
        loop {
            let tick = direction.tick();
            match f(&self.socket) {
                Err(error) if error.would_block() => {}
                result => {
                    progress.made_progress();
                    return Poll::Ready(result);
                }
            }
            if !direction.wait(tick, cx.waker()) {
                continue;
            }
            // After waiting: who ends closes first, and wakes then.
            if !self.registration.is_live() {
                return Poll::Ready(Err(E::ended()));
            }
            return Poll::Pending;
        }
    }

    /// [`Registered::poll`] as a future.
    pub(super) async fn run<T>(
        &self,
        half: Half,
        mut f: impl FnMut(&Socket) -> Result<T>,
    ) -> Result<T> {
        poll_fn(|cx| self.poll(cx, half, &mut f)).await
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registration.end(&self.socket);
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

/// An error that may be `WouldBlock`.
pub(super) trait WouldBlock {
    fn would_block(&self) -> bool;
    fn ended() -> Self;
}

impl WouldBlock for Error {
    fn would_block(&self) -> bool {
        self.kind() == io::ErrorKind::WouldBlock
    }

    fn ended() -> Error {
        Error::new("tokio", Cause::Host(ended()))
    }
}

impl WouldBlock for io::Error {
    fn would_block(&self) -> bool {
        self.kind() == io::ErrorKind::WouldBlock
    }

    fn ended() -> io::Error {
        ended()
    }
}
