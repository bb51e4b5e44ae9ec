//! [`Ready`]: the tasks that wait for one socket, a list for each direction.
//!
//! A task tries its call first, and waits if that would block. An event that
//! comes between the two must not be missed: the task notes the direction's
//! tick before it tries, and only waits if the tick is still the same, which
//! is decided under the lock that an event takes to move the tick on and to
//! take the list. So an event either sees the waker, or is seen by the task.
//!
//! A future that is dropped leaves its waker behind, until the next event:
//! that wakes a task for nothing, at most. The same task waiting again is on the
//! list once.

use std::sync::{Mutex, PoisonError};
use std::task::Waker;

/// Who waits for a direction.
#[derive(Debug, Default)]
pub(super) struct Direction(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// Events so far.
    tick: u64,
    wakers: Vec<Waker>,
}

impl Direction {
    /// To be asked before the call is tried.
    pub(super) fn tick(&self) -> u64 {
        self.with(|waiting| waiting.tick)
    }

    /// Has the task woken at the next event. `false`: there was one since
    /// `tick`, so the call is to be tried again.
    #[must_use]
    pub(super) fn wait(&self, tick: u64, waker: &Waker) -> bool {
        self.with(|waiting| {
            let same = waiting.tick == tick;
            let known = || waiting.wakers.iter().any(|known| known.will_wake(waker));
            if same && !known() {
                waiting.wakers.push(waker.clone());
            }
            same
        })
    }

    /// An event: all that wait are to try again.
    pub(super) fn happen(&self) {
        let wakers = self.with(|waiting| {
            waiting.tick += 1;
            std::mem::take(&mut waiting.wakers)
        });
        // Not under the lock: a waker may do anything.
        wakers.into_iter().for_each(Waker::wake);
    }

    fn with<T>(&self, f: impl FnOnce(&mut Waiting) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Who waits for a socket.
#[derive(Debug, Default)]
pub(super) struct Ready {
    pub(super) read: Direction,
    pub(super) write: Direction,
}

impl Ready {
    pub(super) fn happen(&self) {
        self.read.happen();
        self.write.happen();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn an_event_is_seen_or_wakes() {
        let (direction, count) = (Direction::default(), Arc::<Count>::default());
        let waker = Waker::from(Arc::clone(&count));
        let before = direction.tick();
        direction.happen();
        assert!(!direction.wait(before, &waker));
        let before = direction.tick();
        assert!(direction.wait(before, &waker));
        assert!(direction.wait(before, &waker));
        direction.happen();
        direction.happen();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
