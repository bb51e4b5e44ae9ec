//! The rules by which threads share a kernel's CPU: ownership, interrupts, waiting for
//! calls.
//!
//! - [`Baton`] (`baton.rs`, with `state.rs`): the baton. One thread at a time holds
//!   it and may be inside the kernel; [`Waiter`]s (`waiter.rs`) queue for it.
//! - [`inbox`] (`inbox.rs`): requests that threads post without holding it.
//! - [`Completion`] (`completion.rs`): a call that blocks in the kernel, and the
//!   thread that waits for it outside.
//! - [`deadline`] (`deadline.rs`): which thread wakes for the kernel's timer: a helper
//!   thread, or one whose call waits for the same time.
//! - [`Spin`] (`spin.rs`): how long to spin before sleeping.
//! - [`work`] (`work.rs`): requests to disks, and the threads that wait for the host in
//!   the CPU's place.
//!
//! Each file documents its states, who may touch what, the transitions, the memory orders
//! and the races considered. `docs/cpu.md` is an introduction to all of it.
//!
//! This crate makes no system call except for the locks of two queues: sleeping and
//! waking go through [`Park`]. It has no unsafe code and knows nothing of kernels.
#![forbid(unsafe_code)]

mod baton;
mod completion;
pub mod deadline;
pub mod inbox;
mod spin;
mod state;
mod sync;
mod waiter;
pub mod work;

pub use baton::{Baton, Halted, PostIrq, Refused, Release, YIELD_LINE};
pub use completion::{Completion, Outcome, Sleeper};
pub use spin::Spin;
use state::State;
pub use waiter::Waiter;

use std::time::Instant;
use sync::AtomicU32;

/// Sleeping until a word changes: `futex(2)`, or a model of it. At most one thread sleeps
/// on a word.
pub trait Park {
    /// Sleeps while `word` holds `expected`, at most until `deadline`; may
    /// return early. Returns whether the deadline has passed.
    fn wait(&self, word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> bool;
    /// Wakes the thread that sleeps on `word`. The word may be freed already: only its
    /// address is used.
    fn wake(&self, word: *const AtomicU32);
}
