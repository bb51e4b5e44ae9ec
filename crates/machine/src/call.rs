//! A call into a kernel: from the calling thread to its host task and back.
//!
//! The thread takes the CPU, enters with its request, and runs the kernel until
//! the call is complete. If the call blocks, the machine becomes idle; the
//! thread releases the CPU and waits outside, until whoever runs the kernel
//! later completes it.

use crate::error::Error;
use crate::fault;
use crate::kernel::{Futex, Kernel, lock, result};
use drupe_abi as abi;
use drupe_cpu::{Completion, Outcome};

/// A request and the word its thread waits on. The kernel is given the address
/// of `request`, which is that of the call.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Call {
    pub(crate) request: abi::Request,
    pub(crate) completion: Completion,
}

impl Kernel {
    /// Runs request `nr` on the host task `task`.
    ///
    /// # Safety
    ///
    /// The arguments must be valid for what the request does with them, until
    /// this returns.
    #[inline]
    pub(crate) unsafe fn call(&self, task: u64, nr: u64, args: [u64; 6]) -> Result<usize, Error> {
        let mut call = Call {
            request: abi::Request {
                nr,
                args,
                task,
                ret: 0,
            },
            completion: Completion::new(),
        };
        // SAFETY: passed on.
        unsafe { self.complete(&mut call)? };
        Ok(result(call.request.ret)?)
    }

    /// Runs `call` until it is complete.
    ///
    /// # Safety
    ///
    /// As for [`Kernel::call`].
    #[inline]
    pub(crate) unsafe fn complete(&self, call: &mut Call) -> Result<(), Error> {
        if fault::is_inside() {
            return Err(Error::Reentered);
        }
        let call: *mut Call = call;
        let _inside = fault::inside(self);
        // SAFETY: the call stays in place until `outcome` has returned.
        let ran = unsafe { self.run(call) };
        // SAFETY: a completion may be looked at by anybody.
        let completion = unsafe { &(*call).completion };
        if ran.is_err() && completion.poll().is_none() {
            return Err(self.end_error());
        }
        let outcome = completion
            .poll()
            .unwrap_or_else(|| self.wait_outside(completion));
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::Abandoned => Err(self.end_error()),
        }
    }

    #[cold]
    fn wait_outside(&self, completion: &Completion) -> Outcome {
        let address = &raw const *completion as usize;
        {
            let mut waiters = lock(&self.waiters);
            if waiters.ended {
                return completion.poll().unwrap_or(Outcome::Abandoned);
            }
            waiters.waiting.insert(address);
        }
        let outcome = completion.wait(&self.spin, None, &Futex);
        lock(&self.waiters).waiting.remove(&address);
        outcome.expect("there is no deadline")
    }
}
