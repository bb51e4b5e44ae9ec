//! [`Interrupt`]: whether the program wants work to end, and waiting for others until
//! then.

use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

/// How often to look for a reader of a FIFO: there is no way to be told of one.
pub(crate) const READER: Duration = Duration::from_millis(50);

/// Asks work to end: what was begun is finished or taken back.
///
/// A program sets its flag from anywhere, from a handler of signals for example. Work
/// that waits for others, for a FIFO of the host that nobody writes to, ends when there
/// is something to read from its pipe.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
    come: Option<Arc<PipeReader>>,
}

impl Interrupt {
    /// Work ends when `requested` is true; work that waits, when `come` can be read from.
    pub fn new(requested: Arc<AtomicBool>, come: PipeReader) -> Interrupt {
        Interrupt {
            requested,
            come: Some(Arc::new(come)),
        }
    }

    /// The flag.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.requested)
    }

    /// Work is to end.
    pub fn requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }

    /// The request has been heeded: new work may begin. What is in the pipe, which must
    /// not block (`O_NONBLOCK`), is read.
    pub fn reset(&self) {
        self.requested.store(false, Ordering::Relaxed);
        if let Some(come) = &self.come {
            let mut come = &**come;
            // Until there is nothing more.
            while matches!(come.read(&mut [0; 64]), Ok(len) if len > 0) {}
        }
    }

    /// An error if work is to end.
    pub(crate) fn check(&self, operation: &'static str) -> crate::Result<()> {
        match self.requested() {
            true => Err(crate::Error::interrupted(operation)),
            false => Ok(()),
        }
    }

    /// A file of the host, to be read or written until work is to end, which is an error
    /// then. What is written to does not block by itself (`O_NONBLOCK`).
    pub fn waiting<F>(&self, file: F) -> Waiting<F> {
        Waiting {
            file,
            interrupt: self.clone(),
        }
    }

    /// Waits until a file is ready. `false`: work is to end.
    fn wait(&self, file: impl AsFd, what: PollFlags) -> io::Result<bool> {
        let mut files = vec![PollFd::from_borrowed_fd(file.as_fd(), what)];
        if let Some(come) = &self.come {
            files.push(PollFd::from_borrowed_fd(come.as_fd(), PollFlags::IN));
        }
        loop {
            match poll(&mut files, None) {
                Err(rustix::io::Errno::INTR) => continue,
                done => done?,
            };
            return Ok(files.get(1).is_none_or(|come| come.revents().is_empty()));
        }
    }

    /// Waits until there is something to read from a pipe, a terminal or the like, or it
    /// has ended. `false`: work is to end.
    pub(crate) fn wait_to_read(&self, file: impl AsFd) -> io::Result<bool> {
        self.wait(file, PollFlags::IN)
    }
}

/// What [`Interrupt::waiting`] makes of a file.
#[derive(Debug)]
pub struct Waiting<F> {
    file: F,
    interrupt: Interrupt,
}

impl<F: Read + AsFd> Read for Waiting<F> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.interrupt.wait_to_read(&self.file)? {
            true => self.file.read(bytes),
            false => Err(io::Error::other("interrupted")),
        }
    }
}

impl<F: Write + AsFd> Write for Waiting<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            if !self.interrupt.wait(&self.file, PollFlags::OUT)? {
                return Err(io::Error::other("interrupted"));
            }
            match self.file.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
