//! The helper threads of a kernel: its timer, and what others left undone.
//!
//! There are two, and they take turns. The **leader** waits: for the kernel's
//! next deadline, or for work that somebody left. Before it enters the kernel it
//! stops leading, so that the other one waits meanwhile: a kernel that computes
//! has its timer interrupts whoever runs it.
//!
//! The kernel sets one deadline at a time, often; the leader sleeps until some
//! deadline that was the earliest when it went to sleep. It is woken only for
//! an earlier one: a later one it finds out when it wakes anyway.
//!
//! # Guards
//!
//! A thread whose call waits for a time would be woken by the leader, after the
//! leader has been: two threads that sleep, one after the other. So a thread that
//! goes to wait outside, after a run that has changed the deadline, **guards** it:
//! it sleeps until then itself, and takes the interrupt. The leader then sleeps a
//! little longer, in case the guard is late or in another's way. A guard whose
//! call ends before the deadline has the leader wake in time for it.
//!
//! The leader remains responsible: a guard is a thread of the program, and may be
//! kept from running for any time.
//!
//! Who sees whose stores, and the races, are in `crates/cpu/src/deadline.rs`; what
//! is here reads the clock, sleeps, and decides what is worth a guard.

use super::Vcpu;
use super::enter::Errand;
use crate::sync::lock;
use crate::thread::context;
use drupe_abi::{NO_DEADLINE, irq};
use drupe_cpu::PostIrq;
use drupe_cpu::deadline::{Deadline, EXPIRED, Guarding, Leader, NEVER, Sleep};
use drupe_host::futex;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

const _: () = assert!(NEVER == NO_DEADLINE);

/// How long the leader leaves a deadline to its guard.
const GRACE: Duration = Duration::from_micros(200);

/// Deadlines that are further away are the leader's alone: what a guard saves is
/// less than a hundredth of such a time, and it costs a blocked call, which may
/// end long before, three system calls.
const FAR: Duration = Duration::from_millis(10);

/// State shared with the helper threads.
#[derive(Debug)]
pub(crate) struct Timer {
    deadline: Deadline,
    /// Tasks are runnable and nobody runs them.
    work_left: AtomicBool,
    quit: AtomicBool,
    /// Held by the leader.
    leader: Mutex<()>,
}

impl Timer {
    pub(crate) fn new() -> Timer {
        Timer {
            deadline: Deadline::new(),
            work_left: AtomicBool::new(false),
            quit: AtomicBool::new(false),
            leader: Mutex::new(()),
        }
    }

    /// The kernel's next timer interrupt is due at `deadline`.
    ///
    /// A kernel may ask for an interrupt when the slack of a timer ends that is due.
    /// That would be never for a clock that stands still, so it has the interrupt at
    /// once. If it was too early, the kernel sets the same deadline once more, and
    /// then it counts.
    pub(crate) fn set(&self, vcpu: &Vcpu, deadline: u64) {
        let (before, leader) = self.deadline.set(deadline);
        self.settle(leader);
        let is_near = vcpu.instance().environment.is_near(deadline);
        if before != deadline && is_near && vcpu.timeout(deadline).is_none() {
            vcpu.pending().fetch_or(1 << irq::TIMER, SeqCst);
        }
    }

    /// What the kernel asked for last.
    #[inline]
    pub(crate) fn deadline(&self) -> u64 {
        self.deadline.get()
    }

    /// The caller leaves runnable tasks behind.
    pub(crate) fn take_over(&self) {
        self.work_left.store(true, SeqCst);
        self.settle(self.deadline.call_leader());
    }

    /// The clock has jumped, says the host: the kernel has a timer interrupt,
    /// which it takes before the next call, and a helper thread lets it.
    /// A kernel whose timer is off waits for no time, and has the interrupt when it
    /// is entered; or at once, if somebody is inside, who may have read the clock
    /// already to set a deadline by it. One that does not run yet has not.
    pub(crate) fn look_again(&self, vcpu: &Vcpu) {
        if !vcpu.is_attached() {
            return;
        }
        vcpu.pending().fetch_or(1 << irq::TIMER, SeqCst);
        if self.deadline() != NO_DEADLINE {
            self.take_over();
        }
    }

    /// Ends the threads.
    pub(crate) fn quit(&self) {
        self.quit.store(true, SeqCst);
        self.settle(self.deadline.call_leader());
    }

    /// Does for the leader what it is owed.
    fn settle(&self, leader: Leader) {
        match leader {
            Leader::LetSleep => {}
            Leader::Wake => futex::wake(self.deadline.word(), 1),
        }
    }

    /// The life of a helper thread.
    pub(crate) fn serve(&self, vcpu: &Vcpu) {
        // The kernel gives its timers slack itself; the host need not add 50 µs.
        // SAFETY: it concerns the calling thread's sleeps only.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
        let context = context();
        loop {
            let job = self.lead(vcpu);
            let ended = match job {
                Job::Quit => true,
                Job::Run => vcpu.run_rest(context).is_err(),
                // SAFETY: the CPU is ours, and no call is brought.
                Job::RunHeld => unsafe {
                    vcpu.run_held(context, std::ptr::null_mut(), Errand::Rest);
                    false
                },
            };
            if ended {
                return;
            }
        }
    }

