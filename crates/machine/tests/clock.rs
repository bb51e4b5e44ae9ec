//! Kernels with the program's own clock, console and random source (`Host`).

mod common;

use common::{call, nr, read, write};
use drupe_host::{Host, ManualClock, TimerWaker};
use drupe_machine::{Config, Machine};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::TryRecvError;
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

/// Numbers of `include/uapi/asm-generic/unistd.h`.
const FSTAT: usize = 80;
const CLOCK_GETTIME: usize = 113;
const SCHED_YIELD: usize = 124;
const GETRANDOM: usize = 278;

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);
/// 2023-11-14 22:13:20 UTC.
const START: Duration = Duration::from_secs(1_700_000_000);

fn boot(host: impl Host) -> Arc<Machine> {
    Machine::boot(Config {
        host: Arc::new(host),
        ..common::config()
    })
    .expect("a kernel boots")
}

fn manual() -> (Arc<Machine>, ManualClock) {
    let clock = ManualClock::new(UNIX_EPOCH + START);
    (boot(clock.clone()), clock)
}

fn time(machine: &Machine, clock: i32) -> Duration {
    let mut time = [0u64; 2];
    let args = [clock as usize, time.as_mut_ptr() as usize];
    call(machine, CLOCK_GETTIME, &args).unwrap();
    Duration::new(time[0], time[1] as u32)
}

fn open(machine: &Machine, path: &str, flags: i32) -> usize {
    let path = std::ffi::CString::new(path).unwrap();
    let args = [0, path.as_ptr() as usize, flags as usize, 0o600];
    call(machine, nr::OPENAT, &args).unwrap()
}

/// State of a task, as in `proc(5)`: S for one that is blocked in a call, P for
/// one whose thread is in none.
fn state(machine: &Machine, tid: usize) -> u8 {
    let fd = open(machine, &format!("/proc/1/task/{tid}/stat"), libc::O_RDONLY);
    let mut text = [0; 512];
    let len = read(machine, fd, &mut text).unwrap();
    call(machine, nr::CLOSE, &[fd]).unwrap();
    let name_end = text[..len].iter().rposition(|&b| b == b')').unwrap();
    text[name_end + 2]
}

fn mount_proc(machine: &Machine) {
    let (kind, dir) = (c"proc", c"/proc");
    // The directory is there or not: both will do.
    let _ = call(machine, 34, &[0, dir.as_ptr() as usize, 0o755]);
    let args = [kind.as_ptr(), dir.as_ptr(), kind.as_ptr()].map(|p| p as usize);
    call(machine, nr::MOUNT, &args).unwrap();
}

#[test]
fn the_clocks_show_what_they_are_told() {
    let (machine, clock) = manual();
    assert_eq!(time(&machine, libc::CLOCK_MONOTONIC), Duration::ZERO);
    assert_eq!(time(&machine, libc::CLOCK_REALTIME), START);
    let mut told = Duration::ZERO;
    for step in [Duration::from_nanos(1), TICK, HOUR, 24 * 365 * HOUR] {
        clock.advance(step);
        told += step;
        assert_eq!(time(&machine, libc::CLOCK_MONOTONIC), told);
        assert_eq!(time(&machine, libc::CLOCK_REALTIME), START + told);
    }
    machine.halt().unwrap();
}

#[test]
fn an_hour_is_slept_when_the_clock_says_so() {
    let (machine, clock) = manual();
    mount_proc(&machine);
    let woke = AtomicBool::new(false);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|s| {
        s.spawn(|| {
            sender
                .send(call(&machine, nr::GETTID, &[]).unwrap())
                .unwrap();
            let nap: [i64; 2] = [3600, 0];
            call(&machine, nr::NANOSLEEP, &[nap.as_ptr() as usize, 0]).unwrap();
            assert_eq!(time(&machine, libc::CLOCK_MONOTONIC), HOUR);
            woke.store(true, SeqCst);
        });
        let tid = receiver.recv().unwrap();
        while state(&machine, tid) != b'S' {
            thread::yield_now();
        }
        // A timer that has expired makes the task runnable before the call
        // that looks at it is made.
        clock.advance(HOUR - Duration::from_nanos(1));
        assert_eq!(state(&machine, tid), b'S');
        assert!(!woke.load(SeqCst));
        clock.advance(Duration::from_nanos(1));
    });
    assert!(woke.load(SeqCst));
    machine.halt().unwrap();
}

#[test]
fn what_is_due_is_not_waited_for() {
    const CLOCK_NANOSLEEP: usize = 115;
    let (machine, clock) = manual();
    let sleep = |flags: i32, seconds: i64| {
        let until = [seconds, 0];
        let args = [1, flags as usize, until.as_ptr() as usize, 0];
        call(&machine, CLOCK_NANOSLEEP, &args).unwrap();
    };
    for _ in 0..3 {
        sleep(0, 0);
        sleep(libc::TIMER_ABSTIME, 0);
        sleep(
            libc::TIMER_ABSTIME,
            time(&machine, libc::CLOCK_MONOTONIC).as_secs() as i64,
        );
        clock.advance(HOUR);
    }
    machine.halt().unwrap();
}

