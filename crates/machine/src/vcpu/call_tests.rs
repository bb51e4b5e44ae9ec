//! Calls with deadlines while process 1, which makes tasks, is busy.

use crate::error::Error;
use crate::instance::Instance;
use crate::thread::{context, deadline::with_deadline};
use crate::{Config, Machine};
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

/// Numbers of `include/uapi/asm-generic/unistd.h`.
const PPOLL: u64 = 73;
const GETPID: u64 = 172;

/// A call that blocks until it is interrupted.
fn block(kernel: &Instance, task: u64) -> Result<usize, Error> {
    // SAFETY: no file is waited for, and no pointer is given.
    unsafe { kernel.call(context(), task, PPOLL, [0; 6]) }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(1)
}

#[test]
fn no_deadline_needs_process_1() {
    let machine = Machine::boot(Config::default()).unwrap();
    let kernel = &machine.kernel;
    let own = context().task(kernel).unwrap();
    let init = kernel.init_task.load(Relaxed);
    thread::scope(|s| {
        let busy = s.spawn(|| block(kernel, init));
        // A thread's first call wants a task of process 1; the threads before
        // that has begun to block get one.
        let first_call = || {
            // SAFETY: the call has no arguments.
            with_deadline(soon(), || unsafe { machine.request(GETPID, [0; 6]) })
        };
        while s.spawn(first_call).join().unwrap().is_ok() {}
        let refused = s.spawn(first_call).join().unwrap();
        assert!(matches!(refused, Err(Error::TimedOut)), "{refused:?}");
        // A task that there is needs nobody.
        let blocked = with_deadline(soon(), || block(kernel, own));
        assert!(matches!(blocked, Err(Error::TimedOut)), "{blocked:?}");
        kernel.interrupt_task(context(), init, ptr::null()).unwrap();
        assert!(busy.join().unwrap().is_err());
        // Nothing is left in the way of later ones.
        // SAFETY: the call has no arguments.
        let later = s.spawn(|| unsafe { machine.request(GETPID, [0; 6]) });
        assert_eq!(later.join().unwrap().unwrap(), 1);
    });
    machine.halt().unwrap();
}
