//! The kernel image: embedded, and checked.
//!
//! [`embed`] holds the bytes and knows the file that they can be mapped from;
//! [`elf`] parses and checks them. `drupe-machine` maps the result.

pub mod elf;
pub mod embed;
