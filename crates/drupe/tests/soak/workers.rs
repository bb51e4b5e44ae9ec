//! The work of a world's threads, until their kernel ends.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use drupe::{Cause, Errno, Kernel, Mount};

use crate::Failure;
use crate::sys::{self, Fd};
use crate::watchdog::Steps;

/// The world that a worker is in.
pub(crate) struct World<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) mount: &'a Mount,
    /// The kernel is about to be halted: errors are its end.
    pub(crate) ending: &'a AtomicBool,
}

/// Does its work once.
pub(crate) type Worker = fn(&World<'_>, &Steps<'_>, &mut fastrand::Rng) -> Result<(), Failure>;

pub(crate) const WORKERS: &[(&str, Worker)] = &[
    ("files", files),
    ("more files", files),
    ("pipe", pipe),
    ("socket pair", socket_pair),
    ("connection", connection),
    ("timers", timers),
    ("churn", churn),
    ("computation", computation),
];

impl World<'_> {
    /// Repeats the work until the kernel is gone.
    pub(crate) fn work(&self, worker: Worker, steps: &Steps<'_>, seed: u64) -> Result<(), Failure> {
        let mut random = fastrand::Rng::with_seed(seed);
        while !self.ending.load(Relaxed) {
            let result = worker(self, steps, &mut random);
            self.unless_ending(result)?;
        }
        Ok(())
    }

    fn unless_ending(&self, result: Result<(), Failure>) -> Result<(), Failure> {
        let Err(error) = result else { return Ok(()) };
        // Halting makes what is mounted read-only first.
        let gone = error.downcast_ref::<drupe::Error>().is_some_and(|error| {
            matches!(error.cause(), Cause::Halted | Cause::Errno(Errno::ROFS))
        });
        if gone && self.ending.load(Relaxed) {
            return Ok(());
        }
        Err(error)
    }
}

fn check(good: bool, what: &str) -> Result<(), Failure> {
    if good { Ok(()) } else { Err(what.into()) }
}

/// Tries again what was interrupted: interrupts are for everybody.
fn retry<T>(mut attempt: impl FnMut() -> drupe::Result<T>) -> drupe::Result<T> {
    loop {
        match attempt() {
            Err(error) if error.errno() == Some(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Files of random content: written, synced, read back, renamed, removed.
fn files(world: &World<'_>, steps: &Steps<'_>, random: &mut fastrand::Rng) -> Result<(), Failure> {
    let mount = world.mount;
    let name = format!("/{:x}", random.u64(..));
    let moved = format!("{name}.moved");
    let content = vec![random.u8(..); random.usize(..400_000)];
    let file = retry(|| mount.create(&name))?;
    let mut at = 0;
    while at < content.len() {
        let end = content.len().min(at + 65536);
        retry(|| file.write_all_at(&content[at..end], at as u64))?;
        at = end;
        steps.step();
    }
    if random.u8(..4) == 0 {
        retry(|| file.sync_all())?;
    }
    drop(file);
    retry(|| mount.rename(&name, &moved))?;
    let back = retry(|| mount.read(&moved))?;
    check(back == content, "a file reads back otherwise")?;
    retry(|| mount.remove_file(&moved))?;
    steps.step();
    Ok(())
}

/// Bytes through a channel, echoed by another thread.
fn echo(
    steps: &Steps<'_>,
    random: &mut fastrand::Rng,
    there: (&Fd<'_>, &Fd<'_>),
    back: (&Fd<'_>, &Fd<'_>),
) -> Result<(), Failure> {
    const ROUNDS: usize = 50;
    let sizes: Vec<usize> = (0..ROUNDS).map(|_| random.usize(1..3000)).collect();
    thread::scope(|scope| {
        let echo = scope.spawn(|| -> drupe::Result<()> {
            for &size in &sizes {
                let mut data = vec![0; size];
                receive(there.1, &mut data)?;
                sys::write(back.0, &data)?;
            }
            Ok(())
        });
        let exchange = || -> Result<(), Failure> {
            for (round, &size) in sizes.iter().enumerate() {
                let data = vec![round as u8; size];
                sys::write(there.0, &data)?;
                let mut answer = vec![0; size];
                receive(back.1, &mut answer)?;
                check(answer == data, "an echo is otherwise")?;
                steps.step();
            }
            Ok(())
        };
        let result = exchange();
        let echoed = echo.join().map_err(|_| "the echo panicked")?;
        result?;
        Ok(echoed?)
    })
}

fn receive(fd: &Fd<'_>, mut data: &mut [u8]) -> drupe::Result<()> {
    while !data.is_empty() {
        let n = sys::read(fd, data)?;
        data = &mut data[n..];
    }
    Ok(())
}

fn pipe(world: &World<'_>, steps: &Steps<'_>, random: &mut fastrand::Rng) -> Result<(), Failure> {
    let (there, back) = (sys::pipe(world.kernel)?, sys::pipe(world.kernel)?);
    echo(steps, random, (&there.1, &there.0), (&back.1, &back.0))
}

fn socket_pair(
    world: &World<'_>,
    steps: &Steps<'_>,
    random: &mut fastrand::Rng,
) -> Result<(), Failure> {
    let (one, other) = sys::socketpair(world.kernel)?;
    echo(steps, random, (&one, &other), (&other, &one))
}

fn connection(
    world: &World<'_>,
    steps: &Steps<'_>,
    random: &mut fastrand::Rng,
) -> Result<(), Failure> {
    let (client, server) = sys::connection(world.kernel)?;
    echo(steps, random, (&client, &server), (&server, &client))
}

/// A sleep takes its time at least, unless it is interrupted.
fn timers(world: &World<'_>, steps: &Steps<'_>, random: &mut fastrand::Rng) -> Result<(), Failure> {
    let time = Duration::from_micros(random.u64(..3000));
    let before = sys::now(world.kernel)?;
    let whole = sys::sleep(world.kernel, time)?;
    let slept = sys::now(world.kernel)? - before;
    check(!whole || slept >= time, "a sleep was too short")?;
    steps.step();
    Ok(())
}

/// Threads that live for one call.
fn churn(world: &World<'_>, steps: &Steps<'_>, random: &mut fastrand::Rng) -> Result<(), Failure> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..random.usize(1..16))
            .map(|_| scope.spawn(|| sys::now(world.kernel)))
            .collect();
        for thread in threads {
            thread.join().map_err(|_| "a thread panicked")??;
            steps.step();
        }
        Ok(())
    })
}

/// Long reads of random numbers keep the kernel computing.
fn computation(
    world: &World<'_>,
    steps: &Steps<'_>,
    random: &mut fastrand::Rng,
) -> Result<(), Failure> {
    let number = sys::open(world.kernel, c"/dev/urandom")?;
    let file = sys::fd(world.kernel, number);
    let mut data = vec![0; random.usize(1..4 << 20)];
    receive(&file, &mut data)?;
    steps.step();
    Ok(())
}
