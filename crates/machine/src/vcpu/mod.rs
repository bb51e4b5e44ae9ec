//! One CPU of a kernel: who runs it, and what a call does on it.

pub(crate) mod call;
pub(crate) mod run;
pub(crate) mod timer;
