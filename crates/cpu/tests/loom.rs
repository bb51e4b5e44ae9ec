//! loom models: every interleaving of a few threads, with so many preemptions.
//! Run by `cargo xtask loom`. `LOOM_MAX_PREEMPTIONS=4` takes ten minutes.
//!
//! What loom cannot see: it treats SeqCst loads and stores as weaker than they
//! are, which can only add interleavings, and it does not model the futex's own
//! spurious returns beyond what [`ModelFutex`] does.
#![cfg(loom)]

#[path = "loom/deadline.rs"]
mod deadline;
#[path = "loom/work.rs"]
mod work;

use drupe_cpu::inbox::{self, Post};
use drupe_cpu::{
    Baton, Completion, Halted, Outcome, Park, PostIrq, Refused, Release, Spin, Waiter,
};
use loom::cell::UnsafeCell;
use loom::sync::atomic::Ordering::{Relaxed, SeqCst};
use loom::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use std::time::{Duration, Instant};

/// A futex: the compare and the sleep are one step, as in the kernel.
#[derive(Default)]
struct ModelFutex {
    lock: Mutex<()>,
    woken: Condvar,
}

impl Park for ModelFutex {
    /// A deadline passes at once: whether before or after what else happens is
    /// up to the interleaving.
    fn wait(&self, word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> bool {
        let guard = self.lock.lock().unwrap();
        if word.load(SeqCst) == expected {
            if deadline.is_some() {
                return true;
            }
            drop(self.woken.wait(guard).unwrap());
        }
        false
    }
    fn wake(&self, _word: *const AtomicU32) {
        let _guard = self.lock.lock().unwrap();
        self.woken.notify_all();
    }
}

/// A CPU with a kernel that counts entries and interrupts.
struct Kernel {
    cpu: NewBaton,
    pending: AtomicU64Zero,
    futex: ModelFutex,
    /// Only the holder touches it: loom reports a race otherwise.
    entries: Entries,
    handled: AtomicUsizeZero,
    inbox: AtomicU64Zero,
    /// What may be posted, by number less 1.
    requests: [Request; 2],
    /// What an interrupt of [`NEWS_LINE`] is about, a bit each: the links of
    /// `drupe-machine` (`devices/netdevs.rs`).
    news: AtomicU64Zero,
}

/// The line whose handler takes the news.
const NEWS_LINE: u32 = 4;

/// The line whose handler takes what was posted.
const INBOX_LINE: u32 = 5;

/// A request that its poster writes, and the holder of the CPU reads.
struct Request {
    number: u64,
    next: AtomicU64,
    argument: UnsafeCell<u64>,
    accepted: AtomicUsize,
}

// SAFETY: what the model checks is that poster and holder take turns.
unsafe impl Sync for Request {}

impl Request {
    fn new(number: u64) -> Request {
        Request {
            number,
            next: AtomicU64::new(0),
            argument: UnsafeCell::new(0),
            accepted: AtomicUsize::new(0),
        }
    }
}

impl Post for Request {
    fn address(&self) -> u64 {
        self.number
    }
    fn next(&self) -> &AtomicU64 {
        &self.next
    }
}

/// Without spinning: loom tries every interleaving anyway.
struct NewBaton(Baton);
impl Default for NewBaton {
    fn default() -> Self {
        Self(Baton::new(0, Duration::ZERO))
    }
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

impl Default for Kernel {
    fn default() -> Self {
        Kernel {
            cpu: NewBaton::default(),
            pending: AtomicU64Zero::default(),
            futex: ModelFutex::default(),
            entries: Entries::default(),
            handled: AtomicUsizeZero::default(),
            inbox: AtomicU64Zero::default(),
            requests: [1, 2].map(Request::new),
            news: AtomicU64Zero::default(),
        }
    }
}

impl Kernel {
    /// What a thread does inside: takes the pending interrupts.
    fn enter(&self) {
        self.entries.0.with_mut(|entries| {
            // SAFETY: the caller holds the CPU; loom checks that this is true.
            unsafe { *entries += 1 }
        });
        let taken = self.pending.0.swap(0, SeqCst) & !(1 << drupe_cpu::YIELD_LINE);
        self.handled
            .0
            .fetch_add(taken.count_ones() as usize, Relaxed);
        if taken & 1 << NEWS_LINE != 0 {
            self.news.0.swap(0, SeqCst);
        }
        if taken & 1 << INBOX_LINE != 0 {
            self.accept();
        }
    }

