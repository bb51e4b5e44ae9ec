//! The machine: the only crate that enters a kernel.
//!
//! A [`Machine`] is one kernel: the image loaded into memory of its own, the
//! CPU's baton, and what the host does for it. The way of a call is in
//! `vcpu/call.rs`; who runs the kernel, and when, in `vcpu/enter.rs`; the signal handlers
//! that contain faults in `process/fault.rs`.
//!
//! `drupe` builds the safe, file-shaped API on this.

mod boot;
mod config;
mod devices;
mod error;
mod generation;
mod instance;
mod machine;
mod maker;
mod memory;
mod operations;
mod process;
mod snapshot;
mod sync;
mod thread;
mod vcpu;

pub use config::Config;
pub use devices::disks::DiskId;
pub use devices::netdevs::LinkId;
pub use drupe_abi::Crash;
pub use drupe_image::embed::LINUX_VERSION;
pub use error::{DeathReport, Error};
pub use machine::{Buffer, Machine, Watch};
pub use maker::make as make_snapshot;
pub use memory::Ram;
pub use snapshot::Snapshot;
pub use thread::deadline::{with_deadline, without_deadline};
pub use thread::interrupt::Interrupter;
