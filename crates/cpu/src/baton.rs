//! The baton: who may be inside the kernel on one CPU, and who is next.
//!
//! `state.rs` has the state word, `waiter.rs` the state of one waiting thread. This file
//! has the protocol between the two.
//!
//! # Who may touch what
//!
//! Only the thread that took the CPU may release, hand over or retire it. That thread may
//! enter the kernel only between taking and releasing. The pending word of interrupts
//! lives in the kernel's memory; any thread sets bits in it, only the holder (the kernel
//! itself) clears them, the yield line excepted.
//!
//! # Turns
//!
//! A running thread may take a free CPU with one instruction, even while other threads
//! sleep in the queue. This makes short calls of many threads cheap: a CPU that is handed
//! to a sleeping thread is unused until that thread is awake, which takes a hundred times
//! as long as a short call.
//!
//! - The releasing thread wakes the first waiter of the queue ([`Wait::Notified`]). The
//!   waiter tries to take the CPU, and waits on if another thread was faster.
//! - A waiter that loses such a try after it has waited for longer than `patience`
//!   *demands*: the next release is a grant, which passes the CPU to the waiter without
//!   it being free in between.
//! - A waiter that sees one turn last for the whole time that it spins, or for `GRACE`
//!   while it sleeps, raises the yield line. The kernel then leaves in mid-computation,
//!   and the holder hands the CPU over and queues up at the end, demanding. (A granted
//!   turn counts from when its thread is awake.)
//!
//! **The bound**: the first waiter gets the CPU at the first yield, or at the latest with
//! the second release after its patience has ended. Only waiters that queued up earlier
//! go before a waiter: with n of them, it waits for at most n + 1 turns, each with such a
//! wait. The kernel's poll points limit the length of a turn.
//!
//! # Interrupts are never lost
//!
//! [`Baton::post_irq`] sets the bit, *then* tries to take the CPU.
//! [`Baton::release`] frees the CPU, *then* looks at the pending word. Both sides
//! are SeqCst, so at least one of them sees what the other did: either the
//! poster gets the CPU and runs the handler, or the releaser sees the bit and
//! takes the CPU back. A CPU that is granted was never free, and is entered by
//! its new holder, who sees the bit there.
//!
//! # Memory orders
//!
//! The transition out of `FREE` is an Acquire, which pairs with the Release of the
//! `release` before it. A grant is the same pair on the waiter's word. All operations on
//! the state word are SeqCst, because the argument above needs a single total order with
//! the pending word.
//!
//! # Races considered
//!
//! - A waiter queues up while the holder releases. Both change the state word: if
//!   `QUEUED` comes first, the quick release fails and looks at the queue; otherwise the
//!   waiter finds the CPU free.
//! - A waiter gives up while it is granted the CPU. The queue's lock decides: after an
//!   earlier grant, the waiter uses the CPU.
//! - A notified waiter gives up. It notifies the next waiter, or grants the CPU to it if
//!   that one demands, since a demanding waiter does not try by itself.
//! - `retire` while other threads queue up: these look at the state word under the lock.
//!
//! # Shutdown
//!
//! A kernel halts inside a call; the holder sees that and retires the CPU. No count of
//! threads is needed: `retire` tells every waiter in the queue, and threads that come
//! later see `HALTED` in the state word.

use crate::state::Acquired;
use crate::sync::{
    AtomicU32, AtomicU64, Mutex, MutexGuard,
    Ordering::{Relaxed, SeqCst},
    lock,
};
use crate::waiter::Wait;
use crate::{Park, Spin, State, Waiter};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a thread sleeps in the queue before it asks the holder of one long turn to
/// yield.
const GRACE: Duration = Duration::from_micros(100);

/// The line of the pending word that asks the holder to leave the kernel.
pub const YIELD_LINE: u32 = 1;

/// Error: the kernel has halted, and no thread will hold this CPU again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Halted;

/// Why [`Baton::acquire`] did not get the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The kernel has halted.
    Halted,
    /// The deadline has passed.
    TimedOut,
    /// [`Waiter::cancel`] was called.
    Cancelled,
}

/// What the caller of [`Baton::post_irq`] must do.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostIrq {
    /// The caller now holds the CPU: enter the kernel, then release. A signal
    /// handler, which must not enter, has another thread do both: the CPU is not
    /// bound to a thread, and waking one is allowed there.
    Enter,
    /// The thread that holds the CPU handles the interrupt; the caller has nothing to do.
    Left,
    /// The kernel has halted; the interrupt is void.
    Halted,
}

