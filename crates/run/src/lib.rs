//! Runs an unmodified program with the network of a drupe kernel: `drupe run`.
//!
//! ```text
//!  program ── socket(), connect(), … ──▶ seccomp filter ──▶ supervisor (this crate)
//!     │  read, write, poll, sendfile, …                         │
//!     └──▶ one end of a host socketpair ◀── bytes ──▶ the other ─┤
//!                                                                └─▶ drupe kernel
//! ```
//!
//! The program's sockets are ends of socket pairs of the host. Network system calls
//! (making, binding, connecting, options, addresses) are intercepted, and made here on a
//! socket of the drupe kernel. All other calls stay with the host, on the program's
//! descriptor: waiting for it, duplicating, passing and inheriting it need no help.
//!
//! - [`run`] and [`Program`] are the public interface.
//! - `keeper`, `program`, `filter`: starting the program, and killing all its processes
//!   at the end.
//! - `listener`, `target`: the program's calls, its memory and descriptors.
//! - `supervisor`: the main loop; `drain`: its end; `calls`: one module for each group of
//!   calls; `call`: one call; `sockets`: the program's sockets.
//! - `entry`, `stream`, `listening`, `messages`: one socket, and the kinds of sockets.
//! - `pair`: the host's socket pair; `socket`: the drupe kernel's socket.

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

/// The program to run.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its name, looked for in `PATH` if there is no slash in it.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// Runs a program, and returns its exit status. All its processes have ended then.
///
/// `boot` makes the kernel with all its interfaces. The calling process must have one
/// thread until `boot` is called, since it is forked before. SIGINT, SIGQUIT, SIGTERM and
/// SIGHUP are blocked from then on; the last two are forwarded to the program.
pub fn run<E: From<Error>>(
    program: &Program,
    boot: impl FnOnce() -> Result<Kernel, E>,
) -> Result<ExitStatus, E> {
    let mut command = Command::new(&program.program);
    command.args(&program.arguments);
    let signals =
        error::WithOperation::doing(signals::Signals::take_over(), "cannot take over signals")?;
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

/// Raises the limit of open files, since each socket of the program is a descriptor of
/// this process.
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
