//! A stress test of the baton with real threads, which is too long for loom. A counter
//! stands for the kernel. `cargo xtask tsan` runs it under ThreadSanitizer, which reports
//! a kernel that two threads are in at once.
#![cfg(not(loom))]

use drupe_cpu::{Baton, Completion, Outcome, Park, PostIrq, Refused, Release, Spin, Waiter};
use std::cell::UnsafeCell;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A futex: words share buckets, and a wake is for all that sleep in its bucket.
#[derive(Default)]
struct Futex([(Mutex<()>, Condvar); 32]);

impl Futex {
    fn bucket(&self, word: *const AtomicU32) -> &(Mutex<()>, Condvar) {
        &self.0[word as usize / size_of::<AtomicU32>() % self.0.len()]
    }
}

impl Park for Futex {
    fn wait(&self, word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> bool {
        let (lock, woken) = self.bucket(word);
        let guard = lock.lock().unwrap();
        if word.load(SeqCst) == expected {
            match deadline {
                None => drop(woken.wait(guard).unwrap()),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    drop(woken.wait_timeout(guard, left).unwrap());
                }
            }
        }
        deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn wake(&self, word: *const AtomicU32) {
        let (lock, woken) = self.bucket(word);
        let _guard = lock.lock().unwrap();
        woken.notify_all();
    }
}

/// What only the holder of the CPU touches.
#[derive(Default)]
struct Inside {
    entries: u64,
    interrupts: u64,
    /// Calls that block until somebody enters later.
    blocked: Vec<Arc<Completion>>,
}

/// A kernel that does nothing but count.
struct Kernel {
    cpu: Baton,
    pending: AtomicU64,
    futex: Futex,
    spin: Spin,
    inside: UnsafeCell<Inside>,
}

// SAFETY: only the holder of the CPU touches `inside`: that is what is tested.
unsafe impl Sync for Kernel {}

impl Kernel {
    fn new(max_spin: u32) -> Kernel {
        Kernel {
            cpu: Baton::new(max_spin, Duration::from_micros(200)),
            pending: AtomicU64::new(0),
            futex: Futex::default(),
            spin: Spin::new(max_spin),
            inside: UnsafeCell::default(),
        }
    }

    /// The holder's one entry: takes interrupts, wakes who was blocked before,
    /// leaves a call blocked.
    fn enter(&self, block: Option<Arc<Completion>>) {
        // SAFETY: the caller holds the CPU.
        let inside = unsafe { &mut *self.inside.get() };
        inside.entries += 1;
        let lines = self.pending.fetch_and(1 << drupe_cpu::YIELD_LINE, SeqCst);
        inside.interrupts |= lines;
        for call in inside.blocked.drain(..) {
            if let Some(sleeper) = call.complete(Outcome::Done) {
                sleeper.wake(&self.futex);
            }
        }
        inside.blocked.extend(block);
    }

    fn release(&self) {
        while self.cpu.release(&self.pending, &self.futex) == Release::Enter {
            self.enter(None);
        }
    }

    /// One random thing that a thread does; false: the kernel has halted.
    fn step(&self, waiter: &Arc<Waiter>, random: u64) -> bool {
        let soon = || Some(Instant::now() + Duration::from_micros(random >> 8 & 255));
        match random & 15 {
            0..4 => {
                let line = 2 + (random >> 8) % 62;
                match self.cpu.post_irq(&self.pending, line as u32) {
                    PostIrq::Enter => {
                        self.enter(None);
                        self.release();
                    }
                    PostIrq::Left => {}
                    PostIrq::Halted => return false,
                }
                return true;
            }
            kind => {
                let deadline = if kind < 8 { soon() } else { None };
                if !self.cpu.try_acquire() {
                    let acquired = self
                        .cpu
                        .acquire(waiter, &self.pending, deadline, &self.futex);
                    match acquired {
                        Ok(()) => {}
                        Err(Refused::Halted) => return false,
                        Err(Refused::TimedOut | Refused::Cancelled) => return true,
                    }
                }
            }
        }
        let call = (random & 16 != 0).then(|| Arc::new(Completion::new()));
        self.enter(call.clone());
        if random & 32 != 0 {
            let back = self.cpu.hand_over(waiter, &self.pending, &self.futex);
            if back.is_err() {
                return false;
            }
            self.enter(None);
        }
        self.release();
        if let Some(call) = call {
            // Whoever enters next completes it; if nobody does, we do.
            while call.wait(&self.spin, soon(), &self.futex).is_none() {
                match self.cpu.post_irq(&self.pending, 2) {
                    PostIrq::Enter => {
                        self.enter(None);
                        self.release();
                    }
                    PostIrq::Left => {}
                    PostIrq::Halted => return false,
                }
            }
        }
        true
    }
}

/// A xorshift generator.
fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random
}

fn seed(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn storm(max_spin: u32, threads: u64, steps: u32) {
    let kernel = Kernel::new(max_spin);
    let waiters: Vec<Arc<Waiter>> = (0..threads).map(|_| Arc::default()).collect();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (1..)
            .zip(&waiters)
            .map(|(number, waiter)| {
                let kernel = &kernel;
                scope.spawn(move || {
                    let mut random = seed(number);
                    (0..steps).all(|_| kernel.step(waiter, next(&mut random)))
                })
            })
            .collect();
        // Somebody who cancels whoever waits.
        scope.spawn(|| {
            let mut random = 1;
            while !ended.load(Relaxed) {
                let victim = next(&mut random) % threads;
                waiters[victim as usize].cancel(&kernel.futex);
                thread::sleep(Duration::from_micros(50));
            }
        });
        let results: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        ended.store(true, Relaxed);
        assert!(
            results
                .into_iter()
                .all(|result| result.is_ok_and(|all| all)),
            "halted before the end"
        );
    });
    assert_eq!(kernel.pending.load(SeqCst) & !2, 0, "a lost interrupt");

    // The end, with everybody at work again.
    thread::scope(|scope| {
        for (number, waiter) in (1..).zip(&waiters) {
            let kernel = &kernel;
            scope.spawn(move || {
                let mut random = seed(number);
                while kernel.step(waiter, next(&mut random)) {}
            });
        }
        let waiter = Arc::default();
        let acquired = kernel
            .cpu
            .acquire(&waiter, &kernel.pending, None, &kernel.futex);
        acquired.expect("nobody else halts it");
        // SAFETY: we hold the CPU, and retire it.
        let inside = unsafe { &mut *kernel.inside.get() };
        let blocked = std::mem::take(&mut inside.blocked);
        kernel.cpu.retire(&kernel.futex);
        for call in blocked {
            if let Some(sleeper) = call.complete(Outcome::Abandoned) {
                sleeper.wake(&kernel.futex);
            }
        }
    });
    assert!(kernel.cpu.is_halted());
}

#[test]
fn spinning() {
    storm(5000, 4, 20_000);
}

#[test]
fn sleeping() {
    storm(0, 4, 10_000);
}

#[test]
fn a_crowd() {
    storm(1000, 24, 2000);
}
