//! What concerns the whole process: signal handlers, forks.

pub(crate) mod fault;
pub(crate) mod fork;
