//! [`Progress`]: whether the serving thread is working on a request.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The state of the serving thread, by which another thread finds out that it is idle.
///
/// # Invariants The thread is marked as working from before it looks for a message until
/// it has found none. Each message is counted while it is so marked. All accesses are
/// SeqCst, so that the reads of [`Progress::rested_while`] are in one order with the
/// thread's accesses before and after it reads the device.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    at_work: AtomicBool,
    messages: AtomicU64,
}

impl Progress {
    /// Called by the serving thread before it looks for a message.
    pub(crate) fn looks(&self) {
        self.at_work.store(true, Ordering::SeqCst);
    }

    /// Called when it has found one.
    pub(crate) fn found(&self) {
        self.messages.fetch_add(1, Ordering::SeqCst);
    }

    /// Called when there was none.
    pub(crate) fn rests(&self) {
        self.at_work.store(false, Ordering::SeqCst);
    }

    /// Whether `and` is true, and the serving thread was idle from before its call until
    /// after it.
    pub(crate) fn rested_while(&self, and: impl FnOnce() -> bool) -> bool {
        let before = self.messages.load(Ordering::SeqCst);
        let rested = |messages| {
            !self.at_work.load(Ordering::SeqCst) && self.messages.load(Ordering::SeqCst) == messages
        };
        rested(before) && and() && rested(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_in_between_is_noticed() {
        let progress = Progress::default();
        assert!(progress.rested_while(|| true));
        assert!(!progress.rested_while(|| false));
        progress.looks();
        assert!(!progress.rested_while(|| true));
        progress.found();
        progress.rests();
        assert!(progress.rested_while(|| true));
        let served = || {
            progress.looks();
            progress.found();
            progress.rests();
            true
        };
        assert!(!progress.rested_while(served));
        assert!(!progress.rested_while(|| {
            progress.looks();
            true
        }));
    }
}
