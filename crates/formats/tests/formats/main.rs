//! Tests of formats with images of qemu-img, and of NBD with real servers.
//!
//! Needs qemu-img, qemu-nbd and nbdkit; a missing one fails a test, it does not
//! skip it.

mod hostile;
mod lab;
mod nbd;
mod qcow2;
mod vdi;
mod vhd;
mod vhdx;
mod vmdk;
