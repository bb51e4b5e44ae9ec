//! [`Signals`]: SIGINT, SIGTERM and SIGHUP. The first asks work to end, a second one ends the
//! program at once. And SIGXFSZ.

use std::io::{self, PipeReader};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use drupe_tree::Interrupt;
use rustix::fs::{OFlags, fcntl_setfl};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::low_level::{pipe, unregister};
use signal_hook::{SigId, flag};

use crate::exit::{ExitCode, Failure};

/// Whether a signal has come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signals {
    interrupt: Interrupt,
    installed: bool,
}

/// SIGINT and SIGTERM; and SIGHUP, unless it was ignored when the program began, as by
/// nohup(1).
fn signals_to_heed() -> Vec<i32> {
    let ignored = HANGUP_IGNORED.get().copied().unwrap_or(false);
    let hangup = (!ignored).then_some(SIGHUP);
    [SIGINT, SIGTERM].into_iter().chain(hangup).collect()
}

static HANGUP_IGNORED: OnceLock<bool> = OnceLock::new();

/// Finds out which signals are ignored: a confined process cannot.
pub(crate) fn look_at_signals() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let hangup = ignored.is_some_and(|mask| mask & (1 << (SIGHUP - 1)) != 0);
    // Nobody else sets it.
    let _ = HANGUP_IGNORED.set(hangup);
}

/// Has the host's limit of a file's size (RLIMIT_FSIZE) be an error, EFBIG, like a full
/// disk: without a handler, SIGXFSZ ends the process with half an output.
pub(crate) fn outlive_file_limit() -> io::Result<()> {
    flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// Whether [`Signals`] are installed.
static INSTALLED: AtomicBool = AtomicBool::new(false);
/// Set once signals were [`Caught`]: whether they end the program, as they do before.
static END: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Whether a signal is left to the command, which looks at its [`Signals`].
pub(crate) fn is_installed() -> bool {
    INSTALLED.load(Relaxed)
}

/// While this exists, the first signal does not end the program, but makes
/// [`Caught::come`] readable. [`Signals`] that are installed notice it too.
#[derive(Debug)]
pub(crate) struct Caught {
    come: PipeReader,
    actions: Vec<SigId>,
}

impl Caught {
    pub(crate) fn new() -> io::Result<Caught> {
        let (come, tell) = io::pipe()?;
        let mut actions = Vec::new();
        for signal in signals_to_heed() {
            actions.push(pipe::register(signal, tell.try_clone()?)?);
        }
        if let Some(end) = END.get() {
            end.store(false, Relaxed);
        } else if !INSTALLED.load(Relaxed) {
            let end = END.get_or_init(Arc::default);
            for signal in signals_to_heed() {
                flag::register_conditional_default(signal, Arc::clone(end))?;
            }
        }
        Ok(Caught { come, actions })
    }

    /// Readable when a signal has come.
    pub(crate) fn come(&self) -> &PipeReader {
        &self.come
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        if let Some(end) = END.get() {
            end.store(!INSTALLED.load(Relaxed), Relaxed);
        }
        for action in self.actions.drain(..) {
            unregister(action);
        }
    }
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
        for signal in signals_to_heed() {
            pipe::register(signal, tell.try_clone().context(CANNOT)?).context(CANNOT)?;
            // In this order: the first signal finds the flag unset.
            let code = ExitCode::Interrupted as i32;
            flag::register_conditional_shutdown(signal, code, Arc::clone(&requested))
                .and_then(|_| flag::register(signal, Arc::clone(&requested)))
                .context(CANNOT)?;
        }
        self.installed = true;
        INSTALLED.store(true, Relaxed);
        if let Some(end) = END.get() {
            end.store(false, Relaxed);
        }
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
            true => Err(Failure::interrupted()),
            false => Ok(()),
        }
    }

    /// The signal has been heeded: a shell asks for its next command.
    pub(crate) fn reset(&self) {
        self.interrupt.reset();
    }
}
