//! How a call leaves Python: without the GIL, with the thread's deadline, and so that
//! Ctrl-C ends it.
//!
//! - [`call`] is for what is one system call, or may be begun again. It is made in the
//!   thread that asks. Every [`SLICE`] that it waits it is taken back, and made again when
//!   no signal has come. That is what Linux does with a call that a signal interrupts.
//! - [`long`] is for what must not be begun again, and for what computes. It is made in a
//!   thread of its own while the caller looks for signals, and answers what that thread
//!   asks of Python.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use drupe::{Cause, Errno, Interrupter, Kernel, with_deadline};
use pyo3::prelude::*;

use crate::error::{self, Failure};
use crate::handle;

/// How long a call waits before signals are looked for.
const SLICE: Duration = Duration::from_millis(150);

/// How often signals are looked for while another thread works.
const LOOK: Duration = Duration::from_millis(50);

/// How long a thread that was told to end is waited for. Then it goes on alone.
const PATIENCE: Duration = Duration::from_millis(500);

thread_local! {
    /// When calls of this thread are to be over: `drupe.deadline`.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Sets when this thread's calls are to be over, in seconds from now. What it was before
/// is returned, in the same way.
#[pyfunction]
pub(crate) fn set_deadline(seconds: Option<f64>) -> PyResult<Option<f64>> {
    let now = Instant::now();
    let deadline = match seconds {
        None => None,
        Some(seconds) => {
            if seconds.is_nan() {
                return Err(error::value("a deadline is a number of seconds"));
            }
            // What is too far away is never.
            let wait = Duration::try_from_secs_f64(seconds.max(0.0));
            wait.ok().and_then(|wait| now.checked_add(wait))
        }
    };
    let before = DEADLINE.replace(deadline);
    Ok(before.map(|before| before.saturating_duration_since(now).as_secs_f64()))
}

/// Makes a call that may be begun again.
pub(crate) fn call<T: Send>(
    py: Python<'_>,
    mut f: impl FnMut() -> drupe::Result<T> + Send,
) -> PyResult<T> {
    let limit = DEADLINE.get();
    loop {
        let slice = Instant::now() + SLICE;
        let until = limit.map_or(slice, |limit| limit.min(slice));
        let done = py.detach(|| with_deadline(until, &mut f));
        let error = match done {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let again = match error.cause() {
            Cause::TimedOut => limit.is_none_or(|limit| Instant::now() < limit),
            Cause::Errno(Errno::INTR) => true,
            _ => false,
        };
        if !again {
            return Err(Failure::from(error).raise(py));
        }
        py.check_signals()?;
    }
}

/// What a thread that works for [`long`] asks of Python's thread: a function of the
/// caller's, called there.
type Question = Box<dyn FnOnce(Python<'_>) -> PyResult<()> + Send>;

enum Message<T> {
    Ask(Question),
    Interrupter(Interrupter),
    Done(Box<Result<T, Failure>>),
}

/// The way back to Python, for what [`long`] does.
pub(crate) struct Caller<T> {
    messages: SyncSender<Message<T>>,
}

impl<T> Clone for Caller<T> {
    fn clone(&self) -> Self {
        Caller {
            messages: self.messages.clone(),
        }
    }
}

impl<T: Send + 'static> Caller<T> {
    /// Calls `f` in the thread that waits, with the GIL. `None`: it has failed, which is
    /// what the caller of [`long`] is told, or nobody waits any more.
    pub(crate) fn ask<A: Send + 'static>(
        &self,
        f: impl FnOnce(Python<'_>) -> PyResult<A> + Send + 'static,
    ) -> Option<A> {
        let (answers, answer) = channel();
        let question = Box::new(move |py: Python<'_>| {
            let value = f(py)?;
            // Nobody waits for it any more, perhaps.
            let _ = answers.send(value);
            Ok(())
        });
        self.messages.send(Message::Ask(question)).ok()?;
        answer.recv().ok()
    }

    /// From here on, Ctrl-C interrupts this thread's calls into a kernel.
    pub(crate) fn calls(&self, kernel: &Kernel) {
        // Of a kernel that is gone there is none to wait for.
        if let Ok(interrupter) = kernel.interrupter() {
            let _ = self.messages.send(Message::Interrupter(interrupter));
        }
    }
}

/// Does something in a thread of its own. `cancel` is called when it is to end early.
pub(crate) fn long<T: Send + 'static>(
    py: Python<'_>,
    cancel: impl Fn() + Send + 'static,
    f: impl FnOnce(&Caller<T>) -> Result<T, Failure> + Send + 'static,
) -> PyResult<T> {
    let (messages, inbox) = sync_channel(4);
    let limit = DEADLINE.get();
    let caller = Caller { messages };
    let work = move || {
        handle::is_ours();
        let run = || match limit {
            Some(limit) => with_deadline(limit, || f(&caller)),
            None => f(&caller),
        };
        let done = catch_unwind(AssertUnwindSafe(run));
        let done = done.unwrap_or_else(|_| Err(Failure::bug()));
        let _ = caller.messages.send(Message::Done(Box::new(done)));
    };
    let name = "drupe-call".to_owned();
    let spawned = thread::Builder::new().name(name).spawn(work);
    spawned.map_err(|error| Failure::host("start a thread", error).raise(py))?;
    let mut inbox = Some(inbox);
    let mut interrupters = Vec::new();
    loop {
        match receive(py, &mut inbox, LOOK) {
            Ok(Message::Done(done)) => return done.map_err(|failure| failure.raise(py)),
            Ok(Message::Interrupter(interrupter)) => interrupters.push(interrupter),
            Ok(Message::Ask(question)) => {
                if let Err(error) = question(py) {
                    return Err(end(py, inbox, &interrupters, cancel, error));
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Err(error) = py.check_signals() {
                    return Err(end(py, inbox, &interrupters, cancel, error));
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Err(Failure::bug().raise(py)),
        }
    }
}

/// The next message, waited for without the GIL.
fn receive<T: Send>(
    py: Python<'_>,
    inbox: &mut Option<Receiver<Message<T>>>,
    wait: Duration,
) -> Result<Message<T>, RecvTimeoutError> {
    let Some(own) = inbox.take() else {
        return Err(RecvTimeoutError::Disconnected);
    };
    let (own, message) = py.detach(move || {
        let message = own.recv_timeout(wait);
        (own, message)
    });
    *inbox = Some(own);
    message
}

/// Ends the work of another thread; what the caller gets instead is returned.
fn end<T: Send>(
    py: Python<'_>,
    mut inbox: Option<Receiver<Message<T>>>,
    interrupters: &[Interrupter],
    cancel: impl Fn(),
    error: PyErr,
) -> PyErr {
    cancel();
    for interrupter in interrupters {
        // Of a kernel that has ended: so have its calls.
        let _ = interrupter.interrupt();
    }
    let patient = Instant::now() + PATIENCE;
    loop {
        let left = patient.saturating_duration_since(Instant::now());
        match receive(py, &mut inbox, left) {
            // A question gets no answer: what asks it ends.
            Ok(Message::Ask(_) | Message::Interrupter(_)) => {}
            Ok(Message::Done(_)) | Err(_) => return error,
        }
    }
}

/// What a kernel's thread needs of Python: `None` while the interpreter ends.
pub(crate) fn python<T>(f: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    Python::try_attach(f)
}
