//! Signal handlers for `SIGSEGV`, `SIGBUS`, `SIGFPE` and `SIGILL` that contain a kernel's
//! faults.
//!
//! A fault of an instruction that has an entry in the image's exception table means that
//! a system call was given a bad pointer: execution goes on at the fixup, and the call
//! returns `EFAULT`. A fault in the vmalloc area may mean that its mapping was dropped
//! (`memory/mirror.rs`): it is made again, and the access repeated. Any other fault of
//! the image is a bug: execution goes on in the image's fault report, which prints,
//! panics and leaves the machine. If the stack has overflowed, the report runs on another
//! one. A fault during the report leaves the machine at once.
//!
//! A fault outside of the kernel goes to the handler that was installed before.
//!
//! So does a signal that was sent (`kill(2)`, known by `si_code`), wherever the thread
//! is. A previous handler may restore the default action and return, as Rust's does,
//! expecting the fault to happen again; then the signal is sent once more.
//!
//! The handlers find the kernel through the thread's context: a thread is inside
//! at most one kernel.

use crate::instance::Instance;
use crate::thread::context as thread_context;
use crate::thread::faults::SIGNALS;
use crate::vcpu::Vcpu;
use drupe_abi::{ExtableEntry, Fault, stop};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicPtr, AtomicU8};
use std::thread;

/// Bytes of stack that a report of a fault needs.
const REPORT_ROOM: usize = 16 << 10;

/// The previous actions, in the order of [`SIGNALS`]; null until a handler is installed.
///
/// # Invariants
///
/// The actions that it points to are never freed or changed.
static PREVIOUS: [AtomicPtr<libc::sigaction>; 4] = [const { AtomicPtr::new(ptr::null_mut()) }; 4];

/// The progress of [`install`].
static STATE: AtomicU8 = AtomicU8::new(NEW);
const NEW: u8 = 0;
/// A thread of this process is installing the handlers.
const BEGUN: u8 = 1;
const DONE: u8 = 2;

/// Installs the handlers, once per process.
pub(crate) fn install() {
    loop {
        match STATE.compare_exchange(NEW, BEGUN, SeqCst, SeqCst) {
            Ok(_) => break,
            Err(DONE) => return,
            // For a few system calls of the other thread's.
            Err(_) => thread::yield_now(),
        }
    }
    for (signal, previous) in SIGNALS.iter().zip(&PREVIOUS) {
        install_one(*signal, previous);
    }
    STATE.store(DONE, SeqCst);
}

/// Called in a child of `fork(2)`: a thread that was installing the handlers does not
/// exist here, so installing begins anew.
pub(super) fn forked() {
    let _ = STATE.compare_exchange(BEGUN, NEW, SeqCst, SeqCst);
}

/// Installs the handler of `signal`, unless the process has it from a parent that forked
/// while installing.
fn install_one(signal: i32, previous: &AtomicPtr<libc::sigaction>) {
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: room for an action, which is valid as it is.
    let before = unsafe {
        libc::sigaction(signal, ptr::null(), before.as_mut_ptr());
        before.assume_init()
    };
    if before.sa_sigaction == handler as *const () as usize {
        return;
    }
    // First: the handler may run as soon as it is there.
    previous.store(Box::into_raw(Box::new(before)), SeqCst);
    // SAFETY: an all-zero sigaction is a valid value.
    let mut new: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    new.sa_sigaction = handler as *const () as usize;
    // NODEFER: the image goes on with the signal unblocked in any case.
    new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    // A handler of the program's that ran on top of this one would have the rest of
    // the alternate stack, of which a signal's frame alone takes half.
    // SAFETY: the set is filled in, then changed.
    unsafe {
        libc::sigfillset(&mut new.sa_mask);
        SIGNALS.iter().for_each(|&signal| {
            libc::sigdelset(&mut new.sa_mask, signal);
        });
    }
    let mut replaced = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: both structures are valid; the handler is async-signal-safe.
    let replaced = unsafe {
        libc::sigaction(signal, &new, replaced.as_mut_ptr());
        replaced.assume_init()
    };
    if replaced.sa_sigaction != before.sa_sigaction {
        // The program has installed another one meanwhile.
        previous.store(Box::into_raw(Box::new(replaced)), SeqCst);
    }
}

extern "C" fn handler(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let vcpu = thread_context().inside();
    // SAFETY: the kernel lives while a thread is inside; the pointers are what
    // the system gave us.
    unsafe {
        // SI_USER, SI_QUEUE, SI_TKILL …: whoever sends a signal has no positive
        // code (sigaction(2)).
        let sent = (*info).si_code <= 0;
        if sent || vcpu.is_null() || !divert(&*vcpu, signal, &*info, &mut *context.cast()) {
            pass_on(signal, info, context);
            if sent {
                do_default(signal);
            }
        }
    }
}

