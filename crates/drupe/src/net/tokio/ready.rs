//! [`Ready`]: the tasks that wait for one socket, one list for each direction.
//!
//! A task tries its call first, and waits if that would block. An event that comes
//! between the two must not be missed: the task notes the direction's tick before it
//! tries, and only waits if the tick is still the same, which is decided under the lock
//! under which an event increases the tick and takes the list. So either the event finds
//! the waker, or the task finds the new tick.
//!
//! A dropped future leaves its waker in the list until the next event, which may wake a
//! task in vain. A task that waits again is in the list once.

use std::sync::{Mutex, PoisonError};
use std::task::Waker;

/// The tasks that wait for one direction.
#[derive(Debug, Default)]
pub(super) struct Direction(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// The number of events so far.
    tick: u64,
    wakers: Vec<Waker>,
}

impl Direction {
    /// The number of events so far; read it before trying the call.
    pub(super) fn tick(&self) -> u64 {
        self.with(|waiting| waiting.tick)
    }

    /// Registers the task to be woken at the next event. `false`: there was an event
    /// since `tick`, so the caller must try its call again.
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

    /// Notes an event, and wakes all waiting tasks.
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

/// The tasks that wait for one socket.
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