/// Nobody calls the kernel while its clock advances.
#[test]
fn a_sleeper_is_woken_without_another_call() {
    let (machine, clock) = manual();
    let (sender, receiver) = mpsc::channel();
    thread::scope(|s| {
        let machine = &machine;
        s.spawn(move || {
            for _ in 0..100 {
                let nap: [i64; 2] = [0, 1_000_000];
                call(machine, nr::NANOSLEEP, &[nap.as_ptr() as usize, 0]).unwrap();
            }
            sender.send(()).unwrap();
        });
        // How often it takes depends on when the sleeper sleeps.
        while let Err(TryRecvError::Empty) = receiver.try_recv() {
            clock.advance(Duration::from_millis(1));
            thread::yield_now();
        }
    });
    assert!(clock.now() >= Duration::from_millis(100));
    machine.halt().unwrap();
}

/// As when the process is stopped for months, again and again, in the middle of
/// whatever it computes: what runs then has not run so long.
#[test]
fn the_scheduler_bears_any_jump() {
    const MONTHS: Duration = Duration::from_secs(12_000_000);
    let (machine, clock) = manual();
    let jumping = AtomicBool::new(true);
    thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| {
                let mut bytes = vec![0u8; 1 << 20];
                while jumping.load(SeqCst) {
                    let arguments = [bytes.as_mut_ptr() as usize, bytes.len(), 0];
                    call(&machine, GETRANDOM, &arguments).unwrap();
                }
            });
        }
        for _ in 0..60 {
            clock.advance(MONTHS);
            call(&machine, SCHED_YIELD, &[]).unwrap();
        }
        jumping.store(false, SeqCst);
    });
    machine.halt().unwrap();
}

/// What the files of a tmpfs show, in ns since the clock was made.
fn file_times() -> Vec<u64> {
    let (machine, clock) = manual();
    let mut times = Vec::new();
    for step in [TICK, 7 * TICK, Duration::from_nanos(1_234_567), HOUR] {
        clock.advance(step);
        let fd = open(&machine, "/file", libc::O_CREAT | libc::O_RDWR);
        write(&machine, fd, b"x").unwrap();
        // The generic `struct stat`: mtime at 88.
        let mut stat = [0u64; 16];
        call(&machine, FSTAT, &[fd, stat.as_mut_ptr() as usize]).unwrap();
        let mtime = Duration::new(stat[11], stat[12] as u32) - START;
        // Files have the time of a recent tick.
        assert!(mtime <= clock.now() && clock.now() < mtime + 2 * TICK);
        times.push(mtime.as_nanos() as u64);
        call(&machine, nr::CLOSE, &[fd]).unwrap();
    }
    machine.halt().unwrap();
    times
}

#[test]
fn files_have_the_same_times_in_every_run() {
    let first = file_times();
    for _ in 0..5 {
        assert_eq!(file_times(), first);
    }
}

/// A host that notes what it is told, and panics when it is told to.
#[derive(Clone)]
struct Custom(Arc<Notes>);

struct Notes {
    clock: ManualClock,
    panics: AtomicBool,
    console: Mutex<Vec<u8>>,
    machine: OnceLock<Arc<Machine>>,
    /// What a call from `monotonic` gave, and one from `timeout` in a thread of
    /// the kernel's own.
    nested: [OnceLock<String>; 2],
}

impl Custom {
    fn new() -> Custom {
        Custom(Arc::new(Notes {
            clock: ManualClock::new(UNIX_EPOCH + START),
            panics: false.into(),
            console: Mutex::default(),
            machine: OnceLock::new(),
            nested: Default::default(),
        }))
    }

    fn call_back(&self, nested: usize) {
        if let Some(machine) = self.0.machine.get() {
            let result = || format!("{:?}", call(machine, nr::GETPID, &[]));
            self.0.nested[nested].get_or_init(result);
        }
    }

    fn maybe_panic(&self) {
        if self.0.panics.load(SeqCst) {
            // Not through the hook: it would print thousands of these.
            std::panic::resume_unwind(Box::new("as requested"));
        }
    }
}

impl Host for Custom {
    fn monotonic(&self) -> u64 {
        self.maybe_panic();
        self.call_back(0);
        self.0.clock.monotonic()
    }
    fn wall_clock(&self) -> i64 {
        self.0.clock.wall_clock()
    }
    fn timeout(&self, deadline: u64) -> Option<Duration> {
        self.maybe_panic();
        let name = std::fs::read_to_string("/proc/thread-self/comm");
        if name.is_ok_and(|name| name.trim_end() == "drupe-timer") {
            self.call_back(1);
        }
        self.0.clock.timeout(deadline)
    }
    fn attach(&self, waker: TimerWaker) {
        self.0.clock.attach(waker);
    }
    fn console(&self, text: &[u8]) {
        self.0.console.lock().unwrap().extend_from_slice(text);
        self.maybe_panic();
    }
}

