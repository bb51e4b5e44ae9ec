//! What the tests of several crates share. A development dependency only.
//!
//! [`anyone`] has directories that every user can reach, and programs in them,
//! for tests that become another user. [`c`] compiles and runs C programs with a library.
//! [`skipped()`] is what a test calls that
//! cannot run on this machine: no test passes in silence without having tested
//! anything. [`assert_auto_traits!`] says which types are `Send`, `Sync` and
//! `Unpin`.
#![forbid(unsafe_code)]

pub mod anyone;
pub mod auto_traits;
pub mod c;
mod skipped;

pub use skipped::skipped;