    /// Leads until there is something to do in the kernel.
    fn lead(&self, vcpu: &Vcpu) -> Job {
        let _leader = lock(&self.leader);
        loop {
            let seen = self.deadline.look();
            if self.quit.load(SeqCst) {
                return Job::Quit;
            }
            if self.work_left.swap(false, SeqCst) {
                return Job::Run;
            }
            let deadline = self.deadline();
            let timeout = match deadline {
                NO_DEADLINE => None,
                deadline => vcpu.timeout(deadline),
            };
            if timeout == Some(Duration::ZERO) {
                match self.expire(vcpu, deadline) {
                    PostIrq::Enter => return Job::RunHeld,
                    PostIrq::Left => continue,
                    PostIrq::Halted => return Job::Quit,
                }
            }
            // Who cannot tell the time has no guard either.
            let grace = timeout.map(|_| GRACE.as_nanos() as u64);
            let timeout = match self.deadline.fall_asleep(deadline, grace) {
                Sleep::UntilDeadline => timeout,
                Sleep::UntilGrace => timeout.map(|left| left + GRACE),
                Sleep::LookAgain => continue,
            };
            let ns = timeout.map(|t| u64::try_from(t.as_nanos()).unwrap_or(u64::MAX));
            futex::wait(self.deadline.word(), seen, ns);
            self.deadline.awake();
        }
    }

    /// The calling thread, which goes to wait outside, guards the deadline, if
    /// that was another one `before` its run and is near, and nobody guards one.
    pub(super) fn guard<'a>(&'a self, vcpu: &'a Vcpu, before: u64) -> Option<Guard<'a>> {
        let deadline = self.deadline();
        if deadline == before || deadline >= EXPIRED {
            return None;
        }
        let left = vcpu.timeout(deadline)?;
        if left > FAR {
            return None;
        }
        self.deadline.guard(deadline).map(|guarding| Guard {
            timer: self,
            vcpu,
            guarding,
            slack: ThreadSlack::none(),
        })
    }

    fn expire(&self, vcpu: &Vcpu, deadline: u64) -> PostIrq {
        self.deadline.expire(deadline);
        if vcpu.draining.load(Relaxed) || vcpu.baton.has_waiters() {
            // A hint, for a holder that has done what it came for, or that
            // others wait for: at worst it leaves early, or a tick later.
            vcpu.pending().fetch_or(1 << irq::YIELD, SeqCst);
        }
        vcpu.baton.post_irq(vcpu.pending(), irq::TIMER)
    }
}

impl Vcpu {
    /// How long the calling thread may sleep until the kernel's clock is at
    /// `deadline`; `None`: for any time, or nobody knows.
    pub(crate) fn timeout(&self, deadline: u64) -> Option<Duration> {
        let context = context();
        let was_inside = context.is_inside();
        // The leader is outside; a call of the host's from there would wait for itself.
        let inside = context.enter(self);
        let timeout = self.instance().environment.timeout(deadline);
        drop(inside);
        if !was_inside {
            // The leader must go on waiting: others run what was woken.
            context.hand_on_deferred();
        }
        timeout
    }
}

/// A thread of the program that waits for the kernel's deadline, until this is
/// dropped.
pub(super) struct Guard<'a> {
    timer: &'a Timer,
    vcpu: &'a Vcpu,
    guarding: Guarding,
    slack: ThreadSlack,
}

impl Guard<'_> {
    /// How long it may sleep; `None`: for any time, or nobody knows.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let deadline = self.guarding.deadline();
        if self.timer.deadline() != deadline {
            // It is somebody else's by now.
            return None;
        }
        self.vcpu.timeout(deadline)
    }

    /// The deadline has passed: raises the interrupt.
    pub(super) fn expire(&self) -> PostIrq {
        self.timer.expire(self.vcpu, self.guarding.deadline())
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.slack.restore();
        self.timer
            .settle(self.timer.deadline.unguard(&self.guarding));
    }
}

/// The timer slack of the calling thread, which is none meanwhile.
struct ThreadSlack(libc::c_int);

impl ThreadSlack {
    fn none() -> ThreadSlack {
        // SAFETY: these concern the calling thread's sleeps only.
        unsafe {
            let before = libc::prctl(libc::PR_GET_TIMERSLACK);
            libc::prctl(libc::PR_SET_TIMERSLACK, 1);
            ThreadSlack(before)
        }
    }

    fn restore(&self) {
        if self.0 > 0 {
            // SAFETY: as above.
            unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, self.0) };
        }
    }
}

/// What a helper thread does when it stops leading.
enum Job {
    /// The kernel has ended.
    Quit,
    /// Take the CPU, and run what is left.
    Run,
    /// The CPU is the thread's: handle the interrupt, then run what is left.
    RunHeld,
}
