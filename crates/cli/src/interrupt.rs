//! SIGINT and SIGTERM: the first asks a copy to stop, a second one stops the
//! program at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, anyhow};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::exit::{ExitCode, Failure};

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
        for signal in [SIGINT, SIGTERM] {
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
    }
}
