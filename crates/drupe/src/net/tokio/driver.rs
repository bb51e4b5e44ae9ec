//! [`Driver`]: waits for all sockets of one kernel in one runtime.
//!
//! ```text
//!   socket ──▶ Registration ──▶ Driver ──▶ Poll (in the kernel)
//!                    │             │          │ raises the descriptor
//!                    └──▶ Ready ◀──┴── Table ◀┴── task: turns the Poll's events
//!                                                 into wakes
//! ```
//!
//! Sockets own the driver. The task owns only the table and a copy of the descriptor, so
//! it ends with the last socket. If it ends earlier, with its runtime or with the kernel,
//! the table is closed and all waiting tasks are woken; their calls return the error.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use ::tokio::io::unix::AsyncFd;
use ::tokio::runtime::{Handle, Id};
use ::tokio::task::{AbortHandle, yield_now};
use drupe_abi::Errno;

use super::ready::Ready;
use crate::error::{Cause, Error, Result};
use crate::kernel::KernelInner;
use crate::net::{Events, Interest, Poll, Socket, Token};

/// The drivers of one kernel, by their runtimes.
#[derive(Default)]
struct Drivers(Mutex<HashMap<Id, Weak<Driver>>>);

/// The driver of one kernel in one runtime.
pub(super) struct Driver {
    poll: Poll,
    table: Arc<Table>,
    task: OnceLock<AbortHandle>,
}

/// The sockets by their tokens; `None` once the task has ended.
struct Table(Mutex<Option<Sources>>);

#[derive(Default)]
struct Sources {
    last: u64,
    ready: HashMap<u64, Arc<Ready>>,
}

/// How many events are collected at a time.
const BATCH: usize = 256;

impl Driver {
    /// The driver of a kernel in the current runtime.
    pub(super) fn current(kernel: &Arc<KernelInner>) -> Result<Arc<Driver>> {
        let failed = |error| Error::new("tokio", Cause::Host(error));
        let runtime = Handle::try_current().map_err(|e| failed(std::io::Error::other(e)))?;
        let all = kernel.extension::<Drivers>();
        let mut drivers = all.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A number may be that of an earlier runtime, which has ended.
        drivers.retain(|_, driver| {
            driver
                .upgrade()
                .is_some_and(|driver| driver.table.is_open())
        });
        if let Some(driver) = drivers.get(&runtime.id()).and_then(Weak::upgrade) {
            return Ok(driver);
        }
        let poll = Poll::of(kernel)?;
        let event = poll.as_fd()?.try_clone_to_owned().map_err(failed)?;
        let event = crate::sys::readable(event).map_err(failed)?;
        let driver = Arc::new(Driver {
            poll,
            table: Arc::new(Table(Mutex::new(Some(Sources::default())))),
            task: OnceLock::new(),
        });
        // Only now: another thread may run it at once, and looks for the driver.
        let close = Close(Arc::clone(&driver.table));
        let task = runtime.spawn(run(event, Arc::downgrade(&driver), close));
        let _ = driver.task.set(task.abort_handle());
        drivers.insert(runtime.id(), Arc::downgrade(&driver));
        Ok(driver)
    }

    /// Wakes the tasks whose sockets are ready. `true`: there may be more events.
    fn turn(&self, events: &mut Events) -> Result<bool> {
        match self.poll.wait(events, Some(Duration::ZERO)) {
            Err(error) if error.errno() == Some(Errno::INTR) => return Ok(true),
            result => result?,
        }
        for event in events.iter() {
            let Some(ready) = self.table.find(event.token()) else {
                // It has been dropped meanwhile.
                continue;
            };
            if event.is_readable() {
                ready.read.happen();
            }
            if event.is_writable() {
                ready.write.happen();
            }
        }
        Ok(events.len() == BATCH)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

async fn run(event: AsyncFd<OwnedFd>, driver: Weak<Driver>, _close: Close) {
    let mut events = Events::with_capacity(BATCH);
    // An error is that of the runtime, which is shutting down.
    while let Ok(mut raised) = event.readable().await {
        // Before looking: what is raised later makes it ready anew.
        raised.clear_ready();
        loop {
            let Some(driver) = driver.upgrade() else {
                return;
            };
            match driver.turn(&mut events) {
                Ok(true) => {}
                Ok(false) => break,
                // The kernel has ended.
                Err(_) => return,
            }
            drop(driver);
            yield_now().await;
        }
    }
}

/// Closes the table when dropped, which is when the task ends.
struct Close(Arc<Table>);

impl Drop for Close {
    fn drop(&mut self) {
        let sources = self.0.lock().take();
        for ready in sources
            .into_iter()
            .flat_map(|sources| sources.ready.into_values())
        {
            ready.happen();
        }
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Option<Sources>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self) -> bool {
        self.lock().is_some()
    }

    fn insert(&self) -> Option<(Token, Arc<Ready>)> {
        let mut sources = self.lock();
        let sources = sources.as_mut()?;
        sources.last += 1;
        let ready = Arc::<Ready>::default();
        sources.ready.insert(sources.last, Arc::clone(&ready));
        Some((Token(sources.last), ready))
    }

    fn remove(&self, token: Token) {
        if let Some(sources) = self.lock().as_mut() {
            sources.ready.remove(&token.0);
        }
    }

    fn find(&self, token: Token) -> Option<Arc<Ready>> {
        self.lock().as_ref()?.ready.get(&token.0).cloned()
    }
}

/// Keeps a socket registered with its driver until dropped. Must be dropped before the
/// socket is closed.
pub(super) struct Registration {
    driver: Arc<Driver>,
    token: Token,
    ready: Arc<Ready>,
}

impl Registration {
    /// Registers both directions of a socket.
    pub(super) fn new(socket: &Socket) -> Result<Registration> {
        let driver = Driver::current(&socket.kernel)?;
        let ended = || Error::new("tokio", Cause::Host(ended()));
        let (token, ready) = driver.table.insert().ok_or_else(ended)?;
        // INVARIANT: what has a token is taken out again when this is dropped.
        let registration = Registration {
            driver,
            token,
            ready,
        };
        let interest = (Interest::READABLE | Interest::WRITABLE).edge();
        registration.driver.poll.add(socket, interest, token)?;
        Ok(registration)
    }

    pub(super) fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Whether events still come.
    pub(super) fn is_live(&self) -> bool {
        self.driver.table.is_open()
    }

    /// Removes the socket from the poll.
    pub(super) fn end(&self, socket: &Socket) {
        // It may not be in there, or the kernel has ended.
        let _ = self.driver.poll.remove(socket);
        self.driver.table.remove(self.token);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.driver.table.remove(self.token);
    }
}

/// The error of a socket whose driver has ended.
pub(super) fn ended() -> std::io::Error {
    std::io::Error::other("the runtime of this socket has ended")
}
