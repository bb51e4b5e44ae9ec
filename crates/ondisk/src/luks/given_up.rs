//! [`wait`]: waits for a long computation that cannot be interrupted, or gives it up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::{Error, Result};

/// How often to look whether the result is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// Computes something, in a thread of its own if it may be given up. That thread is left
/// to itself then: it has its own copy of what it works on, and ends with the process at
/// the latest.
pub(super) fn wait<T: Send + 'static>(
    given_up: Option<&AtomicBool>,
    compute: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let Some(given_up) = given_up else {
        return Ok(compute());
    };
    let (done, result) = mpsc::channel();
    let thread = thread::Builder::new().name("drupe-key".into());
    let thread = thread.spawn(move || {
        // Nobody waits for it any more, otherwise.
        let _ = done.send(compute());
    })?;
    loop {
        if given_up.load(Ordering::Relaxed) {
            return Err(Error::GivenUp);
        }
        match result.recv_timeout(LOOK) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) => {}
            // It has panicked.
            Err(RecvTimeoutError::Disconnected) => match thread.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => return Err(Error::GivenUp),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_up_is_not_waited_for() {
        // Ends when the test drops its side.
        let (hold, held) = mpsc::channel::<()>();
        let given_up = AtomicBool::new(true);
        let waited = wait(Some(&given_up), move || held.recv().is_ok());
        assert!(matches!(waited, Err(Error::GivenUp)), "{waited:?}");
        drop(hold);
        let given_up = AtomicBool::new(false);
        assert_eq!(wait(Some(&given_up), || 7).ok(), Some(7));
        assert_eq!(wait(None, || 7).ok(), Some(7));
    }
}
