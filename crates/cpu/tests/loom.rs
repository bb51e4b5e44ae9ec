//! loom models: every interleaving of a few threads, with two preemptions.
//! Run by `cargo xtask loom`.
//!
//! What loom cannot see: it treats SeqCst loads and stores as weaker than they
//! are, which can only add interleavings, and it does not model the futex's own
//! spurious returns beyond what [`ModelFutex`] does.
#![cfg(loom)]

use drupe_cpu::{Completion, Cpu, Halted, Outcome, Park, PostIrq, Release};
use loom::cell::UnsafeCell;
use loom::sync::atomic::Ordering::{Relaxed, SeqCst};
use loom::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// A futex: the compare and the sleep are one step, as in the kernel.
#[derive(Default)]
struct ModelFutex {
    lock: Mutex<()>,
    woken: Condvar,
}

impl Park for ModelFutex {
    fn wait(&self, word: &AtomicU32, expected: u32) {
        let guard = self.lock.lock().unwrap();
        if word.load(SeqCst) == expected {
            drop(self.woken.wait(guard).unwrap());
        }
    }
    fn wake_one(&self, _word: &AtomicU32) {
        let _guard = self.lock.lock().unwrap();
        self.woken.notify_one();
    }
    fn wake_all(&self, _word: &AtomicU32) {
        let _guard = self.lock.lock().unwrap();
        self.woken.notify_all();
    }
}

/// A CPU with a kernel that counts entries and interrupts.
#[derive(Default)]
struct Kernel {
    cpu: Cpu,
    pending: AtomicU64Zero,
    futex: ModelFutex,
    /// Only the holder touches it: loom reports a race otherwise.
    entries: Entries,
    handled: AtomicUsizeZero,
}

/// loom's atomics have no `Default`.
struct AtomicU64Zero(AtomicU64);
impl Default for AtomicU64Zero {
    fn default() -> Self {
        Self(AtomicU64::new(0))
    }
}
struct AtomicUsizeZero(AtomicUsize);
impl Default for AtomicUsizeZero {
    fn default() -> Self {
        Self(AtomicUsize::new(0))
    }
}
struct Entries(UnsafeCell<usize>);
impl Default for Entries {
    fn default() -> Self {
        Self(UnsafeCell::new(0))
    }
}
// SAFETY: what the models check is that only the holder touches it.
unsafe impl Sync for Entries {}

impl Kernel {
    /// What a thread does inside: takes the pending interrupts.
    fn enter(&self) {
        self.entries.0.with_mut(|entries| {
            // SAFETY: the caller holds the CPU; loom checks that this is true.
            unsafe { *entries += 1 }
        });
        let taken = self.pending.0.swap(0, SeqCst);
        self.handled
            .0
            .fetch_add(taken.count_ones() as usize, Relaxed);
    }

    fn release(&self) {
        while self.cpu.release(&self.pending.0, &self.futex) == Release::Enter {
            self.enter();
        }
    }

    fn call(&self) -> Result<(), Halted> {
        self.cpu.acquire(&self.futex)?;
        self.enter();
        self.release();
        Ok(())
    }

    fn post(&self, line: u32) -> PostIrq {
        let outcome = self.cpu.post_irq(&self.pending.0, line);
        if outcome == PostIrq::Enter {
            self.enter();
            self.release();
        }
        outcome
    }

    fn halt(&self) -> Result<(), Halted> {
        self.cpu.acquire(&self.futex)?;
        self.enter();
        self.cpu.retire(&self.futex);
        Ok(())
    }

    fn assert_all_handled(&self, posted: usize) {
        assert_eq!(
            self.pending.0.load(SeqCst),
            0,
            "an interrupt is still pending"
        );
        assert_eq!(self.handled.0.load(SeqCst), posted, "an interrupt was lost");
    }
}

/// Runs `threads` at once, in every order; then `check`.
fn model(threads: &'static [fn(&Kernel)], check: fn(&Kernel)) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(move || {
        let kernel = Arc::new(Kernel::default());
        let (first, rest) = threads.split_first().expect("at least one thread");
        let handles: Vec<_> = rest
            .iter()
            .map(|run| {
                let kernel = Arc::clone(&kernel);
                thread::spawn(move || run(&kernel))
            })
            .collect();
        first(&kernel);
        for handle in handles {
            handle.join().unwrap();
        }
        check(&kernel);
    });
}

