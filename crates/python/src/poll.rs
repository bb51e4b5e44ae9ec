//! `Poll`: waits for many sockets; its descriptor is one that an event loop waits for.

use std::os::fd::AsRawFd;
use std::time::Duration;

use drupe::net::{Events, Interest, Token};
use pyo3::prelude::*;

use crate::error::{Failure, value};
use crate::gate::call;
use crate::handle::{Handle, Held};
use crate::kernel::Kernel;
use crate::socket::Socket;

/// Readable; writable.
const READ: u32 = 1;
const WRITE: u32 = 2;

/// Waits for many sockets, by edges: each event is told once.
#[pyclass(frozen, module = "drupe._drupe")]
pub(crate) struct Poll(Handle<drupe::net::Poll>);

impl Poll {
    fn get(&self) -> PyResult<Held<drupe::net::Poll>> {
        self.0.get().ok_or_else(|| value("it has been closed"))
    }
}

#[pymethods]
impl Poll {
    #[new]
    fn new(py: Python<'_>, kernel: &Kernel) -> PyResult<Poll> {
        let kernel = kernel.get()?;
        let poll = call(py, || drupe::net::Poll::new(&kernel))?;
        Ok(Poll(Handle::new(poll)))
    }

    /// Waits for a socket, to be readable and writable.
    fn add(&self, py: Python<'_>, socket: &Socket, token: u64) -> PyResult<()> {
        let (poll, socket) = (self.get()?, socket.get(py)?);
        let both = (Interest::READABLE | Interest::WRITABLE).edge();
        call(py, || poll.add(&*socket, both, Token(token)))
    }

    fn remove(&self, py: Python<'_>, socket: &Socket) -> PyResult<()> {
        let (poll, socket) = (self.get()?, socket.get(py)?);
        call(py, || poll.remove(&*socket))
    }

    /// What has happened: tokens, and what their sockets are ready for.
    fn events(&self, py: Python<'_>) -> PyResult<Vec<(u64, u32)>> {
        let poll = self.get()?;
        call(py, || {
            let mut events = Events::with_capacity(256);
            poll.wait(&mut events, Some(Duration::ZERO))?;
            let told = events.iter().map(|event| {
                let ended = event.is_error() || event.is_hangup();
                let mut ready = 0;
                if event.is_readable() || event.is_read_closed() || ended {
                    ready |= READ;
                }
                if event.is_writable() || ended {
                    ready |= WRITE;
                }
                (event.token().0, ready)
            });
            Ok(told.collect())
        })
    }

    /// A descriptor of this process, readable when there are events.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        let poll = self.get()?;
        let descriptor = poll.as_fd();
        let descriptor = descriptor.map_err(|error| Failure::from(error).raise(py))?;
        Ok(descriptor.as_raw_fd())
    }
}
