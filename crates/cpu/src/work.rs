//! Requests to disks that may have to wait, and the threads that serve them, so that
//! the CPU does not wait.
//!
//! Requests are taken in the order in which they were submitted, and served at the same
//! time by up to four threads, with one exception: **a flush is taken when
//! every write to its device that was submitted before it has been served.** Linux asks
//! for less: a flush covers the writes that have completed. f2fs counts on more, as
//! SATA disks give it, which finish all that is queued before they flush: its first
//! `fsync` after a checkpoint sends the flush while the write of the file's inode is
//! under way (Linux 6.12; `f2fs_wait_on_node_pages_writeback` waits for nothing when
//! the number of the write is 0, as it is after each checkpoint). What comes behind a
//! flush that waits is served meanwhile.
//!
//! Who wakes whom: a request that is submitted wakes one thread. A write that is served
//! wakes nobody, though a flush may have waited for it: the thread that served it asks
//! for the next request, and takes the flush.

use std::collections::VecDeque;
use std::sync::PoisonError;

use crate::sync::{Condvar, Mutex, lock};

/// How many requests are served at the same time.
const MAX_THREADS: usize = 4;

/// What a request does, as far as it matters to its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It changes nothing.
    Read,
    /// It changes the contents of the device with this number.
    Write(u32),
    /// It makes the writes to the device with this number durable.
    Flush(u32),
}

/// A request that a thread has taken, for [`Queue::complete`].
#[derive(Debug)]
pub struct Taken<T> {
    /// The request.
    pub request: T,
    number: u64,
}

#[derive(Debug)]
struct Submitted<T> {
    kind: Kind,
    /// Counts up from one request to the next.
    number: u64,
    request: T,
}

/// Requests on their way through the threads.
#[derive(Debug)]
pub struct Queue<T> {
    state: Mutex<State<T>>,
    submitted: Condvar,
}

#[derive(Debug)]
struct State<T> {
    submitted: VecDeque<Submitted<T>>,
    /// The writes that threads serve: number and device.
    writes: Vec<(u64, u32)>,
    completed: VecDeque<T>,
    numbers: u64,
    threads: usize,
    idle: usize,
    quit: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue {
            state: Mutex::new(State {
                submitted: VecDeque::new(),
                writes: Vec::new(),
                completed: VecDeque::new(),
                numbers: 0,
                threads: 0,
                idle: 0,
                quit: false,
            }),
            submitted: Condvar::new(),
        }
    }
}

impl<T> State<T> {
    /// The first request that may be served now.
    fn take(&mut self) -> Option<Taken<T>> {
        let at = self.submitted.iter().position(|one| match one.kind {
            Kind::Flush(device) => !self
                .writes
                .iter()
                .any(|&(number, to)| to == device && number < one.number),
            Kind::Read | Kind::Write(_) => true,
        })?;
        let one = self.submitted.remove(at)?;
        if let Kind::Write(device) = one.kind {
            self.writes.push((one.number, device));
        }
        Some(Taken {
            request: one.request,
            number: one.number,
        })
    }
}

impl<T> Queue<T> {
    /// Queues what `request` gives, and first has `start` start one more thread if those
    /// that there are have enough to do. `false`: there is no thread, and `start` starts
    /// none; the caller must serve the request, which `request` was not asked for.
    pub fn submit(
        &self,
        start: impl FnOnce() -> bool,
        kind: Kind,
        request: impl FnOnce() -> T,
    ) -> bool {
        let mut state = lock(&self.state);
        if state.idle <= state.submitted.len() && state.threads < MAX_THREADS {
            if start() {
                state.threads += 1;
            } else if state.threads == 0 {
                return false;
            }
        }
        state.numbers += 1;
        let number = state.numbers;
        state.submitted.push_back(Submitted {
            kind,
            number,
            request: request(),
        });
        self.submitted.notify_one();
        true
    }

    /// The next request, waited for, for one of the threads. `None`: it has to end.
    pub fn next(&self) -> Option<Taken<T>> {
        let mut state = lock(&self.state);
        loop {
            if state.quit {
                return None;
            }
            if let Some(taken) = state.take() {
                return Some(taken);
            }
            state.idle += 1;
            state = self
                .submitted
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// A request has been served.
    pub fn complete(&self, taken: Taken<T>) {
        let mut state = lock(&self.state);
        state.writes.retain(|&(number, _)| number != taken.number);
        state.completed.push_back(taken.request);
    }

    /// Hands a request that has been served back, if there is one.
    pub fn reap(&self) -> Option<T> {
        lock(&self.state).completed.pop_front()
    }

    /// Ends the threads; what they serve at the moment is finished first.
    pub fn quit(&self) {
        lock(&self.state).quit = true;
        self.submitted.notify_all();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn queue(requests: &[(Kind, char)]) -> Queue<char> {
        let queue = Queue::default();
        for &(kind, name) in requests {
            assert!(queue.submit(|| true, kind, || name));
        }
        queue
    }

    fn take(queue: &Queue<char>) -> Option<Taken<char>> {
        lock(&queue.state).take()
    }

    #[test]
    fn a_flush_waits_for_the_writes_before_it() {
        let queue = queue(&[
            (Kind::Write(0), 'a'),
            (Kind::Write(0), 'b'),
            (Kind::Flush(0), 'f'),
            (Kind::Write(0), 'c'),
            (Kind::Read, 'r'),
        ]);
        let [a, b, c, r] = std::array::from_fn(|_| take(&queue).expect("one that may be served"));
        assert_eq!(
            [a.request, b.request, c.request, r.request],
            ['a', 'b', 'c', 'r']
        );
        assert!(take(&queue).is_none(), "two writes are on their way");
        queue.complete(b);
        queue.complete(r);
        assert!(take(&queue).is_none(), "one is still");
        queue.complete(a);
        let flush = take(&queue).expect("only the write behind it is on its way");
        assert_eq!(flush.request, 'f');
        queue.complete(flush);
        queue.complete(c);
        let back: String = std::iter::from_fn(|| queue.reap()).collect();
        assert_eq!(back, "brafc");
    }

    #[test]
    fn a_flush_does_not_wait_for_another_device() {
        let queue = queue(&[(Kind::Write(0), 'a'), (Kind::Flush(1), 'f')]);
        let write = take(&queue).expect("a write");
        assert_eq!(take(&queue).map(|taken| taken.request), Some('f'));
        queue.complete(write);
    }

    #[test]
    fn without_a_thread_the_caller_serves() {
        let queue = Queue::default();
        assert!(!queue.submit(|| false, Kind::Read, || unreachable!("it is not queued")));
        assert!(queue.submit(|| true, Kind::Read, || 'a'));
        assert!(
            queue.submit(|| false, Kind::Read, || 'b'),
            "there is a thread"
        );
    }
}
