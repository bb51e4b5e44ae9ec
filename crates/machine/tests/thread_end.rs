//! Calls while a thread ends: from destructors, in whatever order they run.

mod common;

use common::{call, machine, nr};
use drupe_machine::Machine;
use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;

/// Makes a call when it is dropped, and tells of the result.
struct LastCall(Arc<Machine>, Sender<usize>);

impl Drop for LastCall {
    fn drop(&mut self) {
        let tid = call(&self.0, nr::GETTID, &[]).unwrap();
        self.1.send(tid).unwrap();
    }
}

thread_local! {
    static LAST_CALL: RefCell<Option<LastCall>> = const { RefCell::new(None) };
    static LAST_HANDLE: RefCell<Option<Arc<Machine>>> = const { RefCell::new(None) };
}

/// Whether a thread-local is used for the first time before or after the
/// thread's first call decides the order of destructors.
#[test]
fn a_destructor_of_a_thread_local_has_the_task_of_its_thread() {
    let machine = machine();
    for before_the_first_call in [true, false] {
        let (sender, receiver) = channel();
        let copy = Arc::clone(&machine);
        let tid = thread::spawn(move || {
            if before_the_first_call {
                LAST_CALL.with(|last| last.borrow_mut().take());
            }
            let tid = call(&copy, nr::GETTID, &[]).unwrap();
            LAST_CALL.set(Some(LastCall(copy, sender)));
            tid
        })
        .join()
        .unwrap();
        assert_eq!(receiver.recv().unwrap(), tid);
    }
    assert_eq!(call(&machine, nr::GETPID, &[]).unwrap(), 1);
    machine.halt().unwrap();
}

#[test]
fn the_last_handle_in_a_thread_local_halts_the_kernel() {
    for before_the_first_call in [true, false] {
        let end = thread::spawn(move || {
            if before_the_first_call {
                LAST_HANDLE.with(|last| last.borrow_mut().take());
            }
            let machine = machine();
            assert_eq!(call(&machine, nr::GETPID, &[]).unwrap(), 1);
            let weak = Arc::downgrade(&machine);
            LAST_HANDLE.set(Some(machine));
            weak
        });
        // Returns when all that the thread has to destroy is destroyed; the
        // kernel's own threads are joined on the way.
        assert!(end.join().unwrap().upgrade().is_none());
    }
}

static MACHINE: OnceLock<Arc<Machine>> = OnceLock::new();
static CALLS: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn calls_late(_: *mut c_void) {
    let machine = MACHINE.get().expect("set before");
    assert_eq!(call(machine, nr::GETPID, &[]).unwrap(), 1);
    CALLS.fetch_add(1, SeqCst);
}

/// The destructor of a key that the program made after drupe made its own: it
/// runs when the thread's tasks have ended.
#[test]
fn a_destructor_of_a_later_key_may_call() {
    let machine = MACHINE.get_or_init(machine);
    let mut key = 0;
    // SAFETY: room for a key; the destructor is good for any thread.
    let made = unsafe { libc::pthread_key_create(&mut key, Some(calls_late)) };
    assert_eq!(made, 0);
    // C's destructors are not waited for by Rust's join: pthread_join(3) is.
    extern "C" fn body(key: *mut c_void) -> *mut c_void {
        let machine = MACHINE.get().expect("set before");
        assert_eq!(call(machine, nr::GETPID, &[]).unwrap(), 1);
        // SAFETY: the key exists; the value is any but null.
        unsafe { libc::pthread_setspecific(key as u32, ptr::dangling()) };
        ptr::null_mut()
    }
    let mut thread = 0;
    // SAFETY: a function that takes what it is given, and room for the thread.
    unsafe {
        let argument = key as usize as *mut c_void;
        let made = libc::pthread_create(&mut thread, ptr::null(), body, argument);
        assert_eq!(made, 0);
        assert_eq!(libc::pthread_join(thread, ptr::null_mut()), 0);
    }
    assert_eq!(CALLS.load(SeqCst), 1);
    machine.halt().unwrap();
}