/// What the caller of [`Baton::release`] must do.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The CPU is no longer the caller's.
    Released,
    /// An interrupt was posted meanwhile and the caller holds the CPU again:
    /// enter the kernel, then release.
    Enter,
}

type Queue = VecDeque<Arc<Waiter>>;

/// The baton of one CPU.
///
/// # Invariants
///
/// - At most one thread is between a successful `acquire` (or an outcome
///   `Enter`) and the following `release` or `retire`.
/// - `QUEUED` is set in the state exactly while the queue is not empty, as seen
///   by who holds its lock.
/// - A waiter is in one queue at most.
#[derive(Debug)]
pub struct Baton {
    state: State,
    queue: Mutex<Queue>,
    /// Twice the number of the turn, plus 1 while the holder is awake. Wraps. Only the
    /// holder writes it.
    turn: AtomicU32,
    /// Spinning before a thread queues up.
    brief: Spin,
    /// Spinning in the queue.
    spin: Spin,
    patience: Duration,
}

impl Baton {
    /// The baton of a CPU that nobody holds. A waiter spins for at most `max_spin` ns
    /// before it sleeps. Running threads may take the CPU before a waiter for at most
    /// `patience`.
    pub fn new(max_spin: u32, patience: Duration) -> Self {
        Baton {
            state: State::new(),
            queue: Mutex::new(Queue::new()),
            turn: AtomicU32::new(0),
            brief: Spin::new(max_spin / 10),
            spin: Spin::new(max_spin),
            patience,
        }
    }

    /// Takes the CPU if it is free and the queue is empty. Returns whether it was taken.
    #[inline]
    pub fn try_acquire(&self) -> bool {
        let taken = self.state.acquire_unqueued();
        if taken {
            self.begin_turn();
        }
        taken
    }

    /// Takes the CPU, waiting for it at most until `deadline`. `waiter` is the calling
    /// thread's own.
    ///
    /// # Errors
    ///
    /// A [`Refused`] that says why the caller does not have the CPU.
    pub fn acquire(
        &self,
        waiter: &Arc<Waiter>,
        pending: &AtomicU64,
        deadline: Option<Instant>,
        park: &impl Park,
    ) -> Result<(), Refused> {
        let turn = self.turn.load(Relaxed);
        if let Ok(result) = self.brief.until(|| self.attempt()) {
            return result;
        }
        {
            let mut queue = lock(&self.queue);
            match self.state.acquire_or_enqueue() {
                Acquired::Halted => return Err(Refused::Halted),
                Acquired::Taken => {
                    self.begin_turn();
                    return Ok(());
                }
                Acquired::HeldByAnother => {
                    let _ = waiter.set(Wait::Waiting);
                    queue.push_back(Arc::clone(waiter));
                }
            }
        }
        let asked = self.is_slow(turn);
        if asked {
            ask_to_yield(pending);
        }
        self.wait_turn(waiter, pending, deadline, asked, park)
    }

    /// Takes the CPU if it is free; an error if it was retired. `None`: another thread
    /// holds it.
    fn attempt(&self) -> Option<Result<(), Refused>> {
        let now = self.state.snapshot();
        if now.is_halted() {
            return Some(Err(Refused::Halted));
        }
        (now.is_free() && self.state.acquire() == Acquired::Taken).then(|| {
            self.begin_turn();
            Ok(())
        })
    }

    /// Begins a turn of the calling thread, which holds the CPU and is awake.
    fn begin_turn(&self) {
        let turn = self.turn.load(Relaxed);
        self.turn.store((turn | 1).wrapping_add(2), Relaxed);
    }

    /// Whether the turn is still `before`, a value of `turn` whose holder was awake.
    fn is_slow(&self, before: u32) -> bool {
        before & 1 != 0 && self.turn.load(Relaxed) == before
    }

