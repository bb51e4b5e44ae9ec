//! Signals between tasks of a kernel: they interrupt a call, or have no effect.

mod common;

use common::{call, errno, machine, nr, pipe, read, write};
use drupe_machine::{Error, Machine, with_deadline};
use std::time::{Duration, Instant};

const KILL: usize = 129;
const TGKILL: usize = 131;
const RT_SIGACTION: usize = 134;
const RT_SIGPROCMASK: usize = 135;
const RT_SIGPENDING: usize = 136;
const SETITIMER: usize = 103;
const EPOLL_CREATE1: usize = 20;
const EPOLL_PWAIT: usize = 22;
const PSELECT6: usize = 72;
const PPOLL: usize = 73;
const RT_SIGSUSPEND: usize = 133;

/// `struct sigaction` of the generic ABI: handler, flags, mask.
fn handle(machine: &Machine, signal: i32, handler: usize) {
    let action = [handler, 0, 0];
    let args = [signal as usize, action.as_ptr() as usize, 0, 8];
    call(machine, RT_SIGACTION, &args).unwrap();
}

#[test]
fn a_broken_pipe_is_an_error_only() {
    let machine = machine();
    let (reader, writer) = pipe(&machine);
    call(&machine, nr::CLOSE, &[reader]).unwrap();
    assert_eq!(errno(write(&machine, writer, &[1])), libc::EPIPE);
    assert_eq!(call(&machine, nr::GETPID, &[]).unwrap(), 1);
}

#[test]
fn every_signal_with_its_default_action_is_ignored() {
    let machine = machine();
    let tid = call(&machine, nr::GETTID, &[]).unwrap();
    for signal in 1..65 {
        call(&machine, KILL, &[1, signal]).unwrap();
        call(&machine, TGKILL, &[1, tid, signal]).unwrap();
        assert_eq!(call(&machine, nr::GETPID, &[]).unwrap(), 1, "{signal}");
    }
    machine.halt().unwrap();
}

#[test]
fn an_alarm_with_a_handler_interrupts() {
    let machine = machine();
    // No handler runs: the address is never used.
    handle(&machine, libc::SIGALRM, 4096);
    // Every 2 ms: the first may come before the call that it is to interrupt.
    let interval: [i64; 4] = [0, 2000, 0, 2000];
    call(&machine, SETITIMER, &[0, interval.as_ptr() as usize, 0]).unwrap();
    assert_eq!(errno(call(&machine, PPOLL, &[0; 5])), libc::EINTR);
}

#[test]
fn a_blocked_signal_stays_pending() {
    let machine = machine();
    handle(&machine, libc::SIGUSR1, 4096);
    let mask = 1u64 << (libc::SIGUSR1 - 1);
    let args = [0, &raw const mask as usize, 0, 8];
    call(&machine, RT_SIGPROCMASK, &args).unwrap();
    let tid = call(&machine, nr::GETTID, &[]).unwrap();
    call(&machine, TGKILL, &[1, tid, libc::SIGUSR1 as usize]).unwrap();
    let mut pending = 0u64;
    call(&machine, RT_SIGPENDING, &[&raw mut pending as usize, 8]).unwrap();
    assert_eq!(pending, mask);
    // Let in, it interrupts the next call that blocks, or one before it.
    let args = [1, &raw const mask as usize, 0, 8];
    call(&machine, RT_SIGPROCMASK, &args).unwrap();
    call(&machine, RT_SIGPENDING, &[&raw mut pending as usize, 8]).unwrap();
    assert_eq!(pending, 0);
    let (reader, writer) = pipe(&machine);
    write(&machine, writer, &[1]).unwrap();
    assert_eq!(read(&machine, reader, &mut [0]).unwrap(), 1);
}

/// The signals that the calling thread's task blocks.
fn blocked(machine: &Machine) -> u64 {
    let mut mask = 0u64;
    let args = [0, 0, &raw mut mask as usize, 8];
    call(machine, RT_SIGPROCMASK, &args).unwrap();
    mask
}

/// The calls that wait with a signal mask of their own, made with `mask`.
fn waits_with_mask(machine: &Machine, mask: &u64, wait: impl Fn(usize, &[usize])) {
    let mask = std::ptr::from_ref(mask) as usize;
    let mut event = [0u64; 2];
    let event = event.as_mut_ptr() as usize;
    let epoll = call(machine, EPOLL_CREATE1, &[0]).unwrap();
    let pair = [mask, 8];
    wait(PPOLL, &[0, 0, 0, mask, 8]);
    wait(PSELECT6, &[0, 0, 0, 0, 0, pair.as_ptr() as usize]);
    wait(EPOLL_PWAIT, &[epoll, event, 1, usize::MAX, mask, 8]);
    wait(RT_SIGSUSPEND, &[mask, 8]);
}

#[test]
fn a_mask_for_one_call_is_gone_after_it() {
    let machine = machine();
    let usual = 1u64 << (libc::SIGUSR1 - 1);
    let args = [2, &raw const usual as usize, 0, 8];
    call(&machine, RT_SIGPROCMASK, &args).unwrap();
    let other = 1u64 << (libc::SIGUSR2 - 1);
    // Each call is interrupted by its deadline while it waits.
    waits_with_mask(&machine, &other, |nr, args| {
        let soon = Instant::now() + Duration::from_millis(5);
        let result = with_deadline(soon, || call(&machine, nr, args));
        assert!(matches!(result, Err(Error::TimedOut)), "{nr}: {result:?}");
        assert_eq!(blocked(&machine), usual, "after {nr}");
    });
    // A signal that only the call lets in ends it.
    handle(&machine, libc::SIGUSR1, 4096);
    let tid = call(&machine, nr::GETTID, &[]).unwrap();
    waits_with_mask(&machine, &other, |nr, args| {
        call(&machine, TGKILL, &[1, tid, libc::SIGUSR1 as usize]).unwrap();
        assert_eq!(errno(call(&machine, nr, args)), libc::EINTR, "{nr}");
        assert_eq!(blocked(&machine), usual, "after {nr}");
    });
    machine.halt().unwrap();
}