#[test]
fn the_console_is_the_hosts() {
    let host = Custom::new();
    let machine = boot(host.clone());
    let text = String::from_utf8(host.0.console.lock().unwrap().clone()).unwrap();
    assert!(text.contains("Linux version 6.12"), "{text}");
    assert_eq!(machine.log(), text);
}

#[test]
fn a_host_that_panics_stops_no_kernel() {
    let host = Custom::new();
    let machine = boot(host.clone());
    host.0.clock.advance(HOUR);
    assert_eq!(time(&machine, libc::CLOCK_MONOTONIC), HOUR);
    host.0.panics.store(true, SeqCst);
    host.0.clock.advance(HOUR);
    assert_eq!(time(&machine, libc::CLOCK_MONOTONIC), HOUR);
    let kmsg = open(&machine, "/kmsg", libc::O_CREAT | libc::O_RDWR);
    assert_eq!(write(&machine, kmsg, b"x").unwrap(), 1);
    host.0.panics.store(false, SeqCst);
    assert_eq!(time(&machine, libc::CLOCK_MONOTONIC), 2 * HOUR);
    machine.halt().unwrap();
}

#[test]
fn a_call_from_the_clock_is_refused() {
    let host = Custom::new();
    let machine = boot(host.clone());
    assert!(host.0.machine.set(Arc::clone(&machine)).is_ok());
    for nested in &host.0.nested {
        while nested.get().is_none() {
            host.0.clock.advance(HOUR);
            time(&machine, libc::CLOCK_MONOTONIC);
        }
        assert_eq!(nested.get().unwrap(), "Err(Reentered)");
    }
    machine.halt().unwrap();
}

#[test]
fn without_random_numbers_there_is_no_kernel() {
    struct NoRandom;
    impl Host for NoRandom {
        fn random(&self, _seed: &mut [u8]) -> io::Result<()> {
            Err(io::Error::from_raw_os_error(libc::ENOSYS))
        }
    }
    let host = Arc::new(NoRandom);
    let result = Machine::boot(Config {
        host,
        ..common::config()
    });
    let error = result.unwrap_err().to_string();
    assert!(error.contains("its random seed: Function not"), "{error}");
}

#[test]
fn the_seed_is_the_hosts() {
    struct Seeds(mpsc::Sender<usize>);
    impl Host for Seeds {
        fn random(&self, seed: &mut [u8]) -> io::Result<()> {
            seed.fill(7);
            self.0.send(seed.len()).map_err(io::Error::other)
        }
    }
    let (sender, receiver) = mpsc::channel();
    let machine = boot(Seeds(sender));
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [32]);
    let mut bytes = [0u8; 32];
    // GRND_NONBLOCK: an error if the generator were not seeded.
    let args = [bytes.as_mut_ptr() as usize, bytes.len(), 1];
    assert_eq!(call(&machine, GETRANDOM, &args).unwrap(), 32);
}

/// The kernel's own counter may not be 0 all the time: the random generator warns
/// that there is none.
#[test]
fn a_clock_that_stands_still_is_a_clock() {
    let clock = ManualClock::new(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    let machine = Machine::boot(Config {
        host: Arc::new(clock),
        ..Config::default()
    });
    let log = machine.unwrap().log();
    assert!(!log.contains("WARNING"), "{log}");
}

/// From the first call on, and however long the boot took: the kernel's clock is
/// read between two readings of the host's.
#[test]
fn the_wall_clock_is_the_hosts() {
    let host = || std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    for _ in 0..5 {
        let machine = common::machine();
        for _ in 0..100 {
            let before = host().unwrap();
            let kernel = time(&machine, libc::CLOCK_REALTIME);
            let after = host().unwrap();
            let early = before.saturating_sub(kernel);
            let late = kernel.saturating_sub(after);
            assert!(
                before <= kernel && kernel <= after,
                "early by {early:?}, late by {late:?}"
            );
        }
        machine.halt().unwrap();
    }
}

/// A clock that others advance while kernels boot: the machine is left in the
/// middle of its first request, and entered for the timer.
#[test]
fn kernels_boot_while_the_clock_is_advanced() {
    let clock = ManualClock::new(UNIX_EPOCH);
    let done = AtomicBool::new(false);
    thread::scope(|s| {
        s.spawn(|| {
            while !done.load(SeqCst) {
                clock.advance(Duration::from_millis(1));
                thread::yield_now();
            }
        });
        let machines: Vec<_> = (0..10).map(|_| boot(clock.clone())).collect();
        done.store(true, SeqCst);
        for machine in machines {
            assert_eq!(call(&machine, nr::GETPID, &[]).unwrap(), 1);
            machine.halt().unwrap();
        }
    });
}
