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
//! # Memory orders
//!
//! `set` stores the deadline and then reads `armed`; the leader
//! stores `armed` and then reads the deadline again. All four are SeqCst, so at
//! least one of the two sees the other's value: no deadline is slept through.

use super::Vcpu;
use super::enter::Errand;
use crate::instance::lock;
use crate::thread::context;
use drupe_abi::{NO_DEADLINE, irq};
use drupe_cpu::PostIrq;
use drupe_host::futex;
use std::sync::Mutex;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::time::Duration;

/// As good as none: an interrupt has been raised, the kernel's answer to it is
/// not here yet.
const EXPIRED: u64 = NO_DEADLINE - 1;

/// How long the leader leaves a deadline to its guard.
const GRACE: Duration = Duration::from_micros(200);

/// Deadlines that are further away are the leader's alone: what a guard saves is
/// less than a hundredth of such a time, and it costs a blocked call, which may
/// end long before, three system calls.
const FAR: Duration = Duration::from_millis(10);

/// No deadline is guarded, or left to its guard.
const NONE: u64 = 0;

/// State shared with the helper threads.
#[derive(Debug)]
pub(crate) struct Timer {
    /// What the kernel asked for last.
    deadline: AtomicU64,
    /// Until when the leader sleeps: a deadline, or the end of a guard's grace.
    armed: AtomicU64,
    /// The deadline that a guard waits for, or [`NONE`].
    guarded: AtomicU64,
    /// The deadline that the leader has left to a guard, or [`NONE`].
    left_to_guard: AtomicU64,
    /// Changes whenever the leader must look again; what it sleeps on.
    changed: AtomicU32,
    /// Tasks are runnable and nobody runs them.
    work_left: AtomicBool,
    quit: AtomicBool,
    /// Held by the leader.
    leader: Mutex<()>,
}

impl Timer {
    pub(crate) fn new() -> Timer {
        Timer {
            deadline: AtomicU64::new(NO_DEADLINE),
            armed: AtomicU64::new(NO_DEADLINE),
            guarded: AtomicU64::new(NONE),
            left_to_guard: AtomicU64::new(NONE),
            changed: AtomicU32::new(0),
            work_left: AtomicBool::new(false),
            quit: AtomicBool::new(false),
            leader: Mutex::new(()),
        }
    }

    /// The kernel's next timer interrupt is due at `deadline`.
    ///
    /// A kernel that finds a timer overdue asks for an interrupt very soon, or
    /// whenever the timer's slack ends. That would be never for a clock that
    /// stands still, so it has the interrupt at once. If it was too early, the
    /// kernel sets the same deadline once more, and then it counts.
    pub(crate) fn set(&self, vcpu: &Vcpu, deadline: u64) {
        let before = self.deadline.swap(deadline, SeqCst);
        if deadline < self.armed.load(SeqCst) {
            self.wake();
        }
        let environment = &vcpu.instance().environment;
        if before != deadline && environment.stands_still_before(vcpu, deadline) {
            vcpu.pending().fetch_or(1 << irq::TIMER, SeqCst);
        }
    }

    /// What the kernel asked for last.
    #[inline]
    pub(crate) fn deadline(&self) -> u64 {
        self.deadline.load(SeqCst)
    }

    /// The caller leaves runnable tasks behind.
    pub(crate) fn take_over(&self) {
        self.work_left.store(true, SeqCst);
        self.wake();
    }

    /// The clock has jumped, says the host: the kernel has a timer interrupt,
    /// which it takes before the next call, and a helper thread lets it.
    /// A kernel whose timer is off waits for no time, and looks at its clock
    /// when it is entered.
    pub(crate) fn look_again(&self, vcpu: &Vcpu) {
        if self.deadline.load(SeqCst) != NO_DEADLINE {
            vcpu.pending().fetch_or(1 << irq::TIMER, SeqCst);
            self.take_over();
        }
    }

    /// Ends the threads.
    pub(crate) fn quit(&self) {
        self.quit.store(true, SeqCst);
        self.wake();
    }

