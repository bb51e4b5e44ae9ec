//! Signal handlers of the program, while its threads are inside of kernels.

mod common;

use common::{blank_disk, call, machine, nr, pipe, read, write};
use drupe_machine::{Error, Machine};
use std::cell::Cell;
use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;

/// Runs the test `name` of this file once more, in a process of its own, with
/// `role` for it to see. Returns the signal that ended the process.
fn in_a_process(name: &str, role: &str) -> Option<i32> {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", name, "--nocapture"])
        .env(ROLE, role);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() != Some(101), "{role}: {text}");
    output.status.signal()
}

const ROLE: &str = "DRUPE_TEST_ROLE";

fn set_handler(signal: i32, handler: extern "C" fn(i32)) {
    // SAFETY: the handlers of these tests are async-signal-safe. Nothing but
    // the handler is set: no SA_ONSTACK.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        assert_eq!(libc::sigaction(signal, &action, ptr::null_mut()), 0);
    }
}

thread_local! {
    /// Where the thread's own stack is.
    static STACK: Cell<(usize, usize)> = const { Cell::new((0, usize::MAX)) };
}

fn note_own_stack() {
    // SAFETY: the attributes are filled in by the first call and freed by the last.
    unsafe {
        let mut attributes = std::mem::zeroed();
        let (mut start, mut size) = (ptr::null_mut(), 0);
        libc::pthread_getattr_np(libc::pthread_self(), &mut attributes);
        libc::pthread_attr_getstack(&attributes, &mut start, &mut size);
        libc::pthread_attr_destroy(&mut attributes);
        STACK.set((start as usize, start as usize + size));
    }
}

/// Fills the widest vector registers that the CPU has.
fn dirty_vectors(value: u64) {
    // SAFETY: each is used if the CPU has it; what is changed is said.
    unsafe {
        if is_x86_feature_detected!("avx512f") {
            std::arch::asm!(
                "vpbroadcastq zmm0, {value}", "vpbroadcastq zmm5, {value}",
                "vpbroadcastq zmm15, {value}", "vpbroadcastq zmm16, {value}",
                "vpbroadcastq zmm31, {value}", "kmovw k1, {value:e}",
                value = in(reg) value, out("zmm0") _, out("zmm5") _,
                out("zmm15") _, out("zmm16") _, out("zmm31") _, out("k1") _,
            );
        } else if is_x86_feature_detected!("avx2") {
            std::arch::asm!(
                "vmovq xmm0, {value}", "vpbroadcastq ymm0, xmm0",
                "vmovdqa ymm5, ymm0", "vmovdqa ymm15, ymm0",
                value = in(reg) value, out("ymm0") _, out("ymm5") _, out("ymm15") _,
            );
        } else {
            std::arch::asm!(
                "movq xmm0, {value}", "movq xmm15, {value}",
                value = in(reg) value, out("xmm0") _, out("xmm15") _,
            );
        }
    }
}

/// Handlers that ran on a stack of a kernel.
static ON_KERNEL_STACKS: AtomicU64 = AtomicU64::new(0);

/// Uses 32 KiB of stack and the vector registers.
extern "C" fn big_handler(_signal: i32) {
    let mut room = [0xa5u8; 32 << 10];
    std::hint::black_box(&mut room);
    dirty_vectors(u64::MAX);
    assert!(room.iter().all(|&byte| byte == 0xa5));
    let (start, end) = STACK.get();
    if !(start..end).contains(&(room.as_ptr() as usize)) {
        ON_KERNEL_STACKS.fetch_add(1, SeqCst);
    }
}

/// Sends the calling thread a signal every 50 µs.
fn start_timer() -> libc::timer_t {
    // SAFETY: the structures are filled in as timer_create(2) wants them.
    unsafe {
        let mut event: libc::sigevent = std::mem::zeroed();
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGALRM;
        event.sigev_notify_thread_id = libc::gettid();
        let mut timer = ptr::null_mut();
        assert_eq!(
            libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer),
            0
        );
        let interval = libc::timespec {
            tv_sec: 0,
            tv_nsec: 50_000,
        };
        let time = libc::itimerspec {
            it_interval: interval,
            it_value: interval,
        };
        assert_eq!(libc::timer_settime(timer, 0, &time, ptr::null_mut()), 0);
        timer
    }
}

