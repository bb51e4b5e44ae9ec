//! [`Vcpu`]: one CPU of a kernel, and the threads that run it.
//!
//! - [`Vcpu`]: the baton, the timer's deadline, the slot for a fault, and the blocked
//!   calls.
//! - `enter.rs`: the loop of the thread that holds the baton.
//! - `call.rs`: a call from its beginning to its end, and where its thread waits
//!   when it blocks.
//! - `blocked.rs`: the list of blocked calls.
//! - `timer.rs`: the timer, and the helper threads that wait for it.
//!
//! A kernel has a list of CPUs, of length one so far. Nothing outside of this
//! directory may presume that there is one: it asks [`Instance::vcpu`] which one
//! is meant.

mod blocked;
pub(crate) mod call;
mod enter;
pub(crate) mod timer;

use crate::instance::Instance;
use blocked::Blocked;
use drupe_abi as abi;
use drupe_cpu::{Baton, Park, Spin};
use drupe_host::futex;
use once_cell::race::OnceBool;
use std::cell::UnsafeCell;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64};
use std::time::{Duration, Instant};
use timer::Timer;

const _: () = assert!(drupe_cpu::YIELD_LINE == abi::irq::YIELD);

/// For how long other threads may take the CPU before a waiting one: a tick.
const PATIENCE: Duration = Duration::from_millis(1);

/// The longest time that a thread spins before it sleeps, in ns.
const MAX_SPIN: u32 = 50_000;

/// Sleeping with `futex(2)`.
pub(crate) struct Futex;

impl Park for Futex {
    fn wait(&self, word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> bool {
        futex::wait_until(word, expected, deadline)
    }
    fn wake(&self, word: *const AtomicU32) {
        const WAKE: i32 = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: only the address is used, to look for a sleeper; waking one
        // that waits for something else there is what users of futexes bear.
        unsafe { libc::syscall(libc::SYS_futex, word, WAKE, 1) };
    }
}

/// One CPU of a kernel.
///
/// # Invariants
///
/// `instance` and `state` are set before other threads see the CPU, and stay valid: a CPU
/// is part of its kernel, which does not move, and its state part of the image, which
/// lives as long.
#[derive(Debug)]
pub(crate) struct Vcpu {
    /// The kernel whose CPU this is.
    instance: AtomicPtr<Instance>,
    /// Its state in the image.
    state: AtomicPtr<abi::CpuState>,
    pub(crate) baton: Baton,
    /// For threads whose call is blocked.
    spin: Spin,
    /// The holder's own request is complete, and it only runs other tasks.
    draining: AtomicBool,
    pub(crate) timer: Timer,
    /// The calls whose threads wait outside.
    blocked: Blocked,
    /// Written by the signal handler of the thread that is inside.
    pub(crate) fault: FaultSlot,
}

/// The fault that a CPU reports; there can be one.
#[derive(Debug, Default)]
pub(crate) struct FaultSlot {
    pub(crate) taken: AtomicBool,
    pub(crate) fault: UnsafeCell<abi::Fault>,
}

// SAFETY: whoever sets `taken` writes `fault`, once; then only the image reads.
unsafe impl Sync for FaultSlot {}

impl Vcpu {
    /// A CPU that no thread holds, without a kernel yet.
    pub(crate) fn new() -> Vcpu {
        Vcpu {
            instance: AtomicPtr::default(),
            state: AtomicPtr::default(),
            baton: Baton::new(max_spin(), PATIENCE),
            spin: Spin::new(max_spin()),
            draining: AtomicBool::new(false),
            timer: Timer::new(),
            blocked: Blocked::default(),
            fault: FaultSlot::default(),
        }
    }

    /// Makes it a CPU of `instance`, with its state at `state`.
    ///
    /// # Safety
    ///
    /// Both live as long as this does, and no other thread has seen it.
    pub(crate) unsafe fn attach(&self, instance: &Instance, state: *mut abi::CpuState) {
        // Relaxed: other threads see the CPU later, through something else; but for
        // those that ask whether it is attached.
        self.instance
            .store(std::ptr::from_ref(instance).cast_mut(), Relaxed);
        self.state.store(state, Release);
    }

    /// Whether [`Vcpu::attach`] was called. Threads may have the kernel before it runs.
    pub(crate) fn is_attached(&self) -> bool {
        !self.state.load(Acquire).is_null()
    }

    /// The kernel whose CPU this is.
    #[inline]
    pub(crate) fn instance(&self) -> &Instance {
        // SAFETY: by the type's invariant.
        unsafe { &*self.instance.load(Relaxed) }
    }

    /// The CPU's state in the image. Only the holder may use it, except `posted`.
    #[inline]
    pub(crate) fn state(&self) -> *mut abi::CpuState {
        self.state.load(Relaxed)
    }

    /// What any thread may post.
    #[inline]
    pub(crate) fn posted(&self) -> &abi::Posted {
        // SAFETY: by the type's invariant; both words are atomic on both sides.
        unsafe { &(*self.state()).posted }
    }

    /// The pending word.
    #[inline]
    pub(crate) fn pending(&self) -> &AtomicU64 {
        &self.posted().pending
    }
}

/// The limit of spinning in ns; 0 where only one thread can run at a time. Computed once
/// per process, because it reads several files of cgroups.
fn max_spin() -> u32 {
    static SEVERAL: OnceBool = OnceBool::new();
    let several = SEVERAL.get_or_init(|| {
        std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1)
    });
    if several { MAX_SPIN } else { 0 }
}
