//! Requests of the calling thread to a kernel, served by the thread's own task: calls,
//! halting.

use super::{context, deadline};
use crate::error::Error;
use crate::instance::{End, Instance};
use drupe_abi::Errno;
use std::sync::Arc;

/// `sync`, `include/uapi/asm-generic/unistd.h`.
const NR_SYNC: u64 = 81;
/// `reboot`, as above.
const NR_REBOOT: u64 = 142;

impl Instance {
    /// Runs request `nr` on the calling thread's host task.
    ///
    /// # Safety
    ///
    /// As for [`Instance::call`].
    #[inline]
    pub(crate) unsafe fn request(
        self: &Arc<Self>,
        nr: u64,
        args: [u64; 6],
    ) -> Result<usize, Error> {
        let context = context();
        let task = context.task(self)?;
        // SAFETY: passed on.
        unsafe { self.call(context, task, nr, args) }
    }

    /// Writes back dirty data, and stops the kernel, unless it has ended.
    pub(crate) fn halt(self: &Arc<Self>) -> Result<(), Error> {
        const MAGIC1: u64 = 0xfee1dead;
        const MAGIC2: u64 = 672274793;
        const HALT: u64 = 0xcdef0123;
        if self.is_forked() {
            return Err(Error::Forked);
        }
        // SAFETY: `sync` has no arguments, those of `reboot` are numbers.
        let result = deadline::without_deadline(|| unsafe {
            self.request(NR_SYNC, [0; 6])
                .and_then(|_| self.request(NR_REBOOT, [MAGIC1, MAGIC2, HALT, 0, 0, 0]))
        });
        if self.end.get().is_some() {
            self.join();
            self.netdevs.clear();
        }
        match (self.end.get(), result) {
            (Some(End::Halted), _) => Ok(()),
            (Some(end), _) => Err(end.clone().into()),
            (None, Err(error)) => Err(error),
            (None, Ok(_)) => Err(Errno::IO.into()),
        }
    }
}