    /// What the image does with its inbox.
    fn accept(&self) {
        let mut number = inbox::take(&self.inbox.0);
        while let Some(request) = (number as usize)
            .checked_sub(1)
            .map(|index| &self.requests[index])
        {
            // Relaxed: taken with the list.
            number = request.next.load(Relaxed);
            // SAFETY: taken, so ours; loom checks that.
            request
                .argument
                .with(|argument| assert_eq!(unsafe { *argument }, request.number));
            request.accepted.fetch_add(1, Relaxed);
        }
    }

    /// Posts request `index`, and has it accepted.
    fn post_request(&self, index: usize) {
        let request = &self.requests[index];
        // SAFETY: not posted yet, so the poster's.
        request
            .argument
            .with_mut(|argument| unsafe { *argument = request.number });
        inbox::post(&self.inbox.0, request);
        let _ = self.post(INBOX_LINE);
    }

    fn release(&self) {
        while self.cpu.0.release(&self.pending.0, &self.futex) == Release::Enter {
            self.enter();
        }
    }

    fn acquire(&self, deadline: Option<Instant>) -> Result<(), Refused> {
        if self.cpu.0.try_acquire() {
            return Ok(());
        }
        let waiter = Default::default();
        self.cpu
            .0
            .acquire(&waiter, &self.pending.0, deadline, &self.futex)
    }

    fn call(&self) -> Result<(), Refused> {
        self.acquire(None)?;
        self.enter();
        self.release();
        Ok(())
    }

    /// A long call: in the middle of it, others may have a turn.
    fn long_call(&self) -> Result<(), Halted> {
        self.acquire(None).map_err(|_| Halted)?;
        self.enter();
        let waiter = Default::default();
        self.cpu
            .0
            .hand_over(&waiter, &self.pending.0, &self.futex)?;
        self.enter();
        self.release();
        Ok(())
    }

    fn post(&self, line: u32) -> PostIrq {
        let outcome = self.cpu.0.post_irq(&self.pending.0, line);
        if outcome == PostIrq::Enter {
            self.enter();
            self.release();
        }
        outcome
    }

    /// There is news of link `number`.
    fn wake(&self, number: u32) {
        self.news.0.fetch_or(1 << number, SeqCst);
        let _ = self.post(NEWS_LINE);
    }

    fn halt(&self) -> Result<(), Refused> {
        self.acquire(None)?;
        self.enter();
        self.cpu.0.retire(&self.futex);
        Ok(())
    }

