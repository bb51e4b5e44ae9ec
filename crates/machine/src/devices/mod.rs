//! What a kernel has instead of hardware: disks, links, clock, console.

pub(crate) mod disks;
pub(crate) mod environment;
pub(crate) mod io_threads;
pub(crate) mod netdevs;
pub(crate) mod ops;
pub(crate) mod watch;
