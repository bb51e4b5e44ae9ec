//! SIGINT and SIGTERM: the first asks a copy to stop, a second one stops the
//! program at once.

use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, anyhow};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};

use crate::exit::{ExitCode, Failure};

/// Can be read from when a signal has come.
static COME: OnceLock<PipeReader> = OnceLock::new();

/// Waits until there is something to read from a pipe, a terminal or the like, or it
/// has ended. `false`: a signal has come.
pub(crate) fn wait_to_read(file: impl AsFd) -> io::Result<bool> {
    wait(file, PollFlags::IN)
}

/// The same until something can be written.
fn wait_to_write(file: impl AsFd) -> io::Result<bool> {
    wait(file, PollFlags::OUT)
}

fn wait(file: impl AsFd, what: PollFlags) -> io::Result<bool> {
    let mut files = vec![PollFd::from_borrowed_fd(file.as_fd(), what)];
    if let Some(come) = COME.get() {
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

/// Whether a signal has come, for who has no [`Interrupt`].
pub(crate) fn has_come() -> bool {
    let Some(come) = COME.get() else {
        return false;
    };
    let mut files = [PollFd::new(come, PollFlags::IN)];
    poll(&mut files, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// A file of the host that is read until a signal comes, which is an error then.
pub(crate) struct Waiting<F>(pub(crate) F);

impl<F: Read + AsFd> Read for Waiting<F> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match wait_to_read(&self.0)? {
            true => self.0.read(bytes),
            false => Err(io::Error::other("interrupted")),
        }
    }
}

/// A device or FIFO of the host that is written until a signal comes, which is an error
/// then. It does not block by itself (`O_NONBLOCK`).
impl<F: Write + AsFd> Write for Waiting<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            if !wait_to_write(&self.0)? {
                return Err(io::Error::other("interrupted"));
            }
            match self.0.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// How often to look for a reader of a FIFO: there is no way to be told of one.
pub(crate) const READER: Duration = Duration::from_millis(50);

/// Whether someone wants us to stop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt {
    requested: Arc<AtomicBool>,
    installed: bool,
}

impl Interrupt {
    /// Takes over both signals, once.
    pub(crate) fn install(&mut self) -> anyhow::Result<()> {
        if self.installed {
            return Ok(());
        }
        let (come, tell) = io::pipe().context("cannot handle signals")?;
        fcntl_setfl(&come, OFlags::NONBLOCK).context("cannot handle signals")?;
        let is_first = COME.set(come).is_ok();
        for signal in [SIGINT, SIGTERM] {
            if is_first {
                let tell = tell.try_clone().context("cannot handle signals")?;
                pipe::register(signal, tell).context("cannot handle signals")?;
            }
            // In this order: the first signal finds the flag unset.
            let code = ExitCode::Interrupted as i32;
            flag::register_conditional_shutdown(signal, code, Arc::clone(&self.requested))
                .and_then(|_| flag::register(signal, Arc::clone(&self.requested)))
                .context("cannot handle signals")?;
        }
        self.installed = true;
        Ok(())
    }

    /// Becomes true when a signal has come.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.requested)
    }

    pub(crate) fn requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }

    /// A failure if a signal has come.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.requested() {
            true => Err(Failure::new(ExitCode::Interrupted, anyhow!("interrupted"))),
            false => Ok(()),
        }
    }

    /// The signal has been heeded: a shell asks for its next command.
    pub(crate) fn reset(&self) {
        self.requested.store(false, Ordering::Relaxed);
        if let Some(mut come) = COME.get() {
            // Until there is nothing more.
            while matches!(come.read(&mut [0; 64]), Ok(len) if len > 0) {}
        }
    }
}
