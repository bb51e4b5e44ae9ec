//! [`Progress`]: whether the thread that serves has a request at hand.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What the thread that serves says of itself, for one who wants to see it idle.
///
/// # Invariants
/// It is at work from before it looks for a message until it has found none. Each
/// message is counted before it is no longer at work. All accesses are sequentially
/// consistent: what [`Progress::rested_while`] reads is in one order with what the thread
/// that serves does before and after it reads the device.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    at_work: AtomicBool,
    messages: AtomicU64,
}

impl Progress {
    /// It is about to look for a message.
    pub(crate) fn looks(&self) {
        self.at_work.store(true, Ordering::SeqCst);
    }

    /// It has found one.
    pub(crate) fn found(&self) {
        self.messages.fetch_add(1, Ordering::SeqCst);
    }

    /// There was none.
    pub(crate) fn rests(&self) {
        self.at_work.store(false, Ordering::SeqCst);
    }

    /// Whether it was not at work from before `and` was called until after that, and
    /// `and` is true.
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
