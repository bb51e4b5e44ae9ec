//! A kernel that dies: the process lives, and is told why.

mod common;

use common::{call, machine, nr, pipe, read};
use drupe_machine::{Crash, Error};
use std::sync::mpsc;
use std::thread;

/// The death of a kernel that broke like this.
fn report(how: Crash) -> (String, String) {
    let machine = machine();
    let error = machine.crash(how).unwrap_err();
    let Error::Dead(report) = error else {
        panic!("{how:?} gave {error:?}");
    };
    let later = call(&machine, nr::GETPID, &[]);
    assert!(matches!(later, Err(Error::Dead(_))), "{later:?}");
    assert!(matches!(machine.halt(), Err(Error::Dead(_))));
    (report.message.clone(), report.log.clone())
}

#[test]
fn a_panic_is_an_error_with_log_and_backtrace() {
    let (message, log) = report(Crash::Panic);
    assert_eq!(message, "as requested");
    assert!(log.contains("Linux version 6.12"), "{log}");
    assert!(
        log.contains("Kernel panic - not syncing: as requested"),
        "{log}"
    );
    assert!(log.contains("Call Trace:"), "{log}");
    assert!(log.contains("drupe_do_request"), "{log}");
}

#[test]
fn a_bug_is_an_error() {
    let (message, log) = report(Crash::Bug);
    assert_eq!(message, "BUG!");
    assert!(
        log.contains("kernel BUG at") || log.contains("BUG: failure at"),
        "{log}"
    );
}

#[test]
fn a_wild_read_is_an_error() {
    let (message, log) = report(Crash::Read);
    assert!(message.starts_with("fatal fault at "), "{message}");
    assert!(
        log.contains("signal 11 in the kernel: address 0000000000000008"),
        "{log}"
    );
    assert!(log.contains("drupe_do_request"), "{log}");
}

#[test]
fn a_wild_jump_is_an_error() {
    let (message, log) = report(Crash::Jump);
    assert!(message.starts_with("fatal fault at "), "{message}");
    assert!(log.contains("drupe_do_request"), "{log}");
}

/// It ends at the guard page; the report runs on another stack.
#[test]
fn a_stack_overflow_is_an_error_and_spares_the_neighbours() {
    let living = machine();
    let dying = machine();
    let (reader, _writer) = pipe(&dying);
    thread::scope(|s| {
        // Tasks whose stacks lie beside that of the one that dies.
        for _ in 0..4 {
            s.spawn(|| read(&dying, reader, &mut [0]).unwrap_err());
        }
        let error = dying.crash(Crash::Overflow).unwrap_err();
        let Error::Dead(report) = error else {
            panic!("not a death: {error:?}");
        };
        assert!(
            report.message.starts_with("stack overflow at "),
            "{}",
            report.message
        );
        assert!(report.log.contains("Call Trace:"), "{}", report.log);
        // The recursion is in the trace, and does not fill the log.
        let lines = report
            .log
            .lines()
            .filter(|line| line.contains(" ? "))
            .count();
        assert!((10..100).contains(&lines), "{}", report.log);
    });
    assert_eq!(call(&living, nr::GETPID, &[]).unwrap(), 1);
    living.halt().unwrap();
}

#[test]
fn death_ends_blocked_calls_and_spares_other_kernels() {
    let (dying, living) = (machine(), machine());
    let (reader, _writer) = pipe(&dying);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|s| {
        let blocked = s.spawn(|| {
            call(&dying, nr::GETTID, &[]).unwrap();
            sender.send(()).unwrap();
            read(&dying, reader, &mut [0])
        });
        receiver.recv().unwrap();
        dying.crash(Crash::Read).unwrap_err();
        assert!(matches!(blocked.join().unwrap(), Err(Error::Dead(_))));
    });
    assert_eq!(call(&living, nr::GETPID, &[]).unwrap(), 1);
    living.halt().unwrap();
}
