//! What a kernel has instead of hardware: disks, links, clock, console. Nothing here
//! knows who calls: what the image asks for is in `operations/`.

pub(crate) mod disks;
pub(crate) mod environment;
pub(crate) mod netdevs;
pub(crate) mod pending;
pub(crate) mod watch;
