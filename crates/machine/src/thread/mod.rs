//! [`Context`]: what the library knows of one thread of the program.
//!
//! Each thread has a [`Context`]: the kernel that it is inside of, its host tasks
//! (`tasks.rs`, `request.rs`), the deadline of its calls (`deadline.rs`), the word that
//! it waits on for the CPU, its deferred work (`deferred.rs`), and whether it blocks the
//! signals of faults (`faults.rs`).
//!
//! # Lifecycle
//!
//! ```text
//!   fresh ── first call ──▶ armed ── thread ends: other thread-locals first ──▶ ended
//!                             ▲                                                   │
//!                             └──────── a call from a later destructor ───────────┘
//! ```
//!
//! - *fresh*: the context holds nothing that has to be freed.
//! - *armed*: the thread has tasks. When it ends, the destructor of a key
//!   (`pthread_key_create(3)`) ends them. The C library runs those after the
//!   destructors of all thread-locals of Rust and C++, in which calls are still
//!   made by the thread's own task.
//! - *ended*: the context is as fresh. Destructors of other keys that come later may make
//!   calls: those get a new task and arm the key again, for which the C library has four
//!   rounds (`PTHREAD_DESTRUCTOR_ITERATIONS`). A task that is made after the last round
//!   stays, unused, until the kernel ends.
//!
//! The context itself has no destructor, so it can be used at any moment of a
//! thread's life, also in a signal handler.

pub(crate) mod deadline;
pub(crate) mod deferred;
pub(crate) mod faults;
pub(crate) mod interrupt;
mod request;
pub(crate) mod tasks;

use crate::vcpu::Vcpu;
use deferred::Deferred;
use drupe_cpu::Waiter;
use faults::FaultSignals;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::time::Instant;
use tasks::HostTask;

/// The state of one thread.
pub(crate) struct Context {
    /// The CPU of the kernel that the thread is inside of, or null. A call counts
    /// from its beginning to its end, waiting included: its task can serve one
    /// at a time.
    inside: Cell<*const Vcpu>,
    /// Kernel and task of the last call, by number and handle. Numbers begin at 1: 0 is
    /// none.
    last: Cell<(u64, u64)>,
    /// The deadline of the thread's calls.
    deadline: Cell<Option<Instant>>,
    /// The number of the kernel for which the thread is inside of a disk; 0: none.
    serves: Cell<u64>,
    deferred: Deferred,
    faults: FaultSignals,
    /// Whether [`end`] will be called.
    armed: Cell<bool>,
    tasks: RefCell<Vec<HostTask>>,
    waiter: RefCell<Option<Arc<Waiter>>>,
}

thread_local! {
    static CONTEXT: ManuallyDrop<Context> = const {
        ManuallyDrop::new(Context {
            inside: Cell::new(ptr::null()),
            last: Cell::new((0, 0)),
            deadline: Cell::new(None),
            serves: Cell::new(0),
            deferred: Deferred::new(),
            faults: FaultSignals::new(),
            armed: Cell::new(false),
            tasks: RefCell::new(Vec::new()),
            waiter: RefCell::new(None),
        })
    };
}

/// The calling thread's context.
#[inline]
pub(crate) fn context() -> &'static Context {
    CONTEXT.with(|context| {
        let context: *const Context = &**context;
        // SAFETY: it is initialised at compile time and has no destructor, so it
        // stays as it is while the thread runs; and a reference to it does not
        // leave the thread, since it is not `Send`.
        unsafe { &*context }
    })
}

/// A guard: the thread counts as inside a kernel until it is dropped.
pub(crate) struct Inside {
    context: &'static Context,
    before: *const Vcpu,
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        self.context.inside.set(self.before);
    }
}

impl Context {
    /// Marks the thread as inside the kernel of `vcpu`, before a call or an entry.
    #[inline]
    pub(crate) fn enter(&'static self, vcpu: &Vcpu) -> Inside {
        Inside {
            context: self,
            before: self.inside.replace(vcpu),
        }
    }

    /// Whether the thread is inside a kernel.
    #[inline]
    pub(crate) fn is_inside(&self) -> bool {
        !self.inside.get().is_null()
    }

    /// Runs `f`, which serves a request to a disk for the kernel with this number, outside
    /// of it. Calls into that kernel are refused: they might wait for that request.
    pub(crate) fn serve(&self, id: u64, f: impl FnOnce()) {
        self.serves.set(id);
        f();
        self.serves.set(0);
    }

    /// Whether the thread serves a request to a disk for the kernel with this number.
    pub(crate) fn is_serving(&self, id: u64) -> bool {
        self.serves.get() == id
    }

    /// The CPU of the kernel that the thread is inside of, or null.
    pub(crate) fn inside(&self) -> *const Vcpu {
        self.inside.get()
    }

    /// The word that the thread waits on for the CPU.
    pub(crate) fn waiter(&self) -> Arc<Waiter> {
        self.arm();
        let mut waiter = self.waiter.borrow_mut();
        Arc::clone(waiter.get_or_insert_default())
    }

    /// Arranges that [`end`] is called when the thread ends.
    fn arm(&self) {
        if self.armed.get() {
            return;
        }
        if let Some(key) = key() {
            // Any value but null has the destructor called.
            // SAFETY: the key exists.
            let set = unsafe { libc::pthread_setspecific(key, ptr::dangling()) } == 0;
            self.armed.set(set);
        }
    }
}

/// The key plus 1; 0: not made yet.
static KEY: AtomicU64 = AtomicU64::new(0);

fn key() -> Option<libc::pthread_key_t> {
    let key = KEY.load(Acquire).checked_sub(1)?;
    Some(key as libc::pthread_key_t)
}

/// Makes the key, once per process. Returns whether there is one.
pub(crate) fn install() -> bool {
    if key().is_some() {
        return true;
    }
    let mut key = 0;
    // SAFETY: room for a key, and a destructor that any thread may run.
    if unsafe { libc::pthread_key_create(&mut key, Some(end)) } != 0 {
        return self::key().is_some();
    }
    let made = KEY.compare_exchange(0, u64::from(key) + 1, AcqRel, Acquire);
    if made.is_err() {
        // Another thread was faster.
        // SAFETY: the key was just made, and nobody else knows it.
        unsafe { libc::pthread_key_delete(key) };
    }
    true
}

/// Called when the thread ends: ends its tasks.
unsafe extern "C" fn end(_: *mut libc::c_void) {
    let context = context();
    context.armed.set(false);
    context.last.set((0, 0));
    context.deferred.hand_on();
    let tasks = context.tasks.take();
    drop(tasks);
    context.deferred.end();
    context.waiter.take();
}

/// Called in a child of `fork(2)`: its thread is inside no kernel, and has no tasks.
pub(crate) fn forked() {
    let context = context();
    context.inside.set(ptr::null());
    context.last.set((0, 0));
}
