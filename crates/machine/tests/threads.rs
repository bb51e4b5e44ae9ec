//! Many threads in one kernel, and the names of their tasks.

mod common;

use common::{call, machine, nr, read};
use drupe_machine::{Config, Machine};
use std::sync::Barrier;
use std::thread;

const MKDIRAT: usize = 34;

fn mount_proc(machine: &Machine) {
    let (name, target) = (c"proc", c"/proc");
    let path = target.as_ptr() as usize;
    call(machine, MKDIRAT, &[0, path, 0o755]).unwrap();
    let name = name.as_ptr() as usize;
    call(machine, nr::MOUNT, &[name, path, name, 0, 0]).unwrap();
}

/// The content of a file of the kernel's.
fn file(machine: &Machine, path: &std::ffi::CStr) -> String {
    let fd = call(machine, nr::OPENAT, &[0, path.as_ptr() as usize, 0]).unwrap();
    let mut data = vec![0; 4096];
    let len = read(machine, fd, &mut data).unwrap();
    call(machine, nr::CLOSE, &[fd]).unwrap();
    data.truncate(len);
    String::from_utf8(data).unwrap()
}

/// How many tasks there are, of which how many are threads of process 1.
fn tasks(machine: &Machine) -> usize {
    let status = file(machine, c"/proc/1/status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Threads:"));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn ten_thousand_threads_one_after_another() {
    let machine = machine();
    mount_proc(&machine);
    let before = tasks(&machine);
    for _ in 0..10_000 {
        let pid = thread::scope(|s| {
            s.spawn(|| call(&machine, nr::GETPID, &[]).unwrap())
                .join()
                .unwrap()
        });
        assert_eq!(pid, 1);
    }
    // A task that has ended is reaped by the scheduler when it comes to it.
    assert!(tasks(&machine) <= before + 1);
    machine.halt().unwrap();
}

#[test]
fn a_thousand_threads_at_once() {
    let machine = Machine::boot(Config {
        memory: 128 << 20,
        ..common::config()
    })
    .unwrap();
    mount_proc(&machine);
    let before = tasks(&machine);
    let all_there = Barrier::new(1001);
    let counted = Barrier::new(1001);
    thread::scope(|s| {
        for _ in 0..1000 {
            let start = thread::Builder::new().stack_size(64 << 10);
            start
                .spawn_scoped(s, || {
                    let tid = call(&machine, nr::GETTID, &[]);
                    all_there.wait();
                    counted.wait();
                    // A panic before the barriers would hang everybody.
                    assert!(tid.unwrap() > 1);
                })
                .unwrap();
        }
        all_there.wait();
        let during = tasks(&machine);
        counted.wait();
        assert_eq!(during, before + 1000);
    });
    machine.halt().unwrap();
}

#[test]
fn the_kernel_knows_threads_by_their_names() {
    let machine = machine();
    mount_proc(&machine);
    let name = thread::scope(|s| {
        let worker = thread::Builder::new().name("worker 7".into());
        let name = || file(&machine, c"/proc/thread-self/comm");
        worker.spawn_scoped(s, name).unwrap().join().unwrap()
    });
    assert_eq!(name, "worker 7\n");
}

#[test]
fn one_thread_uses_many_kernels() {
    let machines: Vec<_> = (0..20).map(|_| machine()).collect();
    for round in 0..50 {
        for (i, machine) in machines.iter().enumerate() {
            let umask = (i + round) & 0o777;
            let before = call(machine, 166, &[umask]).expect("umask");
            let expected = if round == 0 {
                0o22
            } else {
                (i + round - 1) & 0o777
            };
            assert_eq!(before, expected, "kernel {i}, round {round}");
        }
    }
    for machine in machines {
        machine.halt().unwrap();
    }
}
