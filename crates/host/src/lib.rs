//! Host operations: what a kernel needs from the program it lives in.
//!
//! - [`Host`]: clock, console and random source, as the program wants them;
//!   [`SystemHost`] is what it gets, [`ManualClock`] a clock for tests.
//! - [`disk`]: what a disk is; disks in files of the host and in memory, and
//!   one that fails on demand.
//! - [`link`]: what a network link is.
//! - [`clock`]: the time.
//! - [`inherited`]: descriptors that the program was started with.
//! - [`log`]: the kernel log, kept and passed on.
//! - [`names`]: addresses of hosts.
//! - [`futex`]: sleeping and waking, for `drupe-cpu`.
//! - [`threads`]: threads of the library's own.
//!
//! `drupe-machine` turns these into the table of `asm/host.h`; nothing here
//! knows a kernel.

pub mod clock;
mod descriptor;
pub mod disk;
pub mod futex;
mod host;
pub mod link;
pub mod log;
mod manual_clock;
pub mod names;
pub mod threads;

pub use descriptor::{Inherited, inherited};
pub use host::{Host, SystemHost, TimerWaker};
pub use manual_clock::ManualClock;
