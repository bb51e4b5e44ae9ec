//! [`Timer`]: a kernel's timer, and the helper threads that wait for it and run leftover
//! tasks.
//!
//! There are two, and they take turns. The **leader** waits: for the kernel's next
//! deadline, or for runnable tasks that another thread has left. Before it enters the
//! kernel it stops leading, and the other helper waits: so a kernel that computes gets
//! its timer interrupts, whichever thread runs it.
//!
//! The kernel sets a new deadline often. The leader sleeps until the deadline that it saw
//! when it went to sleep, and is woken only for an earlier one: it notices a later one
//! when it wakes.
//!
//! # Guards
//!
//! Without guards, a call that waits for a time would need two wake-ups: of the leader,
//! then of the call's thread. So a thread whose run has changed the deadline **guards**
//! it while it waits outside: it sleeps until the deadline itself, and raises the
//! interrupt. The leader sleeps a little longer, in case the guard is late. A guard whose
//! call ends before the deadline makes the leader wake in time.
//!
//! The leader remains responsible: a guard is a thread of the program, and may be
//! kept from running for any time.
//!
//! `crates/cpu/src/deadline.rs` has the memory orders and the races. This file reads the
//! clock, sleeps, and decides which deadlines to guard.

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

/// How long after a guarded deadline the leader wakes.
const GRACE: Duration = Duration::from_micros(200);

/// Deadlines that are further away are not guarded. A guard saves less than a hundredth
/// of such a time, and costs a blocked call, which may end earlier, three system calls.
const FAR: Duration = Duration::from_millis(10);

/// State shared with the helper threads.
#[derive(Debug)]
pub(crate) struct Timer {
    deadline: Deadline,
    /// Tasks are runnable, and no thread runs them.
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
    /// A kernel may set the deadline to the end of the slack of a timer that is due. With
    /// a clock that stands still, that would never come, so a near deadline is raised at
    /// once. If that was too early, the kernel sets the same deadline again, which then
    /// counts.
    pub(crate) fn set(&self, vcpu: &Vcpu, deadline: u64) {
        let (before, leader) = self.deadline.set(deadline);
        self.settle(leader);
        let is_near = vcpu.instance().environment.is_near(deadline);
        if before != deadline && is_near && vcpu.timeout(deadline).is_none() {
            vcpu.pending().fetch_or(1 << irq::TIMER, SeqCst);
        }
    }

    /// The deadline that the kernel has set last.
    #[inline]
    pub(crate) fn deadline(&self) -> u64 {
        self.deadline.get()
    }

    /// Makes a helper thread run the tasks that the caller leaves runnable.
    pub(crate) fn take_over(&self) {
        self.work_left.store(true, SeqCst);
        self.settle(self.deadline.call_leader());
    }

    /// Called when the host's clock has jumped. Raises the timer interrupt, which the
    /// kernel takes before the next call, and wakes a helper thread to enter the kernel.
    /// If the kernel's timer is off, no helper is needed: the interrupt is taken at the
    /// next entry, or at once by a thread that is inside, which may just set a deadline
    /// by the old time. No effect on a kernel that does not run yet.
    pub(crate) fn look_again(&self, vcpu: &Vcpu) {
        if !vcpu.is_attached() {
            return;
        }
        vcpu.pending().fetch_or(1 << irq::TIMER, SeqCst);
        if self.deadline() != NO_DEADLINE {
            self.take_over();
        }
    }

    /// Makes the helper threads end.
    pub(crate) fn quit(&self) {
        self.quit.store(true, SeqCst);
        self.settle(self.deadline.call_leader());
    }

    /// Wakes the leader if `leader` says so.
    fn settle(&self, leader: Leader) {
        match leader {
            Leader::LetSleep => {}
            Leader::Wake => futex::wake(self.deadline.word(), 1),
        }
    }

    /// The main function of a helper thread.
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

    /// Leads until the helper has to enter the kernel or to end.
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

    /// Makes the calling thread, which is going to wait outside, guard the deadline: if
    /// its run has changed it (it was `before`), it is near, and nobody guards one.
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
    /// How long until the kernel's clock reaches `deadline`. `None`: there is no
    /// deadline, or the host cannot tell.
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

/// The calling thread guards the kernel's deadline until this is dropped.
pub(super) struct Guard<'a> {
    timer: &'a Timer,
    vcpu: &'a Vcpu,
    guarding: Guarding,
    slack: ThreadSlack,
}

impl Guard<'_> {
    /// How long the guard may sleep. `None`: for any time, or the host cannot tell.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let deadline = self.guarding.deadline();
        if self.timer.deadline() != deadline {
            // It is somebody else's by now.
            return None;
        }
        self.vcpu.timeout(deadline)
    }

    /// Raises the timer interrupt, after the deadline has passed.
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

/// Sets the calling thread's timer slack to the minimum; restores it when dropped.
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
    /// Take the CPU, and run the runnable tasks.
    Run,
    /// The thread holds the CPU: handle the interrupt, then run the runnable tasks.
    RunHeld,
}
