//! Images as qemu-img makes them, and servers as their users run them.
//!
//! Needs qemu-img, qemu-nbd and nbdkit; a missing one fails a test, it does not
//! skip it.

mod hostile;
mod lab;
mod nbd;
mod qcow2;
mod vhdx;
mod vmdk;