/// Ends the process by `signal`, if its action is the default one.
///
/// # Safety
///
/// Called by the signal handler.
unsafe fn do_default(signal: i32) {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: room for an action, which is valid as it is; both calls are
    // async-signal-safe.
    unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr());
        if action.assume_init().sa_sigaction == libc::SIG_DFL {
            libc::raise(signal);
        }
    }
}

/// If the fault is the kernel's, changes the context to continue at the fixup or in the
/// report.
///
/// # Safety
///
/// Called by the signal handler of a thread that is inside the kernel of `vcpu`.
unsafe fn divert(
    vcpu: &Vcpu,
    signal: i32,
    info: &libc::siginfo_t,
    context: &mut libc::ucontext_t,
) -> bool {
    let kernel = vcpu.instance();
    let image = kernel.image();
    let registers = &mut context.uc_mcontext.gregs;
    let ip = registers[libc::REG_RIP as usize] as u64;
    let sp = registers[libc::REG_RSP as usize] as u64;
    let in_text = (image.text_start..image.text_end).contains(&ip);
    let on_kernel_stack = kernel.memory.owns(sp);
    if !in_text && !on_kernel_stack {
        // A host operation's own fault: it runs on the thread's stack.
        return false;
    }
    if in_text {
        // SAFETY: these signals come with an address.
        let address = unsafe { info.si_addr() } as u64;
        if signal == libc::SIGSEGV && kernel.memory.restore(address) {
            return true;
        }
        // SAFETY: the table is part of the image and never written after boot.
        if let Some(fixup) = unsafe { find_fixup(image.extable, image.extable_end, ip) } {
            registers[libc::REG_RIP as usize] = fixup as i64;
            return true;
        }
    }
    if let Some(stack) = report_stack(kernel, sp)
        && !vcpu.fault.taken.swap(true, SeqCst)
    {
        // SAFETY: we took the slot; these signals come with an address.
        unsafe {
            *vcpu.fault.fault.get() = Fault {
                ip,
                sp,
                addr: info.si_addr() as u64,
                signal: signal as u64,
            };
        }
        registers[libc::REG_RDI as usize] = vcpu.fault.fault.get() as i64;
        // As after a call: the return address is missing, and never used.
        registers[libc::REG_RSP as usize] = ((stack & !15) - 8) as i64;
        registers[libc::REG_RIP as usize] = image.fault as *const () as i64;
    } else {
        // SAFETY: this thread holds the CPU.
        unsafe { (*vcpu.state()).stop = stop::PANIC };
        registers[libc::REG_RDI as usize] = vcpu.state() as i64;
        registers[libc::REG_RIP as usize] = image.abandon as *const () as i64;
    }
    true
}

/// The stack pointer for the report of a fault: in the current stack, or in another one
/// if that has no room.
///
/// Called in a signal handler of a thread that ran the kernel's code, which does not hold
/// the lock on the stacks.
fn report_stack(kernel: &Instance, sp: u64) -> Option<u64> {
    if kernel.memory.is_stack_with_room(sp, REPORT_ROOM) {
        return Some(sp);
    }
    let other = kernel.memory.stack_alloc().ok()?;
    Some(other.addr() as u64)
}

/// # Safety
///
/// `start..end` is the exception table of a loaded image.
unsafe fn find_fixup(start: *const ExtableEntry, end: *const ExtableEntry, ip: u64) -> Option<u64> {
    let mut entry = start;
    while entry < end {
        // SAFETY: inside the table.
        unsafe {
            let insn = &raw const (*entry).insn;
            if (insn as u64).wrapping_add_signed((*insn).into()) == ip {
                let fixup = &raw const (*entry).fixup;
                return Some((fixup as u64).wrapping_add_signed((*fixup).into()));
            }
            entry = entry.add(1);
        }
    }
    None
}

/// Calls the previous handler. If the previous action is the default, it is restored, and
/// takes effect when the instruction is repeated.
///
/// # Safety
///
/// Called by the signal handler with its arguments.
unsafe fn pass_on(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let index = SIGNALS.iter().position(|&s| s == signal);
    let previous = index.map_or(ptr::null_mut(), |index| PREVIOUS[index].load(SeqCst));
    // SAFETY: by the invariant of `PREVIOUS`.
    let previous = unsafe { previous.as_ref() };
    // SAFETY: a handler that the host program installed for this signal, called
    // as its flags demand; or the default action.
    unsafe {
        match previous {
            Some(old) if old.sa_sigaction == libc::SIG_IGN || old.sa_sigaction == libc::SIG_DFL => {
                libc::sigaction(signal, old, ptr::null_mut());
            }
            Some(old) if old.sa_flags & libc::SA_SIGINFO != 0 => {
                let call: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) =
                    std::mem::transmute(old.sa_sigaction);
                call(signal, info, context);
            }
            Some(old) => {
                let call: extern "C" fn(i32) = std::mem::transmute(old.sa_sigaction);
                call(signal);
            }
            None => {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
}
