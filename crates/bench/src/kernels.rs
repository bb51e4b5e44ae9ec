//! Rows `kernels`: memory and time of many kernels in one process.

use crate::system::System;
use crate::table::{Measured, Row, Table};
use anyhow::{Context, Result};
use drupe_machine::{Config, Machine, Ram};
use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const MANY: usize = 100;

/// How long to wait for the work that a kernel does after its boot.
const REST: Duration = Duration::from_millis(100);

fn boot(ram: Ram) -> Result<Arc<Machine>> {
    Ok(Machine::boot(Config {
        ram,
        ..crate::config()
    })?)
}

pub(crate) fn run(table: &mut Table) -> Result<()> {
    // What the first kernel of a process costs it once is no kernel's.
    boot(Ram::default())?.halt()?;

    // Beside two others, which share the image: it is nobody's own any more.
    let others = [boot(Ram::SmallPages)?, boot(Ram::SmallPages)?];
    for (what, ram) in [
        ("idle, huge pages", Ram::HugePages),
        ("idle, small pages", Ram::SmallPages),
        ("idle, memory file", Ram::SharedFile),
    ] {
        let before = Memory::now()?;
        let machine = boot(ram)?;
        thread::sleep(REST);
        let one = Memory::now()?.since(before);
        machine.halt()?;
        drop(machine);
        one.rows(what, 1)
            .into_iter()
            .for_each(|row| table.push(row));
    }
    for other in others {
        other.halt()?;
    }
    many(table, Ram::HugePages, "100 huge")?;
    many(table, Ram::SmallPages, "100 small")
}

/// Rows of many kernels, whose names begin with `what`.
fn many(table: &mut Table, ram: Ram, what: &str) -> Result<()> {
    let before = Memory::now()?;
    let (machines, boot) = timed(|| (0..MANY).map(|_| boot(ram)).collect::<Result<Vec<_>>>())?;
    thread::sleep(REST);
    let idle = Memory::now()?.since(before);
    let each_once = || -> Result<()> {
        for machine in &machines {
            machine.getppid()?;
        }
        Ok(())
    };
    let ((), call) = timed(each_once)?;
    let ((), again) = timed(each_once)?;
    let ((), halt) = timed(|| {
        for machine in machines {
            machine.halt()?;
        }
        Ok(())
    })?;
    idle.rows(&format!("{what}: each"), MANY)
        .into_iter()
        .for_each(|row| table.push(row));
    for (job, time) in [
        ("boot all", boot),
        ("a call in each", call),
        ("and another", again),
        ("halt all", halt),
    ] {
        table.push(Row::new(format!("{what}: {job}"), time).note(
            "for all of them, one after the other, by one thread; its first call in a kernel makes \
             its task there; huge and small are pages of RAM; the host has one kernel",
        ));
    }
    Ok(())
}

fn timed<T>(job: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let start = Instant::now();
    let result = job()?;
    Ok((result, start.elapsed()))
}

/// Memory of this process, in bytes (`/proc/self/smaps_rollup`).
#[derive(Clone, Copy)]
struct Memory {
    /// Pages that no other process and no other mapping has.
    private: u64,
    /// Private pages, and this mapping's share of shared ones.
    proportional: u64,
    /// All pages.
    resident: u64,
}

impl Memory {
    fn now() -> Result<Memory> {
        let text = fs::read_to_string("/proc/self/smaps_rollup")?;
        let sum = |start: &str| -> Result<u64> {
            let lines = text.lines().filter(|line| line.starts_with(start));
            lines
                .map(|line| {
                    let field = line.split_whitespace().nth(1);
                    let field = field.context("smaps_rollup has a line without a number")?;
                    Ok(field.parse::<u64>()? << 10)
                })
                .sum()
        };
        Ok(Memory {
            private: sum("Private_")?,
            proportional: sum("Pss:")?,
            resident: sum("Rss:")?,
        })
    }

    fn since(self, before: Memory) -> Memory {
        Memory {
            private: self.private.saturating_sub(before.private),
            proportional: self.proportional.saturating_sub(before.proportional),
            resident: self.resident.saturating_sub(before.resident),
        }
    }

    /// The rows for the memory of each of `kernels`.
    fn rows(self, what: &str, kernels: usize) -> [Row; 2] {
        let kernels = kernels as u64;
        let bytes = |bytes: u64| Measured::Bytes(bytes / kernels);
        let resident = (self.resident / kernels) as f64 / f64::from(1 << 20);
        [
            Row::new(format!("{what}: private"), bytes(self.private))
                .note("pages that this kernel alone has (smaps)"),
            Row::new(format!("{what}: PSS"), bytes(self.proportional)).note(format!(
                "these, and its part of the image's pages, which all kernels share; {resident:.1} \
                 MiB resident if those are counted in full"
            )),
        ]
    }
}
