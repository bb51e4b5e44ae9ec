//! A request of the kernel to one of its disks, while a thread serves it.

use crate::memory::lent::Loan;
use drupe_abi::Io;

/// A request of the kernel, on its way.
///
/// # Invariants
///
/// Ours alone until it is handed back to the kernel (`asm/host.h`). The loan is that of
/// the memory that it fills.
#[derive(Debug)]
pub(crate) struct Pending(pub(crate) *mut Io, pub(crate) Option<Loan>);

// SAFETY: nobody else touches the request while it is pending.
unsafe impl Send for Pending {}
