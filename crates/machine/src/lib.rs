//! [`Machine`]: runs kernels in this process. The only crate that enters a kernel's
//! image.
//!
//! A [`Machine`] is one kernel: an image in its own memory, a CPU with its baton, and
//! devices. `vcpu/call.rs` has the path of a call, `vcpu/enter.rs` the loop that runs the
//! kernel, `process/fault.rs` the signal handlers that contain faults.
//!
//! `drupe` builds a safe API of files and sockets on it.

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
