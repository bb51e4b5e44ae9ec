//! State of the whole process: signal handlers, and the handler of `fork(3)`.

pub(crate) mod fault;
pub(crate) mod fork;
