//! Memory and processor time of idle kernels.

mod common;

use common::{call, nr};
use drupe_machine::{Config, Machine, Ram};
use std::fs;
use std::sync::Arc;

const KERNELS: usize = 20;

fn kernel() -> Arc<Machine> {
    let machine = Machine::boot(Config {
        ram: Ram::SmallPages,
        ..common::config()
    })
    .unwrap();
    assert_eq!(call(&machine, nr::GETPID, &[]).unwrap(), 1);
    machine
}

/// Bytes that only this process has, and its mappings.
fn taken() -> (usize, usize) {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let private = rollup.lines().filter(|line| line.starts_with("Private_"));
    let kibibytes = private.map(|line| {
        let field = line.split_whitespace().nth(1).unwrap();
        field.parse::<usize>().unwrap()
    });
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    (kibibytes.sum::<usize>() << 10, maps.lines().count())
}

#[test]
fn an_idle_kernel_takes_little() {
    // What the first one takes for all of them: the text, that others share. As
    // long as there is one, a page of it is private.
    let first = [kernel(), kernel()];
    let before = taken();
    let kernels: Vec<_> = (0..KERNELS).map(|_| kernel()).collect();
    let after = taken();
    let memory = (after.0 - before.0) / KERNELS;
    let mappings = (after.1 - before.1) / KERNELS;
    assert!(memory <= 4 << 20, "{} KiB of private memory", memory >> 10);
    // Guards of stacks take some where the host is older than Linux 6.13.
    assert!(mappings <= 120, "{mappings} mappings");
    for machine in kernels.into_iter().chain(first) {
        machine.halt().unwrap();
    }
}
