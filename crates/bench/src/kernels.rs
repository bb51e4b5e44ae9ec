//! Many kernels in one process: their memory and their time.

use crate::system::System;
use crate::table::{Measured, Row, Table};
use anyhow::{Context, Result};
use drupe_machine::{Config, Machine};
use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const MANY: usize = 100;

/// What a kernel still does after its boot is done after that.
const REST: Duration = Duration::from_millis(100);

pub(crate) fn run(table: &mut Table) -> Result<()> {
    // What the first kernel of a process costs it once is no kernel's.
    Machine::boot(Config::default())?.halt()?;

    let before = Resident::now()?;
    let machine = Machine::boot(Config::default())?;
    thread::sleep(REST);
    let one = Resident::now()?.since(before);
    machine.halt()?;
    drop(machine);
    table.push(one.row("memory of an idle kernel", 1));

    let before = Resident::now()?;
    let (machines, boot) = timed(|| {
        let boots = (0..MANY).map(|_| Machine::boot(Config::default()));
        Ok(boots.collect::<Result<Vec<Arc<Machine>>, _>>()?)
    })?;
    thread::sleep(REST);
    let idle = Resident::now()?.since(before);
    let ((), call) = timed(|| {
        for machine in &machines {
            machine.getppid()?;
        }
        Ok(())
    })?;
    let ((), again) = timed(|| {
        for machine in &machines {
            machine.getppid()?;
        }
        Ok(())
    })?;
    let ((), halt) = timed(|| {
        for machine in machines {
            machine.halt()?;
        }
        Ok(())
    })?;
    table.push(idle.row("memory of each of 100", MANY));
    for (what, time) in [
        ("100 kernels: boot all", boot),
        ("100 kernels: a call in each", call),
        ("100 kernels: and another", again),
        ("100 kernels: halt all", halt),
    ] {
        table.push(Row::new(what, time).note(
            "for all of them, one after the other, by one thread; its first call in a kernel makes \
             its task there; the host has one kernel",
        ));
    }
    Ok(())
}

fn timed<T>(job: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let start = Instant::now();
    let result = job()?;
    Ok((result, start.elapsed()))
}

/// Memory of this process, in bytes.
#[derive(Clone, Copy)]
struct Resident {
    all: u64,
    /// That of files: pages which several kernels may share are counted for
    /// each of them.
    files: u64,
}

impl Resident {
    fn now() -> Result<Resident> {
        let text = fs::read_to_string("/proc/self/statm")?;
        let mut fields = text.split_whitespace().skip(1).map(str::parse::<u64>);
        let mut field = || fields.next().context("/proc/self/statm has fewer fields");
        // SAFETY: no memory is passed.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64;
        Ok(Resident {
            all: field()?? * page,
            files: field()?? * page,
        })
    }

    fn since(self, before: Resident) -> Resident {
        Resident {
            all: self.all.saturating_sub(before.all),
            files: self.files.saturating_sub(before.files),
        }
    }

    fn row(self, what: &str, kernels: usize) -> Row {
        let kernels = kernels as u64;
        Row::new(what, Measured::Bytes(self.all / kernels)).note(format!(
            "resident memory (statm); {:.1} MiB of it is file pages, most of them the image's, \
             which kernels share",
            (self.files / kernels) as f64 / f64::from(1 << 20)
        ))
    }
}
