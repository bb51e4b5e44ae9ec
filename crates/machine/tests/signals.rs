//! Signals inside a kernel: they interrupt or do nothing, never more.

mod common;

use common::{call, errno, machine, nr, pipe, read, write};
use drupe_machine::Machine;

const KILL: usize = 129;
const TGKILL: usize = 131;
const RT_SIGACTION: usize = 134;
const RT_SIGPROCMASK: usize = 135;
const RT_SIGPENDING: usize = 136;
const SETITIMER: usize = 103;
const PAUSE_BY_PPOLL: usize = 73;

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
    assert_eq!(errno(call(&machine, PAUSE_BY_PPOLL, &[0; 5])), libc::EINTR);
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
