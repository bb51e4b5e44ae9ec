//! What a program provides for a kernel: clock, console, randomness, disks, links,
//! threads.
//!
//! - [`Host`]: clock, console and random source; [`SystemHost`] is the default,
//!   [`ManualClock`] a clock for tests.
//! - [`disk`]: the trait `Disk`; disks in files of the host and in memory, and for tests
//!   one that fails and one that loses power.
//! - [`link`]: the trait `Link`, a network link.
//! - [`clock`]: the host's clocks.
//! - [`inherited`]: descriptors that were open when the program was started.
//! - [`log`]: the kernel log, kept and passed to a listener.
//! - [`names`]: addresses of host names.
//! - [`futex`]: sleeping and waking, for `drupe-cpu`.
//! - [`threads`]: the library's own threads.
//!
//! `drupe-machine` makes the table of host operations (`asm/host.h`) from these. Nothing
//! in this crate depends on a kernel.

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
