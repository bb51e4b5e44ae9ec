//! The library's own threads, on which no signal handler of the program runs.
//!
//! The program does not know these threads. A handler on one would interrupt the library,
//! and might wait for what that very thread was about to do.
//!
//! They are made with `pthread_create(3)`, not `std::thread`: each thread of `std` takes
//! a lock when it begins and ends (for its stack overflow handler). A child of `fork(2)`
//! may inherit that lock locked, and its threads would wait for ever. The C library
//! releases its own locks in a child.

use std::any::Any;
use std::ffi::{CString, c_void};
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Result;

/// Bytes of stack: as many as `std::thread` gives by default.
const STACK: usize = 2 << 20;

/// Bytes of stack for signal handlers, which run after a thread's own stack or a kernel
/// stack has overflowed.
const HANDLER_STACK: usize = 64 << 10;

/// Inaccessible bytes below that.
const GUARD: usize = 4096;

/// Bytes of a thread's name, its end included (`pthread_setname_np(3)`).
const NAME: usize = 16;

/// Signals that an instruction of the thread itself causes. Blocking these would end the
/// process.
const OWN: [i32; 6] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGSYS,
];

/// Blocks the calling thread's signals until dropped. Threads that it starts meanwhile
/// have them blocked for good.
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

/// A handle to a thread of [`spawn`], like `std::thread::JoinHandle`.
pub struct JoinHandle<T> {
    /// `None` when it has been waited for.
    thread: Option<libc::pthread_t>,
    /// The process that has the thread.
    process: u32,
    result: Arc<Mutex<Option<Result<T>>>>,
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").finish_non_exhaustive()
    }
}

impl<T> JoinHandle<T> {
    /// Waits until the thread has ended.
    ///
    /// # Errors
    ///
    /// The thread's panic; or a message, if the thread belongs to the process that this
    /// one was forked from.
    pub fn join(mut self) -> Result<T> {
        let Some(thread) = self.here() else {
            return Err(Box::new("a thread of the parent process") as Box<dyn Any + Send>);
        };
        // SAFETY: a thread of this process that is neither joined nor detached.
        let error = unsafe { libc::pthread_join(thread, ptr::null_mut()) };
        assert_eq!(error, 0, "a thread does not wait for itself");
        self.thread = None;
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        result.take().expect("a thread leaves a result")
    }

    /// Whether it is the calling thread.
    pub fn is_current(&self) -> bool {
        // SAFETY: has no conditions.
        self.here() == Some(unsafe { libc::pthread_self() })
    }

    /// The thread, unless it belongs to another process.
    fn here(&self) -> Option<libc::pthread_t> {
        self.thread.filter(|_| self.process == process::id())
    }
}

impl<T> Drop for JoinHandle<T> {
    /// Detaches the thread.
    fn drop(&mut self) {
        if let Some(thread) = self.here() {
            // SAFETY: a thread of this process that is neither joined nor detached.
            unsafe { libc::pthread_detach(thread) };
        }
    }
}

/// What a new thread is given: its closure, and where its result goes.
struct Start {
    name: CString,
    main: Box<dyn FnOnce() + Send>,
}

/// Like `std::thread::Builder::spawn`, with all signals blocked. `RUST_MIN_STACK` does
/// not change its stack's size. The system knows the thread's name,
/// `std::thread::current` does not.
///
/// # Errors
///
/// The system has no more threads.
pub fn spawn<T: Send + 'static>(
    name: impl Into<String>,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let mut name = name.into().into_bytes();
    name.truncate(NAME - 1);
    let result = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&result);
    let start = Box::new(Start {
        name: CString::new(name)?,
        main: Box::new(move || {
            let result = catch_unwind(AssertUnwindSafe(f));
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }),
    });
    let start = Box::into_raw(start);
    let blocked = SignalsBlocked::new();
    let mut attributes = MaybeUninit::uninit();
    let mut thread = MaybeUninit::uninit();
    // SAFETY: the attributes are initialised before they are used; the thread gets a
    // `Start` that nobody else has.
    let error = unsafe {
        let attributes = attributes.as_mut_ptr();
        libc::pthread_attr_init(attributes);
        libc::pthread_attr_setstacksize(attributes, STACK);
        let error = libc::pthread_create(thread.as_mut_ptr(), attributes, begin, start.cast());
        libc::pthread_attr_destroy(attributes);
        error
    };
    drop(blocked);
    if error != 0 {
        // SAFETY: there is no thread that has it.
        drop(unsafe { Box::from_raw(start) });
        return Err(io::Error::from_raw_os_error(error));
    }
    Ok(JoinHandle {
        // SAFETY: it was filled in.
        thread: Some(unsafe { thread.assume_init() }),
        process: process::id(),
        result,
    })
}

