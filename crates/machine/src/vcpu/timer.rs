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
//! Memory order: `set` stores the deadline and then reads `armed`; the leader
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

/// State shared with the helper threads.
#[derive(Debug)]
pub(crate) struct Timer {
    /// What the kernel asked for last.
    deadline: AtomicU64,
    /// Until when the leader sleeps.
    armed: AtomicU64,
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
            let timeout = match deadline {
                NO_DEADLINE => None,
                deadline => vcpu.instance().environment.timeout(vcpu, deadline),
            };
            if timeout == Some(Duration::ZERO) {
                match self.expire(vcpu, deadline) {
                    PostIrq::Enter => return Job::RunHeld,
                    PostIrq::Left => continue,
                    PostIrq::Halted => return Job::Quit,
                }
            }
            self.armed.store(deadline, SeqCst);
            if self.deadline.load(SeqCst) == deadline {
                let ns = timeout.map(|t| u64::try_from(t.as_nanos()).unwrap_or(u64::MAX));
                futex::wait(&self.changed, seen, ns);
            }
            self.armed.store(0, SeqCst);
        }
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

/// What a helper thread does when it stops leading.
enum Job {
    /// The kernel has ended.
    Quit,
    /// Take the CPU, and run what is left.
    Run,
    /// The CPU is the thread's: handle the interrupt, then run what is left.
    RunHeld,
}
