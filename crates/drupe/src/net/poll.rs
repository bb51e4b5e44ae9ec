//! [`Poll`]: waits for many sockets in one thread, with the kernel's epoll(7).

use std::fmt;
use std::ops::BitOr;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use drupe_abi::Errno;
use drupe_machine::Watch;

use super::notice::Notice;
use super::{Socket, TcpListener, TcpStream, UdpSocket, named};
use crate::error::{Error, Result};
use crate::kernel::KernelInner;
use crate::sys::OwnedFd;
use crate::{File, Kernel, KernelFile};

/// The program's identifier of a source in the events of a [`Poll`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// The events to wait for, and how. Without [`Interest::edge`], an event is reported as
/// long as its condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interest(u32);

impl Interest {
    /// Readable: there is data, a connection to accept, or the end of the stream.
    pub const READABLE: Interest = Interest((libc::EPOLLIN | libc::EPOLLRDHUP) as u32);
    /// Writable: there is room in the send buffer, or connecting has succeeded or failed.
    pub const WRITABLE: Interest = Interest(libc::EPOLLOUT as u32);
    /// There is urgent data (`EPOLLPRI`).
    pub const PRIORITY: Interest = Interest(libc::EPOLLPRI as u32);

    /// Reports events only when they occur (`EPOLLET`): read or write until `WouldBlock`
    /// before waiting again.
    pub const fn edge(self) -> Interest {
        Interest(self.0 | libc::EPOLLET as u32)
    }

    /// Reports one event, then none until [`Poll::modify`] (`EPOLLONESHOT`).
    pub const fn one_shot(self) -> Interest {
        Interest(self.0 | libc::EPOLLONESHOT as u32)
    }

    fn is_edge(self) -> bool {
        self.0 & (libc::EPOLLET | libc::EPOLLONESHOT) as u32 != 0
    }
}

impl BitOr for Interest {
    type Output = Interest;

    fn bitor(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }
}

/// Something that a [`Poll`] can wait for: a socket, or a file that is not on a disk. A
/// type that contains one of these can be a source too.
pub trait Source {
    /// The descriptor to wait for.
    fn descriptor(&self) -> Descriptor<'_>;
}

/// The descriptor of a [`Source`].
#[derive(Debug, Clone, Copy)]
pub struct Descriptor<'a>(&'a OwnedFd);

macro_rules! sources {
    ($($type:ty: $self:ident => $fd:expr;)*) => {$(
        impl Source for $type {
            fn descriptor(&$self) -> Descriptor<'_> {
                Descriptor(&$fd)
            }
        }
    )*};
}

sources! {
    Socket: self => self.fd;
    TcpStream: self => self.as_socket().fd;
    TcpListener: self => self.as_socket().fd;
    UdpSocket: self => self.as_socket().fd;
    File: self => self.descriptor();
    KernelFile: self => self.descriptor();
    Poll: self => self.epoll;
}

/// Waits for many sockets of one kernel: an epoll(7) inside of it. Any thread
/// may use it, several at once too.
///
/// A source is removed when its last handle is dropped.
///
/// A program's own event loop can wait for [`Poll::as_fd`].
pub struct Poll {
    // Before the epoll that it watches.
    watched: OnceLock<(Watch, Arc<Notice>)>,
    /// Whether a source that is not edge-triggered was ever added. Relaxed: it is set
    /// before the system call that adds the source, and read after one that may have
    /// found it. Calls into the kernel are serialised, which orders the two.
    level: AtomicBool,
    epoll: OwnedFd,
    kernel: Arc<KernelInner>,
}

impl Poll {
    /// Makes an epoll without sources (epoll_create1(2)).
    pub fn new(kernel: &Kernel) -> Result<Poll> {
        Poll::of(&kernel.inner)
    }

    pub(super) fn of(kernel: &Arc<KernelInner>) -> Result<Poll> {
        Ok(Poll {
            watched: OnceLock::new(),
            level: AtomicBool::new(false),
            epoll: named("poll", kernel.sys.epoll_create())?,
            kernel: Arc::clone(kernel),
        })
    }

    /// Adds a source. EEXIST if it was added before, EPERM for a file that is always
    /// ready, EINVAL for a source of another kernel.
    pub fn add(&self, source: &impl Source, interest: Interest, token: Token) -> Result<()> {
        self.control("poll add", libc::EPOLL_CTL_ADD, source, interest, token)
    }

    /// Changes the interest and token of a source. ENOENT if it was not added.
    pub fn modify(&self, source: &impl Source, interest: Interest, token: Token) -> Result<()> {
        self.control("poll modify", libc::EPOLL_CTL_MOD, source, interest, token)
    }

