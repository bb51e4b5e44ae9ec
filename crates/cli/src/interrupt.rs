//! [`Signals`]: SIGINT and SIGTERM. The first asks work to end, a second one ends the
//! program at once.

use std::io;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use drupe_tree::Interrupt;
use rustix::fs::{OFlags, fcntl_setfl};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};

use crate::exit::{ExitCode, Failure};

/// Whether a signal has come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signals {
    interrupt: Interrupt,
    installed: bool,
}

impl Signals {
    /// Takes over both signals, once: before, they end the program.
    pub(crate) fn install(&mut self) -> anyhow::Result<()> {
        if self.installed {
            return Ok(());
        }
        const CANNOT: &str = "cannot handle signals";
        let (come, tell) = io::pipe().context(CANNOT)?;
        fcntl_setfl(&come, OFlags::NONBLOCK).context(CANNOT)?;
        let requested = self.interrupt.flag();
        self.interrupt = Interrupt::new(Arc::clone(&requested), come);
        for signal in [SIGINT, SIGTERM] {
            pipe::register(signal, tell.try_clone().context(CANNOT)?).context(CANNOT)?;
            // In this order: the first signal finds the flag unset.
            let code = ExitCode::Interrupted as i32;
            flag::register_conditional_shutdown(signal, code, Arc::clone(&requested))
                .and_then(|_| flag::register(signal, Arc::clone(&requested)))
                .context(CANNOT)?;
        }
        self.installed = true;
        Ok(())
    }

    /// What ends work.
    pub(crate) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    pub(crate) fn requested(&self) -> bool {
        self.interrupt.requested()
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
        self.interrupt.reset();
    }
}
