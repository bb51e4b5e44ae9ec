//! Helpers for the tests of several crates. A development dependency only.
//!
//! [`anyone`] has directories that every user can reach, and programs in them, for tests
//! that become another user. [`c`] compiles and runs C programs with a library. [`oci`] makes
//! container images, [`registry`] runs a registry for them, and [`http`] a server that does
//! what a test says. A test
//! that cannot run on this machine calls [`skipped()`], so that it does not pass in
//! silence. [`assert_auto_traits!`] asserts which types are `Send`, `Sync` and `Unpin`.
#![forbid(unsafe_code)]

pub mod anyone;
pub mod auto_traits;
pub mod c;
pub mod http;
pub mod oci;
pub mod registry;
mod skipped;

pub use skipped::{has, skipped};
