//! A kernel's devices: disks, network devices, clock, console, watched files. The image
//! calls them through `operations/`.

pub(crate) mod disks;
pub(crate) mod environment;
pub(crate) mod netdevs;
pub(crate) mod pending;
pub(crate) mod watch;