    /// Waits in the queue until the caller has the CPU or gives up. `asked`: the caller
    /// has already asked the holder to yield.
    fn wait_turn(
        &self,
        waiter: &Arc<Waiter>,
        pending: &AtomicU64,
        deadline: Option<Instant>,
        asked: bool,
        park: &impl Park,
    ) -> Result<(), Refused> {
        // A turn may begin after the first of them has.
        let mut graces = if asked { 0 } else { 3 };
        // None: its end is too far for the clock.
        let patience = Instant::now().checked_add(self.patience);
        loop {
            let (state, cancelled) = waiter.state();
            match state {
                Wait::Granted => {
                    let _ = waiter.set(Wait::Idle);
                    self.begin_turn();
                    return Ok(());
                }
                Wait::Halted => {
                    let _ = waiter.set(Wait::Idle);
                    return Err(Refused::Halted);
                }
                _ if cancelled => {
                    if let Some(refused) = self.leave(waiter, pending, Refused::Cancelled, park) {
                        return Err(refused);
                    }
                }
                Wait::Notified => {
                    let patient = patience.is_none_or(|end| Instant::now() < end);
                    if self.try_turn(waiter, patient) {
                        return Ok(());
                    }
                }
                state => {
                    let turn = self.turn.load(Relaxed);
                    let changed = || (waiter.state() != (state, false)).then_some(());
                    let Err(in_vain) = self.spin.until(changed) else {
                        continue;
                    };
                    if graces > 0 && in_vain.has_lasted() && self.is_slow(turn) {
                        graces = 0;
                        ask_to_yield(pending);
                    }
                    let grace = (graces > 0).then(|| Instant::now() + GRACE);
                    let until = match (deadline, grace) {
                        (Some(deadline), Some(grace)) => Some(deadline.min(grace)),
                        (deadline, grace) => deadline.or(grace),
                    };
                    if !waiter.sleep(state, until, park) {
                        self.spin.learn(&in_vain);
                    } else if until != deadline {
                        graces -= 1;
                        if self.is_slow(turn) {
                            graces = 0;
                            ask_to_yield(pending);
                        }
                    } else if let Some(refused) =
                        self.leave(waiter, pending, Refused::TimedOut, park)
                    {
                        return Err(refused);
                    }
                }
            }
        }
    }

    /// The first waiter, once notified, tries to take the CPU. If another thread was
    /// faster, it waits again, or demands unless it is still `patient`.
    fn try_turn(&self, waiter: &Arc<Waiter>, patient: bool) -> bool {
        let taken = matches!(self.spin.until(|| self.attempt()), Ok(Ok(())));
        let mut queue = lock(&self.queue);
        if taken || self.attempt() == Some(Ok(())) {
            self.remove(&mut queue, waiter);
            return true;
        }
        if waiter.state().0 == Wait::Notified {
            let _ = waiter.set(if patient {
                Wait::Waiting
            } else {
                Wait::Demanding
            });
        }
        false
    }

    /// Leaves the queue without the CPU, unless it was granted or retired meanwhile.
    fn leave(
        &self,
        waiter: &Arc<Waiter>,
        pending: &AtomicU64,
        why: Refused,
        park: &impl Park,
    ) -> Option<Refused> {
        let mut queue = lock(&self.queue);
        if matches!(waiter.state().0, Wait::Granted | Wait::Halted) {
            return None;
        }
        self.remove(&mut queue, waiter);
        // It may have been the one who was told that the CPU is free.
        let next = match queue.front() {
            Some(next) if next.state().0 == Wait::Demanding => {
                let taken = self.state.acquire() == Acquired::Taken;
                taken
                    .then(|| self.grant_first(&mut queue, pending))
                    .flatten()
            }
            Some(_) if self.state.snapshot().is_free() => notify_first(&queue),
            _ => None,
        };
        drop(queue);
        if let Some(next) = next {
            park.wake(next);
        }
        Some(why)
    }

    fn remove(&self, queue: &mut MutexGuard<'_, Queue>, waiter: &Arc<Waiter>) {
        let _ = waiter.set(Wait::Idle);
        queue.retain(|other| !Arc::ptr_eq(other, waiter));
        if queue.is_empty() {
            self.state.unqueue();
        }
    }

    /// Gives the CPU up. `pending` is its pending interrupt word.
    #[inline]
    pub fn release(&self, pending: &AtomicU64, park: &impl Park) -> Release {
        if !self.state.release_unqueued() && self.release_queued(pending, park) {
            return Release::Released;
        }
        // Pairs with the fetch_or in `post_irq`.
        if pending.load(SeqCst) & !(1 << YIELD_LINE) != 0 && self.state.acquire() == Acquired::Taken
        {
            self.begin_turn();
            return Release::Enter;
        }
        Release::Released
    }