/// Two threads whose calls are interrupted by handlers that need a lot of room.
#[test]
fn a_handler_may_use_32_kib_of_a_kernels_stack() {
    const FTRUNCATE: usize = 46;
    const PREAD64: usize = 67;
    const PWRITE64: usize = 68;
    const WANTED: u64 = 300;
    set_handler(libc::SIGALRM, big_handler);
    let machine = machine();
    thread::scope(|s| {
        for name in [c"/a", c"/b"] {
            let machine = &machine;
            s.spawn(move || {
                note_own_stack();
                let flags = (libc::O_CREAT | libc::O_RDWR) as usize;
                let args = [0, name.as_ptr() as usize, flags, 0o600];
                let fd = call(machine, nr::OPENAT, &args).unwrap();
                let mut back = vec![0u8; 256 << 10];
                let timer = start_timer();
                let mut round = 0u8;
                while ON_KERNEL_STACKS.load(SeqCst) < WANTED {
                    round = round.wrapping_add(1);
                    let data = vec![round; back.len()];
                    dirty_vectors(round.into());
                    let args = [fd, data.as_ptr() as usize, data.len(), 0];
                    assert_eq!(call(machine, PWRITE64, &args).unwrap(), data.len());
                    let args = [fd, back.as_mut_ptr() as usize, back.len(), 0];
                    assert_eq!(call(machine, PREAD64, &args).unwrap(), data.len());
                    assert!(back == data, "round {round}");
                    call(machine, FTRUNCATE, &[fd, 0]).unwrap();
                }
                // SAFETY: the timer is ours, and not used any more.
                unsafe { libc::timer_delete(timer) };
            });
        }
    });
    machine.halt().unwrap();
}

/// Uses 256 KiB if it runs on a stack of a kernel's, which have half of that.
extern "C" fn endless_handler(_signal: i32) {
    let here = 0u8;
    let (start, end) = STACK.get();
    if !(start..end).contains(&(&raw const here as usize)) {
        let mut room = [0xa5u8; 256 << 10];
        std::hint::black_box(&mut room);
    }
}

/// The kernel dies, and says why; the process goes on.
#[test]
fn a_handler_that_overflows_a_kernels_stack_is_named() {
    let name = "a_handler_that_overflows_a_kernels_stack_is_named";
    if env::var_os(ROLE).is_none() {
        assert_eq!(in_a_process(name, "overflow"), None);
        return;
    }
    note_own_stack();
    set_handler(libc::SIGALRM, endless_handler);
    let machine = machine();
    let timer = start_timer();
    let error = loop {
        if let Err(error) = call(&machine, nr::GETPID, &[]) {
            break error;
        }
    };
    // SAFETY: the timer is ours, and not used any more.
    unsafe { libc::timer_delete(timer) };
    let Error::Dead(report) = error else {
        panic!("not a death: {error:?}");
    };
    let message = &report.message;
    assert!(
        message.starts_with("stack overflow in a signal handler"),
        "{message}"
    );
    assert!(report.log.contains("Call Trace:"), "{}", report.log);
}

