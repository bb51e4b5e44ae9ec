//! Returns the memory of small files from the thread that has written them to the one that
//! reads the next.
//!
//! Without that, one thread allocates what the other frees: both wait for the allocator's
//! lock, and each file's memory is a new page of the host's.

use std::sync::mpsc::{self, Receiver, Sender};

/// Longer buffers are freed, so that what is kept stays small.
const LONGEST: usize = 64 << 10;

/// The writing thread's end.
#[derive(Debug)]
pub(crate) struct Giver(Sender<Vec<u8>>);

/// The reading thread's end.
#[derive(Debug)]
pub(crate) struct Taker(Receiver<Vec<u8>>);

pub(crate) fn channel() -> (Giver, Taker) {
    let (giver, taker) = mpsc::channel();
    (Giver(giver), Taker(taker))
}

impl Giver {
    /// Gives memory back whose contents are no longer needed.
    pub(crate) fn give(&self, bytes: Vec<u8>) {
        if bytes.capacity() <= LONGEST {
            // A reader that has ended needs none.
            let _ = self.0.send(bytes);
        }
    }
}

impl Taker {
    /// Memory with any contents, possibly empty. Never waits.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.0.try_recv().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_buffers_come_back() {
        let (giver, taker) = channel();
        giver.give(Vec::with_capacity(LONGEST + 1));
        assert_eq!(taker.take().capacity(), 0);
        let bytes = vec![7; 100];
        let at = bytes.as_ptr();
        giver.give(bytes);
        let back = taker.take();
        assert_eq!(back.as_ptr(), at);
        drop(giver);
        assert!(taker.take().is_empty());
    }
}
