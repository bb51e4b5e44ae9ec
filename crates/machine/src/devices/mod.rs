//! A kernel's devices: disks, network devices, clock, console, watched files. The image
//! calls them through `operations/`.

pub(crate) mod disks;
pub(crate) mod environment;
pub(crate) mod io_queue;
pub(crate) mod netdevs;
pub(crate) mod watch;
