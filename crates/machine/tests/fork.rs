//! `fork(2)` of the program: the kernels stay with the parent, and the child can boot its
//! own, at any moment of the parent.

mod common;

use common::{call, config, machine, nr, pipe, read, write};
use drupe_host::disk::FileDisk;
use drupe_machine::{Config, Error, Machine};
use std::env;
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

/// Starts a child process that succeeds if `child` returns true.
fn fork(child: impl FnOnce() -> bool) -> i32 {
    // SAFETY: the child uses what a child of a process with threads may use:
    // glibc's allocator can be used after a fork.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        let good = catch_unwind(AssertUnwindSafe(child)).unwrap_or(false);
        // SAFETY: ends the child without running the parent's destructors.
        unsafe { libc::_exit(i32::from(!good)) };
    }
    pid
}

/// Waits for the child `pid`, or for any (-1); returns whether it succeeded.
fn succeeds(pid: i32) -> bool {
    let mut status = 0;
    // SAFETY: the child is ours.
    let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
    assert!(waited > 0, "waitpid");
    status == 0
}

/// Runs `child` in a child process; returns whether it returned true.
fn in_child(child: impl FnOnce() -> bool) -> bool {
    succeeds(fork(child))
}

#[test]
fn a_child_has_no_kernel_and_the_parent_goes_on() {
    let one = machine();
    let two = machine();
    let (reader, writer) = pipe(&one);
    let interrupter = one.interrupter().unwrap();
    let path = std::env::temp_dir().join(format!("drupe-fork-{}", std::process::id()));
    std::fs::write(&path, vec![0; 1 << 20]).unwrap();
    let disk = Arc::new(FileDisk::open(&path, false).unwrap());
    one.add_disk(disk.clone()).unwrap();

    let forked = |result: Result<usize, Error>| matches!(result, Err(Error::Forked));
    thread::scope(|s| {
        // A thread that is in a call while the process forks.
        let blocked = s.spawn(|| read(&one, reader, &mut [0]).unwrap());
        let copies = (Arc::clone(&one), Arc::clone(&two));
        assert!(in_child(move || {
            let refused = forked(call(&copies.0, nr::GETPID, &[]))
                && forked(call(&copies.1, nr::GETPID, &[]))
                && matches!(interrupter.interrupt(), Err(Error::Forked))
                && matches!(copies.0.halt(), Err(Error::Forked));
            // The parent's locks and memory stay as they are.
            drop(disk);
            drop(copies);
            let own = machine();
            let works = call(&own, nr::GETPID, &[]).unwrap() == 1;
            own.halt().unwrap();
            refused && works
        }));
        let second = FileDisk::open(&path, false).map_err(|error| error.kind());
        assert_eq!(second.err(), Some(std::io::ErrorKind::WouldBlock), "lock");
        write(&one, writer, &[1]).unwrap();
        assert_eq!(blocked.join().unwrap(), 1);
    });
    assert_eq!(call(&two, nr::GETPID, &[]).unwrap(), 1);
    one.halt().unwrap();
    std::fs::remove_file(&path).unwrap();
}

/// What a process of [`a_child_of_a_first_boot_can_boot`] boots: `cold`, or `restored`.
const ROLE: &str = "DRUPE_TEST_ROLE";

/// Processes of each kind; a process has one first boot.
const PROCESSES: usize = 5;

/// Forks while a kernel boots.
const FORKS: usize = 40;

/// Seconds that a child may take.
const PATIENCE: u32 = 20;

#[test]
fn a_child_of_a_first_boot_can_boot() {
    match env::var(ROLE).as_deref() {
        Ok("cold") => fork_while_booting(|| Config {
            snapshot: None,
            ..config()
        }),
        Ok(_) => fork_while_booting(config),
        Err(_) => {
            for role in ["restored", "cold"].repeat(PROCESSES) {
                let output = Command::new(env::current_exe().unwrap())
                    .args(["--exact", "a_child_of_a_first_boot_can_boot", "--nocapture"])
                    .env(ROLE, role)
                    .output()
                    .unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{role}: {said}");
            }
        }
    }
}

/// Forks as often as it can while the first kernel of the process boots. The children
/// boot one after the other, when that is done.
fn fork_while_booting(config: fn() -> Config) {
    let (mut told, mut teller) = std::io::pipe().unwrap();
    let (begun, booted) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut children = 0;
    thread::scope(|s| {
        s.spawn(|| {
            begun.store(true, SeqCst);
            let machine = Machine::boot(config()).expect("a kernel boots");
            booted.store(true, SeqCst);
            machine.halt().unwrap();
        });
        while !begun.load(SeqCst) {
            std::hint::spin_loop();
        }
        while children < FORKS && !booted.load(SeqCst) {
            children += 1;
            fork(|| {
                told.read_exact(&mut [0]).unwrap();
                // SAFETY: the default action ends the process.
                unsafe { libc::alarm(PATIENCE) };
                let own = Machine::boot(config()).expect("a kernel boots");
                call(&own, nr::GETPID, &[]).unwrap() == 1
            });
        }
    });
    let failed = (0..children).filter(|_| {
        teller.write_all(&[0]).unwrap();
        !succeeds(-1)
    });
    assert_eq!(failed.count(), 0, "of {children} children");
}

/// The child asks what takes a lock, while threads of the parent ask the same.
#[test]
fn a_child_may_ask_anything_of_the_parents_kernel() {
    const FORKS: usize = 60;
    let kernel = machine();
    let (reader, _writer) = pipe(&kernel);
    let interrupter = kernel.interrupter().unwrap();
    let watch = || kernel.watch(reader as i32, Arc::new(|| {})).unwrap();
    let disk = || {
        let added = kernel.add_disk(common::blank_disk(|_| {}));
        if let Ok(id) = added {
            kernel.remove_disk(id).unwrap();
        }
    };
    let stop = AtomicBool::new(false);
    let log = || drop((kernel.log(), kernel.logged()));
    let interrupt = || drop(interrupter.interrupt());
    let watched = || drop(watch());
    let asked: [&(dyn Fn() + Sync); 4] = [&interrupt, &log, &watched, &disk];
    thread::scope(|s| {
        for ask in asked {
            let stop = &stop;
            s.spawn(move || {
                while !stop.load(SeqCst) {
                    ask();
                }
            });
        }
        for number in 0..FORKS {
            let watch = watch();
            let lives = in_child(|| {
                // Ends the child that waits for a lock.
                // SAFETY: always possible.
                unsafe { libc::alarm(10) };
                drop(watch);
                let forked = |result: Result<(), Error>| matches!(result, Err(Error::Forked));
                kernel.log().is_empty()
                    && kernel.logged() == 0
                    && forked(interrupter.interrupt())
                    && forked(kernel.add_disk(common::blank_disk(|_| {})).map(drop))
                    && forked(kernel.watch(reader as i32, Arc::new(|| {})).map(drop))
                    && forked(kernel.halt())
            });
            if !lives {
                stop.store(true, SeqCst);
                panic!("the child of fork {number} hangs");
            }
        }
        stop.store(true, SeqCst);
    });
    kernel.halt().unwrap();
}
