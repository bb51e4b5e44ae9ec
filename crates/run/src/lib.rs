//! Runs an unmodified program whose network is a drupe kernel's: `drupe run`.
//!
//! ```text
//!  program ── socket(), connect(), … ──▶ seccomp filter ──▶ supervisor (this crate)
//!     │  read, write, poll, sendfile, …                         │
//!     └──▶ one end of a host socketpair ◀── bytes ──▶ the other ─┤
//!                                                                └─▶ drupe kernel
//! ```
//!
//! The program's sockets are ends of socket pairs of the host. What concerns the
//! network (making, binding, connecting, options, addresses) is trapped and done
//! here, on a socket of the drupe kernel; everything else stays the host's, on the
//! descriptor that the program has: so waiting for it, duplicating it, handing it
//! on and inheriting it work without our doing.
//!
//! - [`run`] and [`Program`] are what this crate offers.
//! - `keeper`, `program`, `filter`: how the program is started, and that nothing
//!   is left of it.
//! - `listener`, `target`: its calls, and its memory and descriptors.
//! - `supervisor`: the loop, and `drain`, its end; `calls`: one module for each group
//!   of calls; `call`: one that waits; `sockets`: what calls work on.
//! - `entry`, `pair`, `stream`, `listening`, `messages`: a socket, and what its kind
//!   does.
//! - `pair`: the two ends; `socket`: the kernel's.

mod call;
mod calls;
mod drain;
mod entry;
mod error;
mod filter;
mod keeper;
mod listener;
mod listening;
mod messages;
mod pair;
mod pair_state;
mod pending;
mod program;
mod signals;
mod socket;
mod sockets;
mod stream;
mod supervisor;
mod target;

use std::ffi::OsString;
use std::process::{Command, ExitStatus};

use drupe::Kernel;

pub use error::{Error, Result};

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its name, looked for in `PATH` if there is no slash in it.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// Runs a program, and returns how it has ended. Nothing of it is left then.
///
/// `boot` makes the kernel that its network is in, with all its interfaces. The
/// process must have one thread until then: it is forked before. SIGINT, SIGQUIT,
/// SIGTERM and SIGHUP are blocked from then on; the last two go to the program.
pub fn run<E: From<Error>>(
    program: &Program,
    boot: impl FnOnce() -> Result<Kernel, E>,
) -> Result<ExitStatus, E> {
    let mut command = Command::new(&program.program);
    command.args(&program.arguments);
    let signals = error::Doing::doing(signals::Signals::take_over(), "cannot take over signals")?;
    let mut keeper = keeper::Keeper::fork(command, signals.before())?;
    raise_limit();
    let kernel = boot()?;
    let net = socket::Net::new(kernel).map_err(Error::from)?;
    let started = keeper.start()?;
    let mut supervisor = supervisor::Supervisor::new(net, started, &keeper, signals)?;
    let status = supervisor.run(&keeper);
    keeper.finish();
    let status = status?;
    supervisor.drain()?;
    Ok(status)
}

/// Each socket of the program is a descriptor here.
fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    // What there is may be enough.
    let _ = setrlimit(Resource::Nofile, all);
}