    /// Releases the CPU with waiters in the queue. Returns whether it was granted to one.
    #[cold]
    fn release_queued(&self, pending: &AtomicU64, park: &impl Park) -> bool {
        let mut queue = lock(&self.queue);
        let demanded = queue
            .front()
            .is_some_and(|first| first.state().0 == Wait::Demanding);
        let wake = if demanded {
            self.grant_first(&mut queue, pending)
        } else {
            // Who asked can have it.
            pending.fetch_and(!(1 << YIELD_LINE), SeqCst);
            self.state.release();
            notify_first(&queue)
        };
        drop(queue);
        if let Some(waiter) = wake {
            park.wake(waiter);
        }
        demanded
    }

    /// Grants the CPU to the first waiter. Returns the word to wake.
    fn grant_first(
        &self,
        queue: &mut MutexGuard<'_, Queue>,
        pending: &AtomicU64,
    ) -> Option<*const AtomicU32> {
        let first = queue.pop_front()?;
        if queue.is_empty() {
            self.state.unqueue();
        }
        // It was asked for, and is granted. The new holder must not yield.
        pending.fetch_and(!(1 << YIELD_LINE), SeqCst);
        self.turn.store(self.turn.load(Relaxed) & !1, Relaxed);
        Some(first.set(Wait::Granted))
    }

    /// Lets the first in the queue have the CPU, and waits at its end to get it
    /// back. Nothing happens if nobody waits. `waiter` is the calling thread's;
    /// it cannot be cancelled here.
    ///
    /// # Errors
    ///
    /// [`Halted`], when the CPU was retired meanwhile.
    pub fn hand_over(
        &self,
        waiter: &Arc<Waiter>,
        pending: &AtomicU64,
        park: &impl Park,
    ) -> Result<(), Halted> {
        let next = {
            let mut queue = lock(&self.queue);
            if queue.is_empty() {
                return Ok(());
            }
            // Ours first, so that the queue does not become empty.
            let _ = waiter.set(Wait::Demanding);
            queue.push_back(Arc::clone(waiter));
            self.grant_first(&mut queue, pending)
        };
        if let Some(next) = next {
            park.wake(next);
        }
        let mut turn = self.wait_turn(waiter, pending, None, false, park);
        loop {
            match turn {
                Ok(()) => return Ok(()),
                Err(Refused::Halted) => return Err(Halted),
                // What the caller began must be brought to its end.
                Err(Refused::TimedOut | Refused::Cancelled) => {
                    turn = self.acquire(waiter, pending, None, park);
                }
            }
        }
    }

    /// Whether a thread waits for the CPU, so that a holder with a long turn should
    /// yield.
    pub fn has_waiters(&self) -> bool {
        self.state.snapshot().is_queued()
    }

    /// Posts the interrupt `line` (0 to 63) into `pending`, from any thread or
    /// signal handler. Wait-free: a few instructions, whatever others do.
    pub fn post_irq(&self, pending: &AtomicU64, line: u32) -> PostIrq {
        // Pairs with the load in `release`.
        pending.fetch_or(1 << line, SeqCst);
        match self.state.acquire() {
            Acquired::Halted => PostIrq::Halted,
            Acquired::HeldByAnother => PostIrq::Left,
            Acquired::Taken => {
                self.begin_turn();
                PostIrq::Enter
            }
        }
    }

    /// HELD → HALTED: no thread enters the kernel again. Called by the holder.
    pub fn retire(&self, park: &impl Park) {
        let wake: Vec<_> = {
            let mut queue = lock(&self.queue);
            self.state.retire();
            let waiters = queue.drain(..);
            waiters.map(|waiter| waiter.set(Wait::Halted)).collect()
        };
        for waiter in wake {
            park.wake(waiter);
        }
    }

    /// Whether the CPU was retired.
    pub fn is_halted(&self) -> bool {
        self.state.snapshot().is_halted()
    }
}

/// Notifies the first waiter that it may try. Returns the word to wake.
fn notify_first(queue: &Queue) -> Option<*const AtomicU32> {
    let first = queue.front()?;
    (first.state().0 == Wait::Waiting).then(|| first.set(Wait::Notified))
}

fn ask_to_yield(pending: &AtomicU64) {
    pending.fetch_or(1 << YIELD_LINE, SeqCst);
}