fn calls(kernel: &Kernel) {
    kernel.call().expect("nobody halts");
}

#[test]
fn acquire_acquire() {
    model(&[calls, calls], |_| {});
}

#[test]
fn acquire_acquire_acquire() {
    model(&[calls, calls, calls], |_| {});
}

#[test]
fn release_post_irq() {
    model(
        &[calls, |kernel| {
            let _ = kernel.post(3);
        }],
        |kernel| kernel.assert_all_handled(1),
    );
}

#[test]
fn post_irq_post_irq() {
    model(
        &[
            |kernel| {
                let _ = kernel.post(3);
            },
            |kernel| {
                let _ = kernel.post(4);
            },
        ],
        |kernel| kernel.assert_all_handled(2),
    );
}

#[test]
fn release_post_irq_post_irq() {
    model(
        &[
            calls,
            |kernel| {
                let _ = kernel.post(3);
            },
            |kernel| {
                let _ = kernel.post(4);
            },
        ],
        |kernel| kernel.assert_all_handled(2),
    );
}

#[test]
fn halt_acquire() {
    model(
        &[
            |kernel| kernel.halt().expect("nobody else halts"),
            |kernel| {
                let _ = kernel.call();
            },
        ],
        |kernel| assert_eq!(kernel.call(), Err(Halted)),
    );
}

#[test]
fn halt_acquire_acquire() {
    model(
        &[
            |kernel| kernel.halt().expect("nobody else halts"),
            |kernel| {
                let _ = kernel.call();
            },
            |kernel| {
                let _ = kernel.call();
            },
        ],
        |kernel| assert!(kernel.cpu.is_halted()),
    );
}

#[test]
fn halt_halt() {
    fn halts(kernel: &Kernel) {
        let _ = kernel.halt();
    }
    model(&[halts, halts], |kernel| assert!(kernel.cpu.is_halted()));
}

#[test]
fn halt_post_irq() {
    model(
        &[
            |kernel| kernel.halt().expect("nobody else halts"),
            |kernel| {
                let _ = kernel.post(3);
            },
        ],
        |kernel| assert_eq!(kernel.post(4), PostIrq::Halted),
    );
}

/// A call whose result the publisher writes before it publishes.
struct Call {
    completion: Completion,
    result: UnsafeCell<u32>,
}

// SAFETY: what the model checks is that publisher and waiter take turns.
unsafe impl Sync for Call {}

#[test]
fn complete_wait() {
    waits_for(&[Outcome::Done]);
}

/// The kernel stops while another thread publishes what it has completed.
#[test]
fn complete_abandon_wait() {
    waits_for(&[Outcome::Done, Outcome::Abandoned]);
}

/// One thread per outcome publishes it; the waiter gets one, and the result
/// where it is `Done`. A later publish changes nothing.
fn waits_for(outcomes: &'static [Outcome]) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let shared = Arc::new((
            Call {
                completion: Completion::new(),
                result: UnsafeCell::new(0),
            },
            ModelFutex::default(),
        ));
        let publish = |outcome| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (call, futex) = &*shared;
                if outcome == Outcome::Done {
                    // SAFETY: not published yet, and nobody else writes.
                    call.result.with_mut(|result| unsafe { *result = 42 });
                }
                call.completion.publish(outcome, futex);
            })
        };
        let handles: Vec<_> = outcomes.iter().map(|&outcome| publish(outcome)).collect();
        let (call, futex) = &*shared;
        let outcome = call.completion.wait(0, futex);
        assert!(outcomes.contains(&outcome));
        if outcome == Outcome::Done {
            // SAFETY: published.
            call.result
                .with(|result| assert_eq!(unsafe { *result }, 42));
        }
        for handle in handles {
            handle.join().unwrap();
        }
        assert_eq!(call.completion.poll(), Some(outcome), "it changed its mind");
    });
}
