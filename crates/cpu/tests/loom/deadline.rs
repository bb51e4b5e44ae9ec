//! Models of `crates/cpu/src/deadline.rs`: who wakes for the timer's deadline.

use super::builder;
use drupe_cpu::deadline::{Deadline, Guarding, Leader, Sleep};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use loom::thread;

/// The deadline that is guarded in the models; another is earlier, one is within
/// the guard's grace, and one is later.
const DUE: u64 = 100;
const EARLIER: u64 = 50;
const WITHIN_GRACE: u64 = 105;
const LATER: u64 = 1000;
const GRACE: u64 = 10;

/// A timer with a leader, a kernel that sets deadlines, and a guard. Nobody
/// sleeps and no time passes: what everybody would sleep until is looked at in
/// the end.
struct TimerModel {
    deadline: Deadline,
    /// How often somebody has woken the leader.
    wakes: AtomicUsize,
}

/// A leader that sleeps.
struct Asleep {
    seen: u32,
    found: u64,
    sleep: Sleep,
}

impl TimerModel {
    fn new(deadline: u64) -> TimerModel {
        let model = TimerModel {
            deadline: Deadline::new(),
            wakes: AtomicUsize::new(0),
        };
        model.set(&[deadline]);
        // It has slept before: nothing is armed.
        model.deadline.awake();
        model
    }

    fn settle(&self, leader: Leader) {
        if leader == Leader::Wake {
            self.wakes.fetch_add(1, SeqCst);
        }
    }

    /// The kernel asks for one after the other.
    fn set(&self, deadlines: &[u64]) {
        for &deadline in deadlines {
            let (_, leader) = self.deadline.set(deadline);
            self.settle(leader);
        }
    }

    /// Leads until it sleeps, having woken `naps` times for nothing before.
    fn lead(&self, mut naps: u32) -> Asleep {
        loop {
            let seen = self.deadline.look();
            let found = self.deadline.get();
            let sleep = self.deadline.fall_asleep(found, Some(GRACE));
            if sleep == Sleep::LookAgain {
                continue;
            }
            // The futex's part: the compare and the sleep are one step.
            let word = self.deadline.word().load(SeqCst);
            if word == seen && naps == 0 {
                return Asleep { seen, found, sleep };
            }
            naps = naps.saturating_sub(1);
            self.deadline.awake();
        }
    }

    /// Guards the deadline, as a thread does that goes to wait: if it is still
    /// the deadline then.
    fn guard(&self) -> Option<Guarding> {
        let guarding = self.deadline.guard(self.deadline.get())?;
        if self.deadline.get() == guarding.deadline() {
            return Some(guarding);
        }
        self.unguard(&guarding);
        None
    }

    fn unguard(&self, guarding: &Guarding) {
        let leader = self.deadline.unguard(guarding);
        self.settle(leader);
    }

    /// Nothing happens any more, `guard` sleeps and the leader is `asleep`, unless
    /// it has been woken: then it sleeps as well as it can. Somebody wakes in time.
    fn assert_in_time(&self, asleep: Asleep, guard: Option<&Guarding>) {
        let word = self.deadline.word().load(SeqCst);
        let wakes = self.wakes.load(SeqCst);
        assert_eq!(word as usize, wakes, "a wake was not asked for");
        let mut asleep = asleep;
        if word != asleep.seen {
            self.deadline.awake();
            asleep = self.lead(0);
        }
        let deadline = self.deadline.get();
        let Asleep { found, sleep, .. } = asleep;
        assert!(found <= deadline, "{deadline} is slept through, to {found}");
        if sleep == Sleep::UntilGrace && found == deadline {
            let guarded = guard.map(Guarding::deadline);
            assert_eq!(guarded, Some(deadline), "left to a guard that is gone");
        }
        if sleep == Sleep::UntilGrace {
            assert!(
                found == deadline || found + GRACE <= deadline,
                "{deadline} is slept through, in the grace of {found}"
            );
        }
    }
}

/// The kernel sets a deadline, an earlier or a later one, or two of them, while
/// the leader goes to sleep: for the first time, or once more.
#[test]
fn set_sleep() {
    for deadlines in [&[EARLIER], &[LATER], &[LATER, DUE], &[EARLIER, LATER]] as [&[u64]; 4] {
        for naps in [0, 1] {
            builder(4).check(move || {
                let timer = Arc::new(TimerModel::new(DUE));
                let leads = {
                    let timer = Arc::clone(&timer);
                    thread::spawn(move || timer.lead(naps))
                };
                timer.set(deadlines);
                timer.assert_in_time(leads.join().unwrap(), None);
            });
        }
    }
}

/// A guard comes, or has come before, and leaves again, while the leader goes to
/// sleep.
#[test]
fn unguard_sleep() {
    for comes_before in [false, true] {
        for naps in [0, 1] {
            builder(4).check(move || {
                let timer = Arc::new(TimerModel::new(DUE));
                let before = comes_before.then(|| timer.guard()).flatten();
                let leads = {
                    let timer = Arc::clone(&timer);
                    thread::spawn(move || timer.lead(naps))
                };
                let guard = before.or_else(|| timer.guard()).expect("nobody guards");
                timer.unguard(&guard);
                timer.assert_in_time(leads.join().unwrap(), None);
            });
        }
    }
}

/// What the kernel sets while a deadline is guarded.
const SET_WHILE_GUARDED: [&[u64]; 4] = [&[EARLIER], &[WITHIN_GRACE], &[LATER], &[LATER, DUE]];

/// The kernel sets deadlines while one is guarded and the leader goes to sleep.
/// The guard stays.
#[test]
fn guard_set_sleep() {
    for deadlines in SET_WHILE_GUARDED {
        with_guard(deadlines, |_, guard| guard);
    }
}

/// The same, and the guard leaves.
#[test]
fn unguard_set_sleep() {
    for deadlines in SET_WHILE_GUARDED {
        with_guard(deadlines, |timer, guard| {
            if let Some(guard) = guard {
                timer.unguard(&guard);
            }
            None
        });
    }
}

/// The kernel sets `deadlines`, a guard comes or has come before and then does
/// `then`, and the leader goes to sleep. With three preemptions, a deadline that is
/// replaced and set once more is not seen to be left to a guard that has gone.
fn with_guard(
    deadlines: &'static [u64],
    then: fn(&TimerModel, Option<Guarding>) -> Option<Guarding>,
) {
    for comes_before in [false, true] {
        builder(4).check(move || {
            let timer = Arc::new(TimerModel::new(DUE));
            let before = comes_before.then(|| timer.guard()).flatten();
            let leads = {
                let timer = Arc::clone(&timer);
                thread::spawn(move || timer.lead(0))
            };
            let sets = {
                let timer = Arc::clone(&timer);
                thread::spawn(move || timer.set(deadlines))
            };
            let guard = then(&timer, before.or_else(|| timer.guard()));
            sets.join().unwrap();
            timer.assert_in_time(leads.join().unwrap(), guard.as_ref());
        });
    }
}
