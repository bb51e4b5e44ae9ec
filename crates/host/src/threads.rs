//! Threads that the library starts in a program: no signal handler of the
//! program's runs on them.
//!
//! They have small tasks of their own, and some run a kernel on a kernel's stack.
//! A handler there would interrupt what it knows nothing of, and might wait for
//! what its thread was about to do.

use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::thread::{Builder, JoinHandle};

/// What an instruction of the thread's own causes: to block these would not hold
/// them back.
const OWN: [i32; 6] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGSYS,
];

/// The calling thread's signals are blocked while this lives, and those of the
/// threads that it starts meanwhile for good.
#[derive(Debug)]
#[must_use = "the signals are blocked until it is dropped"]
pub struct SignalsBlocked {
    before: libc::sigset_t,
    /// The mask is one thread's.
    _not_send: PhantomData<*const ()>,
}

impl SignalsBlocked {
    /// Blocks them.
    pub fn new() -> SignalsBlocked {
        let mut mask = MaybeUninit::uninit();
        let mut before = MaybeUninit::zeroed();
        // SAFETY: the set is filled in before it is used, the old one is valid as
        // it is; the calls do not fail with these arguments.
        let before = unsafe {
            libc::sigfillset(mask.as_mut_ptr());
            for signal in OWN {
                libc::sigdelset(mask.as_mut_ptr(), signal);
            }
            libc::pthread_sigmask(libc::SIG_SETMASK, mask.as_ptr(), before.as_mut_ptr());
            before.assume_init()
        };
        SignalsBlocked {
            before,
            _not_send: PhantomData,
        }
    }
}

impl Default for SignalsBlocked {
    fn default() -> SignalsBlocked {
        SignalsBlocked::new()
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: a mask that was the thread's.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) };
    }
}

/// As `std::thread::Builder::spawn`, for a thread on which no handler of the
/// program's signals runs.
///
/// # Errors
///
/// The system has no more threads.
pub fn spawn<T: Send + 'static>(
    name: impl Into<String>,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let _blocked = SignalsBlocked::new();
    Builder::new().name(name.into()).spawn(f)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `signal` is blocked here.
    fn is_blocked(signal: i32) -> bool {
        let mut mask = MaybeUninit::zeroed();
        // SAFETY: the mask is filled in, and valid before that.
        unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), mask.as_mut_ptr());
            libc::sigismember(mask.as_ptr(), signal) == 1
        }
    }

    #[test]
    fn a_thread_has_its_own_faults_and_no_other_signals() -> io::Result<()> {
        let blocked = || [libc::SIGALRM, libc::SIGTERM, libc::SIGSEGV].map(is_blocked);
        let before = blocked();
        let thread = spawn("quiet", blocked)?;
        assert_eq!(thread.join().ok(), Some([true, true, false]));
        assert_eq!(blocked(), before);
        Ok(())
    }
}
