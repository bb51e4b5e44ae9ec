//! Rows `threads`: two threads that wait for each other, and the cost of a task switch.

use crate::calls;
use crate::measure::{ROUNDS, best, fail, sure};
use crate::system::{Host, System};
use crate::table::{Row, Table};
use anyhow::{Context, Result, ensure};
use drupe_machine::Machine;
use std::ffi::CStr;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;

/// Round trips of a round.
const TRIPS: u32 = 500;
/// Pairs of threads; the best counts. A pair is several times slower when the
/// host puts it on two CPUs, and wakes each for every trip.
const PAIRS: usize = 6;
const PAIRS_NOTE: &str = "the best of several pairs of threads; one that the host's scheduler puts on \
                          two CPUs, both idle in between, can be several times slower";

const PAGE: usize = 4096;
/// Reads of a round when a writer is woken by each.
const READS: u32 = 16384;

pub(crate) fn run(table: &mut Table) -> Result<()> {
    let machine = Machine::boot(crate::config())?;
    let what = "round trip, 2 threads, pipes";
    let ours = best_pair(|| pipes(&*machine))?;
    let host = best_pair(|| pipes(&Host))?;
    table.push(Row::new(what, ours).host(host).note(PAIRS_NOTE));
    let what = "round trip, 2 threads, futex";
    let ours = best_pair(|| futex(&*machine))?;
    let host = best_pair(|| futex(&Host))?;
    table.push(Row::new(what, ours).host(host).note(PAIRS_NOTE));
    let (time, per_read) = switch(&machine)?;
    table.push(
        Row::new("task switch", time)
            .host(host_switch()?)
            .note(format!(
                "waking, sleeping and the scheduler included, copying and calls taken off; \
                 drupe: one thread reads a pipe whose writer, inside one long call, sleeps until \
                 there is room: {per_read:.2} switches per read (/proc/stat), the idle task's \
                 included, and no thread waits for another; host: a round trip through pipes of \
                 two threads on one CPU"
            )),
    );
    machine.halt()?;
    Ok(())
}

fn best_pair(job: impl Fn() -> Result<f64>) -> Result<f64> {
    let times = (0..PAIRS).map(|_| job()).collect::<Result<Vec<_>>>()?;
    Ok(times.into_iter().fold(f64::INFINITY, f64::min))
}

/// Nanoseconds for a byte to another thread and one back.
fn pipes<S: System>(system: &S) -> Result<f64> {
    let [there_from, there_to] = system.pipe()?;
    let [back_from, back_to] = system.pipe()?;
    let pass_on = |from, to| {
        let mut byte = [7];
        sure(system.read(from, &mut byte));
        sure(system.write(to, &byte));
    };
    let time = thread::scope(|scope| {
        scope.spawn(|| (0..ROUNDS * TRIPS).for_each(|_| pass_on(there_from, back_to)));
        // The first byte is on its way, so that both threads do the same.
        sure(system.write(back_to, &[7]));
        let time = best(TRIPS, || pass_on(back_from, there_to));
        sure(system.read(back_from, &mut [0]));
        time
    });
    for fd in [there_from, there_to, back_from, back_to] {
        system.close(fd)?;
    }
    Ok(time)
}

/// Nanoseconds for a turn of each of two threads that sleep meanwhile.
fn futex<S: System>(system: &S) -> Result<f64> {
    let word = AtomicU32::new(0);
    ensure!(
        system.futex_wake(&word).context("FUTEX_WAKE")? == 0,
        "FUTEX_WAKE woke somebody who is not there"
    );
    let turn = |own: u32| {
        while word.load(SeqCst) != own {
            system
                .futex_wait(&word, 1 - own)
                .unwrap_or_else(|error| fail(&error));
        }
        word.store(1 - own, SeqCst);
        sure(system.futex_wake(&word));
    };
    Ok(thread::scope(|scope| {
        scope.spawn(|| (0..ROUNDS * TRIPS).for_each(|_| turn(1)));
        best(TRIPS, || turn(0))
    }))
}

/// Nanoseconds for a switch between two tasks of a kernel, and how many there
/// were per read.
///
/// A reader makes room for a page in a full pipe; the writer, woken, fills it
/// and sleeps again. The writer's call is one long `writev`, so its thread is
/// never woken: the reader's thread runs both tasks. What the same two copies
/// cost in one task is taken off.
fn switch(machine: &Machine) -> Result<(f64, f64)> {
    machine.mount(c"proc", c"/proc", c"proc")?;
    let alone = calls::pipe(machine, PAGE)? - calls::null(machine);
    let [from, to] = machine.pipe()?;
    let chunk = vec![7; 1 << 20];
    let chunks = (READS * ROUNDS) as usize * PAGE / chunk.len();
    let before = switches(machine)?;
    let both = thread::scope(|scope| {
        scope.spawn(|| sure(machine.write_repeated(to, &chunk, chunks)));
        let mut page = [0; PAGE];
        best(READS, || {
            if sure(machine.read(from, &mut page)) != PAGE {
                fail(&io::Error::other("a page was cut"));
            }
        })
    });
    let per_read = (switches(machine)? - before) as f64 / f64::from(READS * ROUNDS);
    machine.close(from)?;
    machine.close(to)?;
    machine.umount(c"/proc")?;
    ensure!(per_read >= 1.0, "the writer did not sleep: {per_read}");
    Ok(((both - alone) / per_read, per_read))
}

/// Task switches of a kernel since its boot.
fn switches(machine: &Machine) -> Result<u64> {
    let text = read_file(machine, c"/proc/stat")?;
    let line = text.lines().find_map(|line| line.strip_prefix("ctxt "));
    Ok(line.context("/proc/stat has no ctxt")?.parse()?)
}

fn read_file(machine: &Machine, path: &CStr) -> Result<String> {
    let fd = machine.open(path, libc::O_RDONLY)?;
    let mut data = vec![0; 1 << 16];
    let mut len = 0;
    loop {
        match machine.read(fd, &mut data[len..])? {
            0 => break,
            more => len += more,
        }
    }
    machine.close(fd)?;
    data.truncate(len);
    Ok(String::from_utf8(data)?)
}

/// Nanoseconds for a switch between two threads of the host, on one CPU.
fn host_switch() -> Result<f64> {
    // In a thread of its own: it, and the one it starts, stay on one CPU.
    let both = thread::scope(|scope| {
        let pinned = scope.spawn(|| {
            pin()?;
            best_pair(|| pipes(&Host))
        });
        pinned.join().expect("no panic")
    })?;
    Ok(both / 2.0 - calls::pipe(&Host, 1)?)
}

/// Keeps the calling thread, and those it starts, on the CPU it is on.
fn pin() -> Result<()> {
    // SAFETY: a set of no CPUs is all zeroes; the calls take its size, and the
    // CPU's number is one of the host's.
    let failed = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(libc::sched_getcpu() as usize, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set)
    };
    ensure!(
        failed == 0,
        "sched_setaffinity: {}",
        io::Error::last_os_error()
    );
    Ok(())
}