    fn assert_all_handled(&self, posted: usize) {
        assert_eq!(
            self.pending.0.load(SeqCst) & !(1 << drupe_cpu::YIELD_LINE),
            0,
            "an interrupt is still pending"
        );
        assert_eq!(self.handled.0.load(SeqCst), posted, "an interrupt was lost");
    }
}

/// With `preemptions`, unless the environment says otherwise.
fn builder(preemptions: usize) -> loom::model::Builder {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder
}

/// Runs `threads` at once, in every order; then `check`. With threads that demand
/// at their first failure, and with some that never do.
fn model(threads: &'static [fn(&Kernel)], check: fn(&Kernel)) {
    for patience in [Duration::ZERO, Duration::MAX] {
        model_with(patience, threads, check);
    }
}

fn model_with(patience: Duration, threads: &'static [fn(&Kernel)], check: fn(&Kernel)) {
    builder(if threads.len() > 2 { 2 } else { 3 }).check(move || {
        let kernel = Arc::new(Kernel {
            cpu: NewBaton(Baton::new(0, patience)),
            ..Kernel::default()
        });
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

/// A holder that lets others have a turn gets the CPU back.
#[test]
fn hand_over_acquire() {
    model(
        &[|kernel| kernel.long_call().expect("nobody halts"), calls],
        |_| {},
    );
}

#[test]
fn hand_over_hand_over() {
    fn long(kernel: &Kernel) {
        kernel.long_call().expect("nobody halts");
    }
    model(&[long, long], |_| {});
}

#[test]
fn hand_over_acquire_halt() {
    model(
        &[
            |kernel| {
                let _ = kernel.long_call();
            },
            |kernel| {
                let _ = kernel.call();
            },
            |kernel| kernel.halt().expect("nobody else halts"),
        ],
        |kernel| assert!(kernel.cpu.0.is_halted()),
    );
}

/// Who gives up leaves nothing behind, and takes nobody's turn with it.
#[test]
fn acquire_with_deadline_release() {
    fn hurries(kernel: &Kernel) {
        match kernel.acquire(Some(Instant::now())) {
            Ok(()) => {
                kernel.enter();
                kernel.release();
            }
            Err(refused) => assert_eq!(refused, Refused::TimedOut),
        }
    }
    model(&[calls, hurries], |kernel| calls(kernel));
    model(&[calls, hurries, calls], |kernel| calls(kernel));
}

#[test]
fn acquire_cancel() {
    builder(3).check(|| {
        let kernel = Arc::new(Kernel::default());
        let waiter = std::sync::Arc::new(Waiter::new());
        let waits = {
            let (kernel, waiter) = (Arc::clone(&kernel), std::sync::Arc::clone(&waiter));
            thread::spawn(move || {
                let acquired =
                    kernel
                        .cpu
                        .0
                        .acquire(&waiter, &kernel.pending.0, None, &kernel.futex);
                if acquired.is_ok() {
                    kernel.enter();
                    kernel.release();
                }
            })
        };
        calls(&kernel);
        waiter.cancel(&kernel.futex);
        calls(&kernel);
        waits.join().unwrap();
        calls(&kernel);
    });
}

/// Who hands the CPU over gets it back, however often it is cancelled: by the
/// one who has its turn meanwhile, so that two threads do.
#[test]
fn hand_over_cancel() {
    builder(5).check(|| {
        let kernel = Arc::new(Kernel::default());
        let waiter = std::sync::Arc::new(Waiter::new());
        let hands_over = {
            let (kernel, waiter) = (Arc::clone(&kernel), std::sync::Arc::clone(&waiter));
            thread::spawn(move || {
                kernel.acquire(None).expect("nobody halts");
                let cpu = &kernel.cpu.0;
                let back = cpu.hand_over(&waiter, &kernel.pending.0, &kernel.futex);
                back.expect("nobody halts");
                kernel.enter();
                kernel.release();
            })
        };
        kernel.acquire(None).expect("nobody halts");
        kernel.enter();
        waiter.cancel(&kernel.futex);
        waiter.cancel(&kernel.futex);
        kernel.release();
        hands_over.join().unwrap();
    });
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
fn news_news_release() {
    model(
        &[calls, |kernel| kernel.wake(0), |kernel| kernel.wake(1)],
        |kernel| assert_eq!(kernel.news.0.load(SeqCst), 0, "news was lost"),
    );
}

/// What is posted beside a call, or beside another post, is accepted once.
#[test]
fn post_post_release() {
    fn accepted_once(kernel: &Kernel) {
        for request in &kernel.requests {
            assert_eq!(request.accepted.load(SeqCst), 1, "{}", request.number);
        }
    }
    model(
        &[
            calls,
            |kernel| kernel.post_request(0),
            |kernel| kernel.post_request(1),
        ],
        accepted_once,
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
        |kernel| assert_eq!(kernel.call(), Err(Refused::Halted)),
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
        |kernel| assert!(kernel.cpu.0.is_halted()),
    );
}

#[test]
fn halt_halt() {
    fn halts(kernel: &Kernel) {
        let _ = kernel.halt();
    }
    model(&[halts, halts], |kernel| assert!(kernel.cpu.0.is_halted()));
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
    builder(3).check(|| {
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
                    // SAFETY: not complete yet, and nobody else writes.
                    call.result.with_mut(|result| unsafe { *result = 42 });
                }
                if let Some(sleeper) = call.completion.complete(outcome) {
                    sleeper.wake(futex);
                }
            })
        };
        let handles: Vec<_> = outcomes.iter().map(|&outcome| publish(outcome)).collect();
        let (call, futex) = &*shared;
        let outcome = call
            .completion
            .wait(&Spin::new(0), None, futex)
            .expect("no deadline");
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
