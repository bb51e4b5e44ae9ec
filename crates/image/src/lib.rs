//! The kernel image: the ELF file, checked, and laid out in memory.
//!
//! [`elf`] parses and checks the image; `drupe-machine` maps it. The bytes come
//! from [`embed`].

pub mod elf;
pub mod embed;
