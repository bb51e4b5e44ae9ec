//! What a thread of the program is doing in kernels.

pub(crate) mod deadline;
pub(crate) mod deferred;
pub(crate) mod interrupt;
pub(crate) mod tasks;
