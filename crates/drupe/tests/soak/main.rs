//! Long tests: everything at the same time, and ten thousand kernels one after the other.
//! `cargo xtask soak` runs it; `DRUPE_SOAK_SECONDS` says for how long.
//!
//! - [`world`]: one life of a kernel with a disk, and all [`workers`] in it.
//! - [`process`]: signals and forks of the program, meanwhile.
//! - [`watchdog`]: notices that a worker gets nowhere.

mod process;
mod sys;
mod watchdog;
mod workers;
mod world;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use drupe::Kernel;
use watchdog::Watchdog;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Three worlds beside each other, each of which ends and begins anew.
#[test]
#[ignore = "takes ten minutes; cargo xtask soak"]
fn everything_at_once() -> Result<(), Failure> {
    let seconds = std::env::var("DRUPE_SOAK_SECONDS").map_or(Ok(600), |text| text.parse())?;
    let end = Instant::now() + Duration::from_secs(seconds);
    let watchdog = Arc::new(Watchdog::start());
    let lives = AtomicU64::new(0);
    let calls = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    let (results, disturbed): (Vec<Result<(), String>>, _) = std::thread::scope(|scope| {
        let disturbed = scope.spawn(|| process::disturb(&over));
        let worlds: Vec<_> = (0..3)
            .map(|number| {
                let (watchdog, lives, calls) = (&watchdog, &lives, &calls);
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(number);
                    while Instant::now() < end {
                        let steps = world::live(&mut random, watchdog)
                            .map_err(|error| format!("world {number}: {error}"))?;
                        calls.fetch_add(steps, Relaxed);
                        if lives.fetch_add(1, Relaxed) % 50 == 49 {
                            eprintln!("{} lives", lives.load(Relaxed));
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        let results = worlds
            .into_iter()
            .map(|world| world.join().unwrap_or_else(|_| Err("a panic".into())))
            .collect();
        over.store(true, Relaxed);
        (results, disturbed.join())
    });
    let (signals, forks) = disturbed.map_err(|_| "a panic")??;
    println!(
        "{} lives, {} steps, {signals} signals, {forks} forks",
        lives.load(Relaxed),
        calls.load(Relaxed)
    );
    results.into_iter().collect::<Result<(), String>>()?;
    Ok(())
}

/// Threads, file descriptors, mappings and resident pages of this process.
fn counts() -> Result<[usize; 4], Failure> {
    let entries = |path: &str| fs::read_dir(path).map(Iterator::count);
    let statm = fs::read_to_string("/proc/self/statm")?;
    let resident = statm.split(' ').nth(1).ok_or("no statm")?.parse()?;
    let maps = fs::read_to_string("/proc/self/maps")?.lines().count();
    Ok([
        entries("/proc/self/task")?,
        entries("/proc/self/fd")?,
        maps,
        resident,
    ])
}

#[test]
#[ignore = "takes a minute; cargo xtask soak"]
fn ten_thousand_lives() -> Result<(), Failure> {
    let life = || -> Result<(), Failure> {
        let kernel = Kernel::boot()?;
        kernel.log();
        Ok(kernel.halt()?)
    };
    (0..100).try_for_each(|_| life())?;
    let before = counts()?;
    for n in 1..=9900 {
        life()?;
        if n % 1000 == 0 {
            eprintln!("{n} lives");
        }
    }
    let after = counts()?;
    println!("threads, descriptors, mappings, pages: {before:?}, then {after:?}");
    assert_eq!(after[..2], before[..2]);
    // The allocator's own wobble; a kernel has dozens of mappings and 5 MB.
    assert!(after[2] <= before[2] + 8 && after[3] <= before[3] + 512);
    Ok(())
}
