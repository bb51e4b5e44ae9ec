//! The kernel image: embedded in the program, parsed and checked.
//!
//! [`embed`] has the bytes and finds the file to map them from; [`elf`] parses and checks
//! them. `drupe-machine` maps the result.

pub mod elf;
pub mod embed;
