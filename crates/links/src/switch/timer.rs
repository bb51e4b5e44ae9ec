//! [`Timer`]: events of a switch at given times, in a thread that starts with the first
//! event.

use drupe_host::threads::{self, JoinHandle};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

/// The handler of due events. While it runs, other events wait.
pub(super) trait Serve: Send + Sync + 'static {
    type Event: Send + 'static;

    /// Handles events, which are sorted by their time, then by their number.
    fn serve(&self, events: &mut Vec<Self::Event>);
}

/// How many events are handled at once.
const BATCH: usize = 64;

pub(super) struct Timer<E>(Arc<Clock<E>>);

struct Clock<E> {
    events: Mutex<Events<E>>,
    changed: Condvar,
}

struct Events<E> {
    heap: BinaryHeap<Reverse<Event<E>>>,
    /// The number of the next event, which keeps events of the same time in order.
    number: u64,
    thread: Option<JoinHandle<()>>,
    closed: bool,
}

struct Event<E> {
    due: Instant,
    number: u64,
    what: E,
}

impl<E> Event<E> {
    fn key(&self) -> (Instant, u64) {
        (self.due, self.number)
    }
}

impl<E> PartialEq for Event<E> {
    fn eq(&self, other: &Event<E>) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Event<E> {}

impl<E> PartialOrd for Event<E> {
    fn partial_cmp(&self, other: &Event<E>) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Event<E> {
    fn cmp(&self, other: &Event<E>) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl<E> Default for Timer<E> {
    fn default() -> Timer<E> {
        Timer(Arc::new(Clock {
            events: Mutex::new(Events {
                heap: BinaryHeap::new(),
                number: 0,
                thread: None,
                closed: false,
            }),
            changed: Condvar::new(),
        }))
    }
}

impl<E> Clock<E> {
    fn events(&self) -> MutexGuard<'_, Events<E>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: Send + 'static> Timer<E> {
    /// Schedules an event for `server`, which is not kept alive by this.
    pub(super) fn schedule<S: Serve<Event = E>>(&self, server: &Weak<S>, due: Instant, what: E) {
        let mut events = self.0.events();
        let number = events.number;
        events.number += 1;
        let earlier = match events.heap.peek() {
            None => true,
            Some(Reverse(first)) => due < first.due,
        };
        events.heap.push(Reverse(Event { due, number, what }));
        if events.thread.is_none() && !events.closed {
            let (clock, server) = (Arc::clone(&self.0), Weak::clone(server));
            // Without a thread nothing arrives any more; the next event tries again.
            events.thread = threads::spawn("drupe-link", move || run(&clock, &server)).ok();
        } else if earlier {
            self.0.changed.notify_one();
        }
    }
}

fn run<S: Serve>(clock: &Clock<S::Event>, server: &Weak<S>) {
    let mut due = Vec::new();
    loop {
        let mut events = clock.events();
        loop {
            if events.closed {
                return;
            }
            let now = Instant::now();
            let next = events.heap.peek().map(|Reverse(event)| event.due);
            let waited = match next {
                Some(next) if next <= now => break,
                Some(next) => {
                    let waited = clock.changed.wait_timeout(events, next - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = clock.changed.wait(events);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
            events = waited;
        }
        let now = Instant::now();
        while due.len() < BATCH
            && events
                .heap
                .peek()
                .is_some_and(|Reverse(event)| event.due <= now)
        {
            due.extend(events.heap.pop().map(|Reverse(event)| event.what));
        }
        drop(events);
        let Some(server) = server.upgrade() else {
            return;
        };
        server.serve(&mut due);
        due.clear();
    }
}

impl<E> Drop for Timer<E> {
    /// Ends the thread, and waits for it unless this is it.
    fn drop(&mut self) {
        let mut events = self.0.events();
        events.closed = true;
        let thread = events.thread.take();
        let heap = std::mem::take(&mut events.heap);
        drop(events);
        drop(heap);
        self.0.changed.notify_all();
        if let Some(thread) = thread
            && !thread.is_current()
        {
            // It does not panic; if it did, it has ended too.
            let _ = thread.join();
        }
    }
}
