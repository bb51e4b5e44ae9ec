//! Host operations: what a kernel needs from the program it lives in.
//!
//! - [`disk`]: what a disk is, and disks in files of the host.
//! - [`clock`]: the time.
//! - [`log`]: the kernel log, kept and passed on.
//! - [`futex`]: sleeping and waking, for `drupe-cpu`.
//!
//! `drupe-machine` turns these into the table of `asm/host.h`; nothing here
//! knows a kernel.

pub mod clock;
pub mod disk;
mod file_disk;
pub mod futex;
pub mod log;
