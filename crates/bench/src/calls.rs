//! Rows `calls`: boot, and system calls of one thread.

use crate::histogram::Histogram;
use crate::measure::{best, sure};
use crate::system::{Host, System};
use crate::table::{Row, Spread, Table};
use anyhow::Result;
use drupe_machine::{Config, Machine};
use std::hint::black_box;
use std::time::Instant;

/// How long the sleep of a row is, in nanoseconds.
const NAP_NS: i64 = 100_000;
const NAPS: usize = 3000;

/// How many boots of each kind are measured.
const BOOTS: usize = 101;

pub(crate) fn boot(table: &mut Table) -> Result<()> {
    table.push(
        Row::new("boot to first system call", boots(crate::config)?)
            .note("from the snapshot; the host cannot be booted for comparison"),
    );
    let cold = || Config {
        snapshot: None,
        ..crate::config()
    };
    table.push(Row::new("the same without a snapshot", boots(cold)?).note("`Builder::cold_boot`"));
    Ok(())
}

fn boots(config: impl Fn() -> Config) -> Result<Spread> {
    let mut times = Histogram::default();
    // The first one of a process also reads what all of them have.
    for number in 0..=BOOTS {
        let start = Instant::now();
        let machine = Machine::boot(config())?;
        machine.getppid()?;
        if number > 0 {
            times.record(start.elapsed().as_nanos() as u64);
        }
        machine.halt()?;
    }
    Ok(Spread::new(times))
}

pub(crate) fn run(table: &mut Table) -> Result<()> {
    let machine = Machine::boot(crate::config())?;
    table.push(Row::new("null system call (getppid)", null(&*machine)).host(null(&Host)));
    let what = "pipe, write and read one byte";
    table.push(Row::new(what, pipe(&*machine, 1)?).host(pipe(&Host, 1)?));
    table.push(
        Row::new("sleep of 100 µs, too long by", oversleep(&*machine)?)
            .host(oversleep(&Host)?)
            .note("both kernels may round a sleep up by 50 µs (timer slack, prctl(2))"),
    );
    machine.halt()?;
    Ok(())
}

/// Nanoseconds for a null call.
pub(crate) fn null<S: System>(system: &S) -> f64 {
    best(200_000, || {
        black_box(sure(system.getppid()));
    })
}

/// Nanoseconds for writing `len` bytes to a pipe and reading them again.
pub(crate) fn pipe<S: System>(system: &S, len: usize) -> Result<f64> {
    let [from, to] = system.pipe()?;
    let mut data = vec![7; len];
    let time = best(100_000, || {
        sure(system.write(to, &data));
        sure(system.read(from, &mut data));
    });
    system.close(from)?;
    system.close(to)?;
    Ok(time)
}

fn oversleep<S: System>(system: &S) -> Result<Spread> {
    let mut times = Histogram::default();
    for _ in 0..NAPS {
        let start = Instant::now();
        system.nanosleep(NAP_NS)?;
        times.record((start.elapsed().as_nanos() as u64).saturating_sub(NAP_NS as u64));
    }
    Ok(Spread::new(times))
}