/// At any moment of a boot, the first one included.
#[test]
fn a_handler_that_overflows_while_a_kernel_boots_is_an_error() {
    const BOOTS: usize = 100;
    let name = "a_handler_that_overflows_while_a_kernel_boots_is_an_error";
    if env::var_os(ROLE).is_none() {
        assert_eq!(in_a_process(name, "boot"), None);
        return;
    }
    // A panic that does not end uses the processor until then.
    let limit = libc::rlimit {
        rlim_cur: 60,
        rlim_max: 60,
    };
    // SAFETY: a valid limit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_CPU, &limit) }, 0);
    note_own_stack();
    set_handler(libc::SIGALRM, endless_handler);
    let mut died = 0;
    for _ in 0..BOOTS {
        // That of a handler that did not return stays blocked.
        // SAFETY: a valid set of signals; the timer is ours.
        let timer = unsafe {
            let mut signals = std::mem::zeroed();
            libc::sigemptyset(&mut signals);
            libc::sigaddset(&mut signals, libc::SIGALRM);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &signals, ptr::null_mut());
            start_timer()
        };
        let booted = Machine::boot(common::config());
        // SAFETY: the timer is not used any more.
        unsafe { libc::timer_delete(timer) };
        match booted.and_then(|machine| machine.halt()) {
            Ok(()) => {}
            Err(Error::Dead(_)) => died += 1,
            Err(error) => panic!("not a death: {error:?}"),
        }
    }
    assert!(died > 0);
}

/// Jumps over the guard below a stack of a kernel's, as a function of C with a large
/// frame does that was built without `-fstack-clash-protection`.
extern "C" fn jumping_handler(_signal: i32) {
    let here = 0u8;
    let (start, end) = STACK.get();
    if !(start..end).contains(&(&raw const here as usize)) {
        // SAFETY: what is written to faults, or belongs to a kernel that ends.
        unsafe {
            std::arch::asm!(
                "sub rsp, 1048576",
                "mov qword ptr [rsp], 0",
                "add rsp, 1048576",
            );
        }
    }
}

#[test]
fn a_handler_that_jumps_over_the_guard_ends_the_kernel_only() {
    let name = "a_handler_that_jumps_over_the_guard_ends_the_kernel_only";
    if env::var_os(ROLE).is_none() {
        assert_eq!(in_a_process(name, "jump"), None);
        return;
    }
    note_own_stack();
    set_handler(libc::SIGALRM, jumping_handler);
    let machine = machine();
    let timer = start_timer();
    while call(&machine, nr::GETPID, &[]).is_ok() {}
    // SAFETY: the timer is ours, and not used any more.
    unsafe { libc::timer_delete(timer) };
    assert!(matches!(machine.halt(), Err(Error::Dead(_))));
}

/// Uses 3 KiB and the vector registers.
extern "C" fn small_handler(_signal: i32) {
    let mut room = [0xa5u8; 3 << 10];
    std::hint::black_box(&mut room);
    dirty_vectors(u64::MAX);
}

/// Handlers do not run on top of the library's own, on what is left of an alternate
/// stack.
#[test]
fn handlers_wait_for_the_handler_of_faults() {
    const ROUNDS: usize = 20_000;
    let name = "handlers_wait_for_the_handler_of_faults";
    if env::var_os(ROLE).is_none() {
        assert_eq!(in_a_process(name, "faults"), None);
        return;
    }
    set_handler(libc::SIGALRM, small_handler);
    let machine = machine();
    let (_reader, writer) = pipe(&machine);
    let timer = start_timer();
    for _ in 0..ROUNDS {
        // A bad pointer: a fault of the kernel's, with a fixup.
        let result = call(&machine, nr::WRITE, &[writer, 8, 1]);
        assert!(result.is_err(), "{result:?}");
    }
    // SAFETY: the timer is ours, and not used any more.
    unsafe { libc::timer_delete(timer) };
    machine.halt().unwrap();
}

/// The threads of the library's own, and which signals each blocks.
fn own_threads() -> Vec<(String, u64)> {
    let mut threads = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        // It may have ended.
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            Some(line[name.len()..].trim().to_owned())
        };
        let name = field("Name:").unwrap_or_default();
        if name.starts_with("drupe-") {
            let blocked = field("SigBlk:").expect("a mask");
            threads.push((name, u64::from_str_radix(&blocked, 16).unwrap()));
        }
    }
    threads
}

