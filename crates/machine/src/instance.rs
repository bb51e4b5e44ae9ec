//! [`Instance`]: the state of one kernel: memory, CPUs, devices, how it ends.
//!
//! All threads that use a kernel share its [`Instance`]. `boot.rs` creates it; it lives
//! until the `Machine`, the helper threads and the last caller have dropped it.

use crate::devices::disks::Disks;
use crate::devices::environment::Environment;
use crate::devices::netdevs::NetDevices;
use crate::devices::pending::Pending;
use crate::devices::watch::Watches;
use crate::error::{DeathReport, Error};
use crate::generation::generation;
use crate::memory::Memory;
use crate::sync::lock;
use crate::vcpu::{Futex, Vcpu};
use drupe_abi as abi;
use drupe_abi::Errno;
use drupe_cpu::{Completion, Outcome};
use drupe_host::log::Log;
use drupe_host::threads::{self, JoinHandle};
use std::ffi::CString;
use std::ptr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, Weak};

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

/// Posted requests that the kernel has not taken yet. If it ends, their threads are told.
#[derive(Debug, Default)]
pub(crate) struct PostedRequests(Mutex<PostedState>);

/// # Invariants
///
/// Each address is that of a live [`Completion`]: its thread removes it, under the lock,
/// before it drops the completion.
#[derive(Debug, Default)]
struct PostedState {
    addresses: Vec<usize>,
    ended: bool,
}

impl PostedRequests {
    /// Adds a request that is about to be posted. `false`: the kernel has ended.
    pub(crate) fn insert(&self, completion: &Completion) -> bool {
        let mut state = lock(&self.0);
        if !state.ended {
            state.addresses.push(ptr::from_ref(completion) as usize);
        }
        !state.ended
    }

    /// Removes a request.
    pub(crate) fn remove(&self, completion: &Completion) {
        let address = ptr::from_ref(completion) as usize;
        lock(&self.0).addresses.retain(|&other| other != address);
    }

    /// Tells the waiting threads that the kernel has ended.
    fn abandon(&self) {
        let mut state = lock(&self.0);
        state.ended = true;
        for address in state.addresses.drain(..) {
            // SAFETY: an address here is that of a live completion, and stays so
            // while we hold the lock.
            let completion = unsafe { &*(address as *const Completion) };
            if let Some(sleeper) = completion.complete(Outcome::Abandoned) {
                sleeper.wake(&Futex);
            }
        }
    }
}

/// One kernel.
///
/// # Invariants
///
/// `image` was filled in by the entry point of the image in `memory`. The
/// kernel keeps the address of `boot` and of this value, so neither moves: it
/// lives in an [`Arc`].
#[derive(Debug)]
pub(crate) struct Instance {
    /// A number that no other kernel of this process has or had.
    pub(crate) id: u64,
    /// [`generation`] of the process that booted it.
    pub(crate) generation: u32,
    /// Clock, console and random source.
    pub(crate) environment: Environment,
    pub(crate) memory: Memory,
    pub(crate) image: OnceLock<abi::Image>,
    pub(crate) boot: OnceLock<BootBlock>,
    /// Its CPUs: one, so far.
    pub(crate) vcpus: Box<[Vcpu]>,
    pub(crate) disks: Disks,
    pub(crate) io_queue: drupe_cpu::work::Queue<Pending>,
    pub(crate) netdevs: NetDevices,
    pub(crate) watches: Watches,
    /// A reference to itself, for threads that are started later.
    pub(crate) myself: Weak<Instance>,
    /// The kernel's own threads: timer and I/O.
    pub(crate) threads: Mutex<Vec<JoinHandle<()>>>,
    pub(crate) log: Log,
    /// Handle of process 1, which makes the other host tasks.
    pub(crate) init_task: AtomicU64,
    /// Posted requests, which belong to no task.
    pub(crate) posted: PostedRequests,
    pub(crate) end: OnceLock<End>,
}

/// The structures to which the image keeps pointers.
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

impl Instance {
    /// What the image told about itself; set before other threads see the kernel.
    #[inline]
    pub(crate) fn image(&self) -> &abi::Image {
        self.image.get().expect("set while booting")
    }

    /// Whether the kernel belongs to a parent process.
    pub(crate) fn is_forked(&self) -> bool {
        self.generation != generation()
    }

    /// Fails in a child of fork(2). Called before any lock is taken: another thread of
    /// the parent may have held it at the fork, and it stays locked in the child.
    ///
    /// # Errors
    ///
    /// [`Error::Forked`].
    pub(crate) fn check_forked(&self) -> Result<(), Error> {
        match self.is_forked() {
            true => Err(Error::Forked),
            false => Ok(()),
        }
    }

    /// The CPU that the calling thread is to use.
    #[inline]
    pub(crate) fn vcpu(&self) -> &Vcpu {
        &self.vcpus[0]
    }

    /// The error of calls after the kernel has ended.
    pub(crate) fn end_error(&self) -> Error {
        match self.end.get() {
            Some(end) => end.clone().into(),
            // Retired before the end was noted: cannot be, `finish` notes first.
            None => Error::Halted,
        }
    }

    /// Starts a library thread for the kernel. No signal handler of the program runs on
    /// it.
    pub(crate) fn spawn(&self, name: &str, serve: fn(&Instance)) -> std::io::Result<()> {
        let kernel = self.myself.upgrade().expect("called through an Arc");
        let handle = threads::spawn(name, move || serve(&kernel))?;
        lock(&self.threads).push(handle);
        Ok(())
    }

    /// Waits until the kernel's library threads have ended, which they do after the
    /// kernel has.
    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut *lock(&self.threads));
        for handle in threads {
            // One of them may be who drops the last machine.
            if !handle.is_current() {
                // A panic in one of them has been printed.
                let _ = handle.join();
            }
        }
    }

    /// Called by the holder of `vcpu` when the kernel has stopped: notes why, and tells
    /// all waiting threads.
    pub(crate) fn finish(&self, vcpu: &Vcpu) {
        // SAFETY: the caller holds the CPU, so the fields are ours to read; the
        // message is in the image and NUL-terminated.
        let (stop, message) = unsafe {
            let state = &*vcpu.state();
            let message = state.stop_message;
            let text = if message.is_null() {
                "the kernel faulted while it reported a fault".into()
            } else {
                std::ffi::CStr::from_ptr(message).to_string_lossy()
            };
            (state.stop, text)
        };
        let end = if stop == abi::stop::PANIC {
            End::Dead(Arc::new(DeathReport {
                message: message.trim_end().to_owned(),
                log: self.log.text(),
            }))
        } else {
            End::Halted
        };
        self.end_with(end);
    }

    /// Ends the kernel: it is not entered any more. The caller holds its CPU.
    pub(crate) fn end_with(&self, end: End) {
        let _ = self.end.set(end);
        for vcpu in &self.vcpus {
            vcpu.baton.retire(&Futex);
            vcpu.timer.quit();
            // SAFETY: retired, and held by the caller before.
            unsafe { vcpu.abandon_blocked() };
        }
        self.io_queue.quit();
        self.posted.abandon();
        self.watches.end();
    }
}

/// Decodes a request's result: a negative errno, or a value.
pub(crate) fn result(ret: i64) -> Result<usize, Errno> {
    if (-4095..0).contains(&ret) {
        Err(Errno::from_raw_os_error(-ret as i32))
    } else {
        Ok(ret as usize)
    }
}
