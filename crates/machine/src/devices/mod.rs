//! What a kernel has instead of hardware: disks, links, clock, console. Nothing here
//! knows who calls: what the image asks for is in `operations/`.

pub(crate) mod disks;
pub(crate) mod environment;
pub(crate) mod io_queue;
pub(crate) mod netdevs;
pub(crate) mod watch;
