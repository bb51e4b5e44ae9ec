//! Rows `contended`: many threads that call into one kernel.

use crate::measure::{clock, null_calls, sure};
use crate::system::{Host, System};
use crate::table::{Row, Spread, Table};
use anyhow::Result;
use drupe_machine::Machine;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// How long each point is measured.
const TIME: Duration = Duration::from_millis(500);

pub(crate) fn run(table: &mut Table) -> Result<()> {
    let note = format!(
        "null calls of all threads, for half a second; quantiles are of calls, and threads that \
         wait make few; times include reading the clock ({:.0} ns), and waiting for a CPU of the \
         host, which has {}; its kernel runs on all of them, so its calls do not contend, and one \
         of ours on one; max_to_min: calls of the busiest thread to those of the idlest (-: that \
         made none)",
        clock(),
        thread::available_parallelism()?
    );
    let machine = Machine::boot(crate::config())?;
    for threads in [1, 2, 4, 8, 16, 64] {
        let plural = if threads == 1 { "" } else { "s" };
        table.push(
            Row::new(
                format!("getppid by {threads} thread{plural}"),
                contended(&*machine, threads),
            )
            .host(contended(&Host, threads))
            .note(note.clone()),
        );
    }
    machine.halt()?;
    Ok(())
}

fn contended<S: System>(system: &S, threads: usize) -> Spread {
    let (ready, stop) = (Barrier::new(threads + 1), AtomicBool::new(false));
    thread::scope(|scope| {
        let spawn = |_| {
            scope.spawn(|| {
                // A thread's first call makes its task.
                sure(system.getppid());
                ready.wait();
                null_calls(system, &stop)
            })
        };
        let running: Vec<_> = (0..threads).map(spawn).collect();
        ready.wait();
        let start = Instant::now();
        thread::sleep(TIME);
        let time = start.elapsed();
        stop.store(true, Relaxed);
        let all = running.into_iter().map(|t| t.join().expect("no panic"));
        let all: Vec<_> = all.collect();
        let shares = || all.iter().map(|times| times.samples() as f64);
        let (most, least) = (
            shares().fold(0.0, f64::max),
            shares().fold(f64::INFINITY, f64::min),
        );
        let mut times = all[0].clone();
        all[1..].iter().for_each(|more| times.merge(more));
        let rate = times.samples() as f64 / time.as_secs_f64();
        Spread::new(times)
            .with("calls_per_s", rate)
            .with("max_to_min", most / least)
    })
}