/// The start routine of a thread.
extern "C" fn begin(start: *mut c_void) -> *mut c_void {
    // SAFETY: what `spawn` has handed over.
    let Start { name, main } = *unsafe { Box::from_raw(start.cast::<Start>()) };
    // SAFETY: a C string that is short enough.
    unsafe { libc::pthread_setname_np(libc::pthread_self(), name.as_ptr()) };
    let _stack = HandlerStack::new();
    main();
    ptr::null_mut()
}

/// The calling thread's stack for signal handlers, as long as this lives.
struct HandlerStack(*mut c_void);

impl HandlerStack {
    /// `None`: there is no memory, and handlers run on the stack that is in use.
    fn new() -> Option<HandlerStack> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        // SAFETY: a new mapping, whose upper part becomes accessible; then it is this
        // thread's to use until it is taken back.
        unsafe {
            let size = GUARD + HANDLER_STACK;
            let start = libc::mmap(ptr::null_mut(), size, libc::PROT_NONE, flags, -1, 0);
            if start == libc::MAP_FAILED {
                return None;
            }
            let mapped = HandlerStack(start);
            let stack = start.byte_add(GUARD);
            let access = libc::PROT_READ | libc::PROT_WRITE;
            if libc::mprotect(stack, HANDLER_STACK, access) != 0 {
                return None;
            }
            set_handler_stack(stack, 0);
            Some(mapped)
        }
    }
}

impl Drop for HandlerStack {
    fn drop(&mut self) {
        // SAFETY: what `new` has mapped; it is nobody's stack any more.
        unsafe {
            set_handler_stack(ptr::null_mut(), libc::SS_DISABLE);
            libc::munmap(self.0, GUARD + HANDLER_STACK);
        }
    }
}

/// # Safety
///
/// Unless the flags are `SS_DISABLE`, `HANDLER_STACK` bytes from `stack` on are the
/// calling thread's until this is called again.
unsafe fn set_handler_stack(stack: *mut c_void, flags: i32) {
    let stack = libc::stack_t {
        ss_sp: stack,
        ss_flags: flags,
        ss_size: HANDLER_STACK,
    };
    // SAFETY: as the caller says.
    unsafe { libc::sigaltstack(&stack, ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `signal` is blocked in the calling thread.
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

    #[test]
    fn a_thread_has_a_name_a_result_and_a_stack_for_handlers() -> io::Result<()> {
        let thread = spawn("a name that is too long", || {
            let mut name = [0_u8; NAME];
            let mut stack = MaybeUninit::<libc::stack_t>::zeroed();
            // SAFETY: room for both, which are valid as they are.
            let stack = unsafe {
                libc::pthread_getname_np(libc::pthread_self(), name.as_mut_ptr().cast(), NAME);
                libc::sigaltstack(ptr::null(), stack.as_mut_ptr());
                stack.assume_init()
            };
            // The whole of it can be used, of this thread's own one too.
            std::hint::black_box([1_u8; STACK / 2]);
            (name, stack.ss_flags, stack.ss_size)
        })?;
        assert!(!thread.is_current());
        let expected = (*b"a name that is \0", 0, HANDLER_STACK);
        assert_eq!(thread.join().ok(), Some(expected));

        let thread = spawn("panics", || -> u8 {
            std::panic::resume_unwind(Box::new("told"))
        })?;
        let told = thread
            .join()
            .err()
            .and_then(|told| told.downcast_ref().copied());
        assert_eq!(told, Some("told"));
        assert!(spawn("a\0b", || {}).is_err());
        Ok(())
    }
}
