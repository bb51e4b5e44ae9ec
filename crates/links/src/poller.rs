//! [`Poller`]: a thread that waits for a descriptor, and wakes a kernel.
//!
//! ```text
//!              wanted               readable, writable
//!   Sleeping ──────────▶ Polling ───────────────────────▶ Running ──┐ wakes the
//!      ▲                    ▲                                │  ▲   │ kernel
//!      └──── nothing wanted ┼────────────────────────────────┤  └───┘
//!                           └──── wanted (again, meanwhile) ─┘
//! ```
//!
//! A link that could not receive or send registers a wish ([`Poller::want`]), and is
//! woken once for it. No event is lost, because the thread first removes the wish, then
//! wakes the kernel, which tries the descriptor after that. A wish that comes between
//! `poll(2)` and the removal is removed too, and served by the same wake.
//!
//! Often the kernel runs in this thread while it is woken, and registers another wish:
//! the thread is `Running` then, and the wish takes no system call.
//!
//! All state is under one lock, which is never held during a system call.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use drupe_host::link::LinkWaker;
use drupe_host::threads::{self, JoinHandle};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use crate::sync::{Condvar, Mutex, lock};

/// A frame can be received.
pub(crate) const IN: u8 = 1;
/// A frame can be sent.
pub(crate) const OUT: u8 = 2;

/// How long the thread waits before it reports an error of the descriptor, since a
/// permanent error would keep it busy.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thread {
    Running,
    Sleeping,
    /// In `poll(2)`, for these events.
    Polling(u8),
}

/// What the thread does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Poll(u8),
    End,
}

/// How a thread that has changed the wishes tells the poller.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Tell {
    Nothing,
    /// Wake it: it sleeps.
    Notify,
    /// Interrupt its `poll(2)`, which waits for other events.
    Kick,
}

#[derive(Debug)]
struct State {
    wanted: u8,
    thread: Thread,
    end: bool,
}

/// The wishes and the state of the thread. Tested with loom models.
#[derive(Debug)]
pub(crate) struct Wishes {
    state: Mutex<State>,
    changed: Condvar,
}

impl Wishes {
    /// `wanted`: the initial wishes.
    pub(crate) fn new(wanted: u8) -> Wishes {
        Wishes {
            state: Mutex::new(State {
                wanted,
                thread: Thread::Running,
                end: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Adds `events` to the wishes.
    pub(crate) fn want(&self, events: u8) -> Tell {
        let mut state = lock(&self.state);
        state.wanted |= events;
        match state.thread {
            Thread::Polling(polled) if polled & events != events => Tell::Kick,
            Thread::Polling(_) | Thread::Running => Tell::Nothing,
            Thread::Sleeping => {
                // Others need not notify it again.
                state.thread = Thread::Running;
                Tell::Notify
            }
        }
    }

    /// Asks the thread to end.
    pub(crate) fn end(&self) -> Tell {
        let mut state = lock(&self.state);
        state.end = true;
        match state.thread {
            Thread::Polling(_) => Tell::Kick,
            Thread::Running => Tell::Nothing,
            Thread::Sleeping => Tell::Notify,
        }
    }

    pub(crate) fn notify(&self) {
        self.changed.notify_one();
    }

    /// What the thread does next. Called when it has nothing to do.
    pub(crate) fn next(&self) -> Next {
        let mut state = lock(&self.state);
        while !state.end && state.wanted == 0 {
            state.thread = Thread::Sleeping;
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        if state.end {
            state.thread = Thread::Running;
            return Next::End;
        }
        state.thread = Thread::Polling(state.wanted);
        Next::Poll(state.wanted)
    }

    /// Called when the thread has polled and `events` have come: removes these wishes.
    /// Returns whether to wake the kernel.
    #[must_use]
    pub(crate) fn polled(&self, events: u8) -> bool {
        let mut state = lock(&self.state);
        state.thread = Thread::Running;
        state.wanted &= !events;
        events != 0 && !state.end
    }
}

/// A thread that waits for a descriptor.
#[derive(Debug)]
pub(crate) struct Poller {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    wishes: Wishes,
    /// An eventfd(2) that interrupts the thread's `poll(2)`.
    kick: OwnedFd,
    fd: Arc<OwnedFd>,
}

impl Poller {
    /// A poller for `fd`. It waits for received frames from the beginning.
    ///
    /// # Errors
    ///
    /// The host is out of descriptors.
    pub(crate) fn new(fd: Arc<OwnedFd>) -> std::io::Result<Poller> {
        Ok(Poller {
            shared: Arc::new(Shared {
                wishes: Wishes::new(IN),
                kick: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
                fd,
            }),
            thread: Mutex::new(None),
        })
    }

    /// Starts the thread, which ends with [`Poller::end`], or when the kernel has ended.
    pub(crate) fn start(&self, waker: LinkWaker) {
        let shared = Arc::clone(&self.shared);
        // Without a thread the link is silent, as one with its cable cut.
        let started = threads::spawn("drupe-link", move || run(&shared, &waker)).ok();
        *lock(&self.thread) = started;
    }

    /// Wakes the kernel when `events` come.
    pub(crate) fn want(&self, events: u8) {
        self.shared.tell(self.shared.wishes.want(events));
    }

    /// Makes the thread end soon; does not wait, since it may be inside of the kernel.
    pub(crate) fn end(&self) {
        self.shared.tell(self.shared.wishes.end());
    }
}

impl Drop for Poller {
    /// Waits for the thread, unless it is the calling one.
    fn drop(&mut self) {
        self.end();
        if let Some(thread) = lock(&self.thread).take()
            && !thread.is_current()
        {
            // It does not panic; if it did, it has ended too.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn tell(&self, tell: Tell) {
        match tell {
            Tell::Nothing => {}
            Tell::Notify => self.wishes.notify(),
            // An eventfd that is full is readable all the same.
            Tell::Kick => drop(rustix::io::write(&self.kick, &1_u64.to_ne_bytes())),
        }
    }

    /// Which of `events` have come.
    fn poll(&self, events: u8) -> u8 {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, events & IN != 0);
        flags.set(PollFlags::OUT, events & OUT != 0);
        let mut fds = [
            PollFd::from_borrowed_fd(self.fd.as_fd(), flags),
            PollFd::new(&self.kick, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => return 0,
            // Out of memory.
            Err(_) => {
                thread::sleep(ERROR_PAUSE);
                return 0;
            }
        }
        if !fds[1].revents().is_empty() {
            let _ = rustix::io::read(&self.kick, &mut [0; 8]);
        }
        let come = fds[0].revents();
        if !come.is_empty() && !come.intersects(PollFlags::IN | PollFlags::OUT) {
            // An error: whoever asks the descriptor gets it.
            thread::sleep(ERROR_PAUSE);
            return events;
        }
        let readable = u8::from(come.contains(PollFlags::IN)) * IN;
        let writable = u8::from(come.contains(PollFlags::OUT)) * OUT;
        readable | writable
    }
}

fn run(shared: &Shared, waker: &LinkWaker) {
    while let Next::Poll(events) = shared.wishes.next() {
        let come = shared.poll(events);
        if shared.wishes.polled(come) && !waker.wake() {
            return;
        }
    }
}
