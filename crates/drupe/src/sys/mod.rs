//! The system calls that this crate makes, as typed functions.
//!
//! [`Sys`] is the only place in the crate that turns Rust values into system
//! call arguments, and so the only one with `unsafe` in it. Nothing here knows
//! about paths inside a mount; that is [`crate::fs`].

mod attr;
mod call;
pub(crate) mod control;
mod credentials;
mod data;
mod fd;
mod handle;
mod ioctl;
mod mount;
mod name;
#[cfg(feature = "net")]
mod namespace;
#[cfg(feature = "net")]
mod net;
pub mod nr;
#[cfg(feature = "net")]
mod poll;
#[cfg(feature = "tokio")]
mod reactor;

pub(crate) use attr::XattrOf;
pub(crate) use call::{Result, Sys};
pub(crate) use fd::OwnedFd;
pub(crate) use handle::RawHandle;
pub(crate) use ioctl::DM_HEADER;
#[cfg(feature = "net")]
pub(crate) use net::RawAddress;
#[cfg(feature = "tokio")]
pub(crate) use reactor::readable;

/// Stands for "no directory": the path is absolute, from the kernel's own `/`.
pub(crate) const AT_FDCWD: i32 = libc::AT_FDCWD;
