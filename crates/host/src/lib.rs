//! Host operations: what a kernel needs from the program it lives in.
pub mod disk;