#[test]
fn no_handler_runs_on_threads_of_the_librarys_own() {
    let bit = |signal: i32| 1u64 << (signal - 1);
    let machine = machine();
    // Never ready at once: its requests go to a thread.
    machine.add_disk(blank_disk(|_| {})).unwrap();
    let threads = own_threads();
    for name in ["drupe-timer", "drupe-io"] {
        assert!(
            threads.iter().any(|(other, _)| other == name),
            "{threads:?}"
        );
    }
    let bits = |signals: &[i32]| signals.iter().fold(0, |all, &signal| all | bit(signal));
    let others = [
        libc::SIGALRM,
        libc::SIGTERM,
        libc::SIGINT,
        libc::SIGPROF,
        libc::SIGCHLD,
    ];
    let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL];
    for (name, blocked) in &threads {
        assert_eq!(blocked & bits(&others), bits(&others), "{name}");
    }
    // A thread that has just been started blocks all, until the C library has given
    // it its own mask.
    while own_threads()
        .iter()
        .any(|(_, blocked)| blocked & bits(&faults) != 0)
    {
        thread::yield_now();
    }
    machine.halt().unwrap();
}

/// Sends `signal` to a thread that waits inside of a kernel, and then asks the
/// kernel for something that faults.
fn send_to_a_blocked_thread(machine: &Machine, signal: i32) {
    let (reader, writer) = pipe(machine);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|s| {
        s.spawn(move || {
            call(machine, nr::GETTID, &[]).unwrap();
            // SAFETY: always possible.
            sender.send(unsafe { libc::pthread_self() }).unwrap();
            assert_eq!(read(machine, reader, &mut [0]).unwrap(), 1);
        });
        let thread = receiver.recv().unwrap();
        // SAFETY: the thread waits for the byte that is written below.
        unsafe { libc::pthread_kill(thread, signal) };
        write(machine, writer, &[1]).unwrap();
    });
    assert_eq!(common::errno(call(machine, nr::UNAME, &[8])), libc::EFAULT);
}

const FAULTS: [i32; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL];

/// A signal that is sent is no fault of the kernel's: it does what it would do
/// without a kernel.
#[test]
fn a_fault_signal_that_is_sent_ends_the_process() {
    const NAME: &str = "a_fault_signal_that_is_sent_ends_the_process";
    if let Ok(role) = env::var(ROLE) {
        let machine = machine();
        send_to_a_blocked_thread(&machine, role.parse().unwrap());
        panic!("the process lives");
    }
    for signal in FAULTS {
        assert_eq!(in_a_process(NAME, &signal.to_string()), Some(signal));
    }
}

#[test]
fn a_fault_signal_that_is_sent_reaches_the_programs_handler() {
    const NAME: &str = "a_fault_signal_that_is_sent_reaches_the_programs_handler";
    static SEEN: AtomicU64 = AtomicU64::new(0);
    extern "C" fn handler(_signal: i32) {
        SEEN.fetch_add(1, SeqCst);
    }
    if env::var(ROLE).is_err() {
        // The handlers of a process are set before its first kernel.
        assert_eq!(in_a_process(NAME, "all"), None);
        return;
    }
    for signal in FAULTS {
        set_handler(signal, handler);
    }
    let machine = machine();
    for (before, signal) in FAULTS.into_iter().enumerate() {
        send_to_a_blocked_thread(&machine, signal);
        assert_eq!(SEEN.load(SeqCst), before as u64 + 1);
    }
    machine.halt().unwrap();
}

/// A fault of the program's own, beside a kernel and in a host operation of one.
#[test]
fn a_fault_of_the_program_ends_the_process() {
    const NAME: &str = "a_fault_of_the_program_ends_the_process";
    fn fault() {
        // SAFETY: none: this is to fault.
        unsafe { std::arch::asm!("mov {0}, [{0}]", inout(reg) 8usize => _) };
    }
    match env::var(ROLE).as_deref() {
        Ok("outside") => {
            let _machine = machine();
            fault();
        }
        Ok("inside") => {
            let _ = Machine::boot(drupe_machine::Config {
                console: Some(Box::new(|_| fault())),
                ..drupe_machine::Config::default()
            });
        }
        _ => {
            for role in ["outside", "inside"] {
                assert_eq!(in_a_process(NAME, role), Some(libc::SIGSEGV), "{role}");
            }
        }
    }
}