    fn wake(&self) {
        self.changed.fetch_add(1, SeqCst);
        futex::wake(&self.changed, 1);
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
            let seen = self.changed.load(SeqCst);
            if self.quit.load(SeqCst) {
                return Job::Quit;
            }
            if self.work_left.swap(false, SeqCst) {
                return Job::Run;
            }
            let deadline = self.deadline.load(SeqCst);
            let mut timeout = match deadline {
                NO_DEADLINE => None,
                deadline => vcpu.instance().environment.timeout(vcpu, deadline),
            };
            let mut until = deadline;
            if let Some(left) = timeout.filter(|left| !left.is_zero()) {
                self.left_to_guard.store(deadline, SeqCst);
                if self.guarded.load(SeqCst) == deadline {
                    timeout = Some(left + GRACE);
                    until = deadline.saturating_add(GRACE.as_nanos() as u64);
                } else {
                    self.left_to_guard.store(NONE, SeqCst);
                }
            }
            if timeout == Some(Duration::ZERO) {
                match self.expire(vcpu, deadline) {
                    PostIrq::Enter => return Job::RunHeld,
                    PostIrq::Left => continue,
                    PostIrq::Halted => return Job::Quit,
                }
            }
            self.armed.store(until, SeqCst);
            if self.deadline.load(SeqCst) == deadline {
                let ns = timeout.map(|t| u64::try_from(t.as_nanos()).unwrap_or(u64::MAX));
                futex::wait(&self.changed, seen, ns);
            }
            self.armed.store(0, SeqCst);
            self.left_to_guard.store(NONE, SeqCst);
        }
    }

    /// The calling thread, which goes to wait outside, guards the deadline, if
    /// that was another one `before` its run and is near, and nobody guards one.
    pub(super) fn guard<'a>(&'a self, vcpu: &'a Vcpu, before: u64) -> Option<Guard<'a>> {
        let deadline = self.deadline();
        if deadline == before || deadline >= EXPIRED {
            return None;
        }
        let left = vcpu.instance().environment.timeout(vcpu, deadline)?;
        if left > FAR {
            return None;
        }
        let guards = self
            .guarded
            .compare_exchange(NONE, deadline, SeqCst, SeqCst)
            .is_ok();
        guards.then(|| Guard {
            timer: self,
            vcpu,
            deadline,
            slack: ThreadSlack::none(),
        })
    }

    fn expire(&self, vcpu: &Vcpu, deadline: u64) -> PostIrq {
        // Unless the kernel has set another one meanwhile.
        let _ = self
            .deadline
            .compare_exchange(deadline, EXPIRED, SeqCst, SeqCst);
        if vcpu.draining.load(Relaxed) || vcpu.baton.has_waiters() {
            // A hint, for a holder that has done what it came for, or that
            // others wait for: at worst it leaves early, or a tick later.
            vcpu.pending().fetch_or(1 << irq::YIELD, SeqCst);
        }
        vcpu.baton.post_irq(vcpu.pending(), irq::TIMER)
    }
}

/// A thread of the program that waits for the kernel's deadline, until this is
/// dropped.
pub(super) struct Guard<'a> {
    timer: &'a Timer,
    vcpu: &'a Vcpu,
    deadline: u64,
    slack: ThreadSlack,
}

impl Guard<'_> {
    /// How long it may sleep; `None`: for any time, or nobody knows.
    pub(super) fn timeout(&self) -> Option<Duration> {
        if self.timer.deadline() != self.deadline {
            // It is somebody else's by now.
            return None;
        }
        let environment = &self.vcpu.instance().environment;
        environment.timeout(self.vcpu, self.deadline)
    }

    /// The deadline has passed: raises the interrupt.
    pub(super) fn expire(&self) -> PostIrq {
        self.timer.expire(self.vcpu, self.deadline)
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.slack.restore();
        // Pairs with what the leader does before it sleeps: it sees that nobody
        // guards, or we see that it relies on that.
        self.timer.guarded.store(NONE, SeqCst);
        if self.timer.left_to_guard.load(SeqCst) == self.deadline
            && self.timer.deadline.load(SeqCst) == self.deadline
        {
            self.timer.wake();
        }
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
