//! Who runs a kernel's CPU: ownership, interrupts posted, waiting for calls.
//!
//! Two words, each in a module of its own that states its states, who may
//! touch what, the transitions and the memory orders:
//!
//! - [`Cpu`] (`state.rs`): the baton. One thread at a time holds it and may be
//!   inside the kernel.
//! - [`Completion`] (`completion.rs`): a call that blocks in the kernel, and the
//!   thread that waits for it outside.
//!
//! This crate makes no host call: sleeping and waking come through [`Park`].
//! It has no unsafe code, and knows nothing of kernels.
#![forbid(unsafe_code)]

mod completion;
mod state;
mod sync;

pub use completion::{Completion, Outcome};
pub use state::{Cpu, Halted, PostIrq, Release};

use sync::AtomicU32;

/// Sleeping until a word changes: `futex(2)`, or a model of it.
pub trait Park {
    /// Sleeps while `word` holds `expected`; may return early.
    fn wait(&self, word: &AtomicU32, expected: u32);
    /// Wakes one thread that sleeps on `word`.
    fn wake_one(&self, word: &AtomicU32);
    /// Wakes every thread that sleeps on `word`.
    fn wake_all(&self, word: &AtomicU32);
}
