//! [`Interrupt`]: the program's request to end work early, and waiting that such a
//! request ends.

use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

/// How often to check whether a FIFO has a reader, of which there is no notification.
pub(crate) const READER: Duration = Duration::from_millis(50);

/// A request to end work early. The current file is finished or removed.
///
/// A program sets its flag, for example in a signal handler. Work that waits for another
/// program, such as for the writer of a FIFO, ends when its pipe becomes readable.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
    come: Option<Arc<PipeReader>>,
}

impl Interrupt {
    /// Work ends when `requested` is true; waiting work, when `come` is readable.
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

    /// Whether work is to end.
    pub fn requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }

    /// Clears the flag and empties the pipe, so that new work can begin. The pipe must be
    /// non-blocking (`O_NONBLOCK`).
    pub fn reset(&self) {
        self.requested.store(false, Ordering::Relaxed);
        if let Some(come) = &self.come {
            let mut come = &**come;
            // Until there is nothing more.
            while matches!(come.read(&mut [0; 64]), Ok(len) if len > 0) {}
        }
    }

    /// An error if the flag is set.
    pub(crate) fn check(&self, operation: &'static str) -> crate::Result<()> {
        match self.requested() {
            true => Err(crate::Error::interrupted(operation)),
            false => Ok(()),
        }
    }

    /// Wraps a file of the host, whose reads and writes wait and fail when a request
    /// comes. A file that is written must be non-blocking (`O_NONBLOCK`).
    pub fn waiting<F>(&self, file: F) -> Waiting<F> {
        Waiting {
            file,
            interrupt: self.clone(),
        }
    }

    /// Waits until a file is ready. `false`: a request has come.
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

    /// Waits until a pipe, terminal or the like is readable or has ended. `false`: a
    /// request has come.
    pub(crate) fn wait_to_read(&self, file: impl AsFd) -> io::Result<bool> {
        self.wait(file, PollFlags::IN)
    }
}

/// A file whose reads and writes end on request. From [`Interrupt::waiting`].
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
