//! SIGINT and SIGTERM: the first asks a copy to stop, a second one stops the
//! program at once.

use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, anyhow};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};

use crate::exit::{ExitCode, Failure};

/// Can be read from when a signal has come.
static COME: OnceLock<PipeReader> = OnceLock::new();

/// Waits until there is something to read from a pipe, a terminal or the like, or it
/// has ended. `false`: a signal has come.
pub(crate) fn wait_to_read(file: impl AsFd) -> io::Result<bool> {
    let mut files = vec![PollFd::from_borrowed_fd(file.as_fd(), PollFlags::IN)];
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
