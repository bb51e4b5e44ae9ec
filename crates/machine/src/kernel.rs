//! One kernel: its memory, its CPU, and the host's side of it.
//!
//! [`Kernel`] is what the threads of a machine share. It is created by
//! `boot.rs` and lives until the last of machine, helper thread and passing
//! callers let go of it.

use crate::devices::disks::Disks;
use crate::devices::host::HostSide;
use crate::devices::io_threads::IoThreads;
use crate::devices::links::Links;
use crate::devices::watch::Watches;
use crate::error::{DeathReport, Error};
use crate::memory::Memory;
use crate::process::fork;
use crate::vcpu::timer::Timer;
use drupe_abi as abi;
use drupe_abi::Errno;
use drupe_cpu::{Completion, Cpu, Outcome, Park, Spin};
use drupe_host::futex;
use drupe_host::log::Log;
use std::cell::UnsafeCell;
use std::collections::HashSet;
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Instant;

const _: () = assert!(drupe_cpu::YIELD_LINE == abi::irq::YIELD);

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

/// How a kernel ended.
#[derive(Debug, Clone)]
pub(crate) enum End {
    Halted,
    Dead(Arc<DeathReport>),
}

impl From<End> for Error {
    fn from(end: End) -> Error {
        match end {
            End::Halted => Error::Halted,
            End::Dead(report) => Error::Dead(report),
        }
    }
}

/// The calls that wait outside, by the address of their completion.
///
/// # Invariants
///
/// Each address is that of a live [`Completion`]: its thread removes it before
/// it lets go of it, under the lock.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    pub(crate) waiting: HashSet<usize>,
    pub(crate) ended: bool,
}

/// One kernel.
///
/// # Invariants
///
/// `image` was filled in by the entry point of the image in `memory`. The
/// kernel keeps the address of `boot` and of this value, so neither moves: it
/// lives in an [`Arc`].
#[derive(Debug)]
pub(crate) struct Kernel {
    /// Tells kernels of this process apart, also those that are gone.
    pub(crate) id: u64,
    /// [`fork::generation`] of the process that booted it.
    pub(crate) generation: u32,
    /// Clock, console and random source.
    pub(crate) host: HostSide,
    pub(crate) memory: Memory,
    pub(crate) image: OnceLock<abi::Image>,
    pub(crate) boot: OnceLock<BootBlock>,
    pub(crate) baton: Cpu,
    /// For threads whose call is blocked.
    pub(crate) spin: Spin,
    /// The holder has done what it came for and only runs what is left.
    pub(crate) draining: AtomicBool,
    pub(crate) timer: Timer,
    pub(crate) disks: Disks,
    pub(crate) io_threads: IoThreads,
    pub(crate) links: Links,
    pub(crate) watches: Watches,
    /// For threads that are started later.
    pub(crate) myself: Weak<Kernel>,
    /// The kernel's own threads: timer and I/O.
    pub(crate) threads: Mutex<Vec<JoinHandle<()>>>,
    pub(crate) log: Log,
    /// Handle of process 1, which makes the other host tasks.
    pub(crate) init_task: AtomicU64,
    /// One request at a time for process 1.
    pub(crate) init_lock: Mutex<()>,
    pub(crate) waiters: Mutex<Waiters>,
    pub(crate) end: OnceLock<End>,
    /// Written by the signal handler of the thread that is inside.
    pub(crate) fault: FaultSlot,
}

/// What the image keeps pointers to.
#[derive(Debug)]
pub(crate) struct BootBlock {
    pub(crate) boot: abi::Boot,
    pub(crate) _command_line: CString,
}

// SAFETY: the pointers are to things that live as long as the kernel does and
// that are never written.
unsafe impl Send for BootBlock {}
// SAFETY: as above.
unsafe impl Sync for BootBlock {}

/// The one fault a kernel may report.
#[derive(Debug, Default)]
pub(crate) struct FaultSlot {
    pub(crate) taken: AtomicBool,
    pub(crate) fault: UnsafeCell<abi::Fault>,
}

// SAFETY: whoever sets `taken` writes `fault`, once; then only the image reads.
unsafe impl Sync for FaultSlot {}

/// Locks `mutex`; a panic of another holder has not broken what it protects.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kernel {
    /// The image's answers; set before anybody else sees the kernel.
    #[inline]
    pub(crate) fn image(&self) -> &abi::Image {
        self.image.get().expect("set while booting")
    }

    /// Whether it is the kernel of a parent process.
    pub(crate) fn is_forked(&self) -> bool {
        self.generation != fork::generation()
    }

    /// The pending word of the CPU.
    #[inline]
    pub(crate) fn pending(&self) -> &AtomicU64 {
        // SAFETY: `cpus` points into the image, which lives as long as `self`;
        // the word is atomic on both sides.
        unsafe { &(*self.image().cpus).pending }
    }

    /// Why there is no kernel to call any more.
    pub(crate) fn end_error(&self) -> Error {
        match self.end.get() {
            Some(end) => end.clone().into(),
            // Retired before the end was noted: cannot be, `finish` notes first.
            None => Error::Halted,
        }
    }

    /// Starts a thread of the kernel's own, if the host lets us.
    pub(crate) fn spawn(&self, name: &str, serve: fn(&Kernel)) -> std::io::Result<()> {
        let kernel = self.myself.upgrade().expect("called through an Arc");
        let handle = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || serve(&kernel))?;
        lock(&self.threads).push(handle);
        Ok(())
    }

    /// Waits until the kernel's own threads have ended; they end when it has.
    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut *lock(&self.threads));
        for handle in threads {
            // One of them may be who drops the last machine.
            if handle.thread().id() != std::thread::current().id() {
                // A panic in one of them has been printed.
                let _ = handle.join();
            }
        }
    }

    /// The holder saw the kernel stop: note why, and tell everybody.
    pub(crate) fn finish(&self) {
        // SAFETY: the caller holds the CPU, so the fields are ours to read; the
        // message is in the image and NUL-terminated.
        let (stop, message) = unsafe {
            let cpu = &*self.image().cpus;
            let message = cpu.stop_message;
            let text = if message.is_null() {
                "the kernel faulted while it reported a fault".into()
            } else {
                std::ffi::CStr::from_ptr(message).to_string_lossy()
            };
            (cpu.stop, text)
        };
        let end = if stop == abi::stop::PANIC {
            End::Dead(Arc::new(DeathReport {
                message: message.trim_end().to_owned(),
                log: self.log.text(),
            }))
        } else {
            End::Halted
        };
        let _ = self.end.set(end);
        self.baton.retire(&Futex);
        self.timer.quit();
        self.io_threads.quit();
        let mut waiters = lock(&self.waiters);
        waiters.ended = true;
        for address in waiters.waiting.drain() {
            // SAFETY: an address in the set is that of a live completion, and
            // stays so while we hold the lock.
            let completion = unsafe { &*(address as *const Completion) };
            if let Some(sleeper) = completion.complete(Outcome::Abandoned) {
                sleeper.wake(&Futex);
            }
        }
        drop(waiters);
        self.watches.end();
    }
}

/// The result of a request as the kernel encodes it.
pub(crate) fn result(ret: i64) -> Result<usize, Errno> {
    if (-4095..0).contains(&ret) {
        Err(Errno::from_raw_os_error(-ret as i32))
    } else {
        Ok(ret as usize)
    }
}
