//! The machine: the only crate that enters a kernel.
//!
//! A [`Machine`] is one kernel: the image loaded into memory of its own, the
//! CPU's baton, and what the host does for it. The way of a call is in
//! `call.rs`; who runs the kernel, and when, in `run.rs`; the signal handlers
//! that contain faults in `fault.rs`.
//!
//! `drupe` builds the safe, file-shaped API on this.

mod boot;
mod buffer;
mod call;
mod deadline;
mod deferred;
mod disks;
mod error;
mod fault;
mod fork;
mod host;
mod interrupt;
mod io_threads;
mod kernel;
mod links;
mod machine;
mod memory;
mod ops;
mod run;
mod tasks;
mod timer;
mod watch;

pub use buffer::Buffer;
pub use deadline::{with_deadline, without_deadline};
pub use disks::DiskId;
pub use drupe_abi::Crash;
pub use error::{DeathReport, Error};
pub use interrupt::Interrupter;
pub use links::LinkId;
pub use machine::{Config, Machine};
pub use watch::Watch;
