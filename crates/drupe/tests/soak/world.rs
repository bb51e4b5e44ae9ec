//! A world, the life of one kernel: boot, a disk, all workers, interrupts and the end at
//! random moments, the filesystem's checker.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use drupe::{Disk, Interrupter, Kernel, MountOptions};

use crate::watchdog::Watchdog;
use crate::workers::{WORKERS, World};
use crate::{Failure, sys};

fn run(program: &str, arguments: &[&str], image: &std::path::Path) -> Result<i32, Failure> {
    let output = Command::new(program).args(arguments).arg(image).output()?;
    let code = output.status.code().ok_or("killed")?;
    if code > 1 {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        return Err(format!("{program}: {code}: {text}").into());
    }
    Ok(code)
}

/// Lives once; returns how many steps the workers made.
pub(crate) fn live(random: &mut fastrand::Rng, watchdog: &Arc<Watchdog>) -> Result<u64, Failure> {
    let image = tempfile::NamedTempFile::new()?;
    image.as_file().set_len(256 << 20)?;
    run("mkfs.ext4", &["-q", "-F"], image.path())?;
    let kernel = Kernel::boot()?;
    let disk = kernel.add_disk(Disk::open(image.path())?)?;
    let mount = disk.whole().mount(MountOptions::new())?;
    sys::loopback(&kernel)?;
    let ending = AtomicBool::new(false);
    let steps = AtomicU64::new(0);
    let time = Duration::from_millis(random.u64(..4000));
    let (sender, receiver) = mpsc::channel();
    let world = World {
        kernel: &kernel,
        mount: &mount,
        ending: &ending,
    };
    let results: Vec<Result<(), String>> = thread::scope(|scope| {
        let workers: Vec<_> = WORKERS
            .iter()
            .map(|&(name, worker)| {
                let (sender, seed) = (sender.clone(), random.u64(..));
                let (world, steps, kernel) = (&world, &steps, &kernel);
                scope.spawn(move || {
                    let watched = watchdog.watch(name);
                    let _ = kernel.interrupter().map(|own| sender.send(own));
                    let result = world.work(worker, &watched, seed);
                    if result.is_err() {
                        // Nobody waits for this one's life to end.
                        world.ending.store(true, Relaxed);
                    }
                    steps.fetch_add(watched.count(), Relaxed);
                    result.map_err(|error| format!("{name}: {error}"))
                })
            })
            .collect();
        drop(sender);
        let interrupters: Vec<Interrupter> = receiver.iter().take(WORKERS.len()).collect();
        let halted = disturb(&kernel, &interrupters, time, &ending, random);
        let mut results: Vec<_> = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| Err("a panic".into())))
            .collect();
        results.push(halted.map_err(|error| format!("halt: {error}")));
        results
    });
    results
        .into_iter()
        .collect::<Result<(), String>>()
        .map_err(|error| format!("{error}\n{}", kernel.log()))?;
    drop((mount, disk, kernel));
    // As after a power cut: the journal is replayed, then all must be well.
    run("e2fsck", &["-f", "-y", "-E", "journal_only"], image.path())?;
    if run("e2fsck", &["-f", "-n"], image.path())? != 0 {
        return Err("the filesystem is damaged".into());
    }
    Ok(steps.load(Relaxed))
}

/// Interrupts everybody, for a while; then halts, from two threads at once.
fn disturb(
    kernel: &Kernel,
    interrupters: &[Interrupter],
    time: Duration,
    ending: &AtomicBool,
    random: &mut fastrand::Rng,
) -> drupe::Result<()> {
    let end = Instant::now() + time;
    let mut interrupted = Ok(());
    while Instant::now() < end && !ending.load(Relaxed) && interrupted.is_ok() {
        interrupted = interrupters[random.usize(..interrupters.len())].interrupt();
        thread::sleep(Duration::from_micros(random.u64(..2000)));
    }
    ending.store(true, Relaxed);
    thread::scope(|scope| {
        let other = scope.spawn(|| kernel.halt());
        let own = kernel.halt();
        interrupted.and(other.join().expect("no panic")).and(own)
    })
}