    /// Removes a source. ENOENT if it was not added. Another thread may still have events
    /// of it that it has collected before.
    pub fn remove(&self, source: &impl Source) -> Result<()> {
        let (interest, token) = (Interest(0), Token(0));
        self.control("poll remove", libc::EPOLL_CTL_DEL, source, interest, token)
    }

    fn control(
        &self,
        operation: &'static str,
        what: i32,
        source: &impl Source,
        interest: Interest,
        token: Token,
    ) -> Result<()> {
        let sys = &self.kernel.sys;
        let Descriptor(fd) = source.descriptor();
        if fd.sys().id() != sys.id() {
            return Err(Error::new(operation, Errno::INVAL));
        }
        if what != libc::EPOLL_CTL_DEL && !interest.is_edge() {
            self.level.store(true, Ordering::Relaxed);
        }
        let event = libc::epoll_event {
            events: interest.0,
            u64: token.0,
        };
        let done = sys.epoll_ctl(self.epoll.raw(), what, fd.raw(), event);
        named(operation, done)
    }

    /// Waits for events, at most for `timeout`, after which `events` is empty. Replaces
    /// the content of `events` with as many as fit.
    ///
    /// EINTR when the thread is interrupted.
    pub fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> Result<()> {
        let notice = self.watched.get().map(|(_, notice)| notice);
        // Before the kernel is asked: what happens afterwards raises it anew.
        if let Some(notice) = notice {
            notice.lower();
        }
        let waited = self
            .kernel
            .sys
            .epoll_wait(self.epoll.raw(), &mut events.0, timeout);
        let full = events.0.len() == events.0.capacity();
        let again = full || (!events.0.is_empty() && self.level.load(Ordering::Relaxed));
        if let Some(notice) = notice
            && (again || waited.is_err())
        {
            // There may be more, of which no edge tells.
            notice.raise();
        }
        named("poll wait", waited)
    }

    /// A descriptor of the host, for the program's own event loop (epoll(7),
    /// `tokio::io::unix::AsyncFd`, …). It is readable while there may be events: until a
    /// [`Poll::wait`] finds none, or, if all sources are edge-triggered, has collected
    /// all. Do not read from it.
    ///
    /// It is also readable once the kernel has ended.
    pub fn as_fd(&self) -> Result<BorrowedFd<'_>> {
        let (_, notice) = match self.watched.get() {
            Some(watched) => watched,
            None => {
                let watched = self.start()?;
                self.watched.get_or_init(|| watched)
            }
        };
        Ok(notice.as_fd())
    }

    fn start(&self) -> Result<(Watch, Arc<Notice>)> {
        let notice = Arc::new(Notice::new().map_err(|e| Error::new("poll", e))?);
        // What is ready already.
        notice.raise();
        let raise = Arc::clone(&notice);
        let notify = Arc::new(move || raise.raise());
        let machine = self.kernel.sys.machine();
        let watch = named("poll", machine.watch(self.epoll.raw(), notify))?;
        Ok((watch, notice))
    }
}

impl fmt::Debug for Poll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Poll({:?})", self.epoll)
    }
}

/// The events of the last [`Poll::wait`], and room for more.
pub struct Events(Vec<libc::epoll_event>);

impl Events {
    /// Room for at least this many, at least one.
    pub fn with_capacity(capacity: usize) -> Events {
        Events(Vec::with_capacity(capacity.max(1)))
    }

    /// The events, one for each source that has any.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Event> + '_ {
        self.0.iter().map(|event| Event {
            token: Token(event.u64),
            flags: event.events,
        })
    }

    /// The number of events.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// An event of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    token: Token,
    flags: u32,
}

impl Event {
    /// The token of the source.
    pub fn token(&self) -> Token {
        self.token
    }

    /// A read will not block: it returns data, the end, or an error.
    pub fn is_readable(&self) -> bool {
        self.has(libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR)
    }

    /// A write will not block, or connecting has succeeded or failed.
    pub fn is_writable(&self) -> bool {
        self.has(libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR)
    }

    /// There is urgent data.
    pub fn is_priority(&self) -> bool {
        self.has(libc::EPOLLPRI)
    }

    /// There is an error; `take_error` returns it.
    pub fn is_error(&self) -> bool {
        self.has(libc::EPOLLERR)
    }

    /// The peer will send no more.
    pub fn is_read_closed(&self) -> bool {
        self.has(libc::EPOLLRDHUP | libc::EPOLLHUP)
    }

    /// Both directions have ended.
    pub fn is_hangup(&self) -> bool {
        self.has(libc::EPOLLHUP)
    }

    fn has(&self, flags: i32) -> bool {
        self.flags & flags as u32 != 0
    }
}
