//! Boot, and single system calls.

use crate::table::{Row, Table};
use anyhow::{Result, ensure};
use drupe_machine::{Config, Machine};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// `getppid`, `pipe2`, `read`, `write` of `include/uapi/asm-generic/unistd.h`.
const NR_GETPPID: usize = 173;
const NR_PIPE2: usize = 59;
const NR_READ: usize = 63;
const NR_WRITE: usize = 64;

/// The best of several rounds, per call.
fn best(calls: u32, mut call: impl FnMut()) -> Duration {
    let round = |call: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        start.elapsed()
    };
    (0..9).map(|_| round(&mut call)).min().expect("nine rounds") / calls
}

pub(crate) fn run(table: &mut Table) -> Result<()> {
    table.push(boot()?);
    let machine = Machine::boot(Config::default())?;
    table.push(null(&machine));
    table.push(pipe(&machine)?);
    machine.halt()?;
    Ok(())
}

fn boot() -> Result<Row> {
    let mut times = Vec::new();
    for _ in 0..15 {
        let start = Instant::now();
        let machine = Machine::boot(Config::default())?;
        // SAFETY: no arguments.
        unsafe { machine.syscall(NR_GETPPID, [0; 6])? };
        times.push(start.elapsed());
        machine.halt()?;
    }
    Ok(Row {
        what: "boot to first system call",
        drupe: times.into_iter().min().expect("fifteen boots"),
        peers: Vec::new(),
        note: Some("the host cannot be booted for comparison".into()),
    })
}

fn null(machine: &Machine) -> Row {
    let drupe = best(200_000, || {
        // SAFETY: no arguments.
        let _ = black_box(unsafe { machine.syscall(NR_GETPPID, [0; 6]) });
    });
    let host = best(200_000, || {
        // SAFETY: no arguments.
        black_box(unsafe { libc::syscall(libc::SYS_getppid) });
    });
    Row {
        what: "null system call (getppid)",
        drupe,
        peers: vec![("host", host)],
        note: None,
    }
}

fn pipe(machine: &Machine) -> Result<Row> {
    let mut ends = [0i32; 2];
    // SAFETY: room for two descriptors, which is what the call writes.
    unsafe { machine.syscall(NR_PIPE2, [ends.as_mut_ptr() as usize, 0, 0, 0, 0, 0])? };
    let mut byte = [7u8];
    let drupe = best(100_000, || {
        // SAFETY: one byte to read and to write.
        unsafe {
            let data = byte.as_mut_ptr() as usize;
            let _ = machine.syscall(NR_WRITE, [ends[1] as usize, data, 1, 0, 0, 0]);
            let _ = machine.syscall(NR_READ, [ends[0] as usize, data, 1, 0, 0, 0]);
        }
    });
    let mut host_ends = [0i32; 2];
    // SAFETY: as above, with the host's pipe.
    let made = unsafe { libc::pipe(host_ends.as_mut_ptr()) };
    ensure!(made == 0, "the host has no pipe for us");
    let host = best(100_000, || {
        // SAFETY: one byte to read and to write.
        unsafe {
            let data = byte.as_mut_ptr();
            libc::write(host_ends[1], data.cast(), 1);
            libc::read(host_ends[0], data.cast(), 1);
        }
    });
    Ok(Row {
        what: "pipe, write and read one byte",
        drupe,
        peers: vec![("host", host)],
        note: None,
    })
}
