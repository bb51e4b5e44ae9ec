//! [`Writer`]: a thread that writes records, so that the kernel does not wait for the
//! file.

use drupe_host::threads::{self, JoinHandle};
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::format::{file_header, record_header};

/// The limit of bytes that wait to be written.
const MAX_WAITING: usize = 64 << 20;

#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// The bytes that wait to be written.
    waiting: Vec<u8>,
    missed: u64,
    /// No more records are added.
    ended: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes until the end, or the first error.
    fn run(&self, to: &mut dyn Write) {
        let mut bytes = Vec::new();
        loop {
            let state = self.state();
            let nothing = |state: &mut State| state.waiting.is_empty() && !state.ended;
            let waited = self.changed.wait_while(state, nothing);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner);
            if state.waiting.is_empty() {
                return;
            }
            std::mem::swap(&mut bytes, &mut state.waiting);
            drop(state);
            if to.write_all(&bytes).and_then(|()| to.flush()).is_err() {
                let mut state = self.state();
                state.ended = true;
                state.waiting = Vec::new();
                return;
            }
            bytes.clear();
        }
    }
}

impl Writer {
    pub(super) fn start(mut to: Box<dyn Write + Send>) -> std::io::Result<Writer> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                waiting: file_header().to_vec(),
                missed: 0,
                ended: false,
            }),
            changed: Condvar::new(),
        });
        let own = Arc::clone(&shared);
        let thread = threads::spawn("drupe-link", move || own.run(&mut *to))?;
        Ok(Writer {
            shared,
            thread: Some(thread),
        })
    }

    pub(super) fn missed(&self) -> u64 {
        self.shared.state().missed
    }

    /// Adds a record, unless too many bytes wait.
    pub(super) fn add(&self, time: Duration, frame: &[u8]) {
        let mut state = self.shared.state();
        if state.ended || state.waiting.len() > MAX_WAITING {
            state.missed += 1;
            return;
        }
        let was_idle = state.waiting.is_empty();
        state.waiting.extend(record_header(time, frame.len()));
        state.waiting.extend_from_slice(frame);
        drop(state);
        if was_idle {
            self.shared.changed.notify_one();
        }
    }

    /// Ends the recording: the thread writes the waiting bytes, and closes the file.
    pub(super) fn end(&self) {
        self.shared.state().ended = true;
        self.shared.changed.notify_one();
    }
}

impl Drop for Writer {
    /// Waits until all is written.
    fn drop(&mut self) {
        self.end();
        if let Some(thread) = self.thread.take() {
            // A panic of the writer's is its own.
            let _ = thread.join();
        }
    }
}
