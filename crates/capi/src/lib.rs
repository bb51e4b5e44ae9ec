//! `libdrupe`: the public API of `drupe` for C. `include/drupe.h` is its documentation,
//! and says what holds for every call; what stands here is how that is kept.
//!
//! Each function of C is an `export!` of a few lines ([`border`]): its arguments are
//! checked and become Rust's, its panics and errors become a [`failure::Failure`]. The
//! types behind C's opaque ones are those of `drupe` where one is enough.

#[macro_use]
mod border;

mod cancel;
mod copy;
mod devices;
mod dir;
mod disk;
mod error;
mod failure;
mod file;
mod interface;
mod kernel;
mod mount;
mod partition;
mod path;
mod poll;
mod socket;
mod thread;
mod volume;
mod xattr;
