//! Rows `disks`: waiting for a disk in a file, with threads as in drupe, and with
//! io_uring.
//!
//! Both read the same file past the host's page cache (`O_DIRECT`), 4 KiB at a time from
//! random places. The threads work as in drupe: a queue under a lock, at most four
//! threads. No drupe kernel takes part.

use crate::histogram::Histogram;
use crate::table::{Row, Spread, Table};
use anyhow::{Result, bail};
use io_uring::{IoUring, opcode, types};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::{Condvar, Mutex, mpsc};
use std::thread;
use std::time::Instant;

const SIZE: u64 = 64 << 20;
const BLOCK: usize = 4096;
const READS: usize = 4000;
/// The number of threads, as in `drupe_machine`.
const THREADS: usize = 4;

/// Memory with the alignment for direct I/O.
#[repr(align(4096))]
#[derive(Clone)]
struct Block([u8; BLOCK]);

/// The offsets to read from.
fn places() -> impl Iterator<Item = u64> {
    let mut state = 1u64;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        (state >> 33) % (SIZE / BLOCK as u64) * BLOCK as u64
    })
    .take(READS)
}

/// The requests for the threads, and whether more will come.
#[derive(Default)]
struct Jobs {
    queue: Mutex<(VecDeque<(u64, Instant)>, bool)>,
    more: Condvar,
}

impl Jobs {
    fn push(&self, place: u64) {
        let job = (place, Instant::now());
        self.queue.lock().expect("no panic").0.push_back(job);
        self.more.notify_one();
    }

    fn end(&self) {
        self.queue.lock().expect("no panic").1 = true;
        self.more.notify_all();
    }

    fn pop(&self) -> Option<(u64, Instant)> {
        let mut queue = self.queue.lock().expect("no panic");
        loop {
            if let Some(job) = queue.0.pop_front() {
                return Some(job);
            }
            if queue.1 {
                return None;
            }
            queue = self.more.wait(queue).expect("no panic");
        }
    }
}

/// The time of each read, with `depth` concurrent reads.
fn by_threads(file: &File, depth: usize) -> Result<Spread> {
    let jobs = Jobs::default();
    let (sender, done) = mpsc::channel::<io::Result<Instant>>();
    let mut times = Histogram::default();
    let start = Instant::now();
    thread::scope(|scope| -> Result<()> {
        for _ in 0..THREADS {
            let (jobs, sender) = (&jobs, sender.clone());
            scope.spawn(move || {
                let mut block = Box::new(Block([0; BLOCK]));
                while let Some((place, begun)) = jobs.pop() {
                    let read = file.read_exact_at(&mut block.0, place);
                    let _ = sender.send(read.map(|()| begun));
                }
            });
        }
        let mut places = places();
        places
            .by_ref()
            .take(depth)
            .for_each(|place| jobs.push(place));
        let result = (0..READS).try_for_each(|_| {
            times.record(done.recv()??.elapsed().as_nanos() as u64);
            places.next().into_iter().for_each(|place| jobs.push(place));
            Ok(())
        });
        jobs.end();
        result
    })?;
    let per_s = READS as f64 / start.elapsed().as_secs_f64();
    Ok(Spread::new(times).with("reads_per_s", per_s))
}

fn by_io_uring(file: &File, depth: usize) -> Result<Spread> {
    let mut blocks = vec![Block([0; BLOCK]); depth];
    let mut ring = IoUring::new(depth as u32)?;
    let mut begun = vec![Instant::now(); depth];
    let mut times = Histogram::default();
    let mut places = places();
    let start = Instant::now();
    let mut free: Vec<usize> = (0..depth).collect();
    let mut left = READS;
    while left > 0 {
        while let Some(slot) = free.pop() {
            let Some(place) = places.next() else { break };
            begun[slot] = Instant::now();
            let buffer = blocks[slot].0.as_mut_ptr();
            let read = opcode::Read::new(types::Fd(file.as_raw_fd()), buffer, BLOCK as u32)
                .offset(place)
                .build()
                .user_data(slot as u64);
            // SAFETY: the block stays in place, and is used by nobody else, until
            // its slot is free again; the ring is dropped before the blocks.
            unsafe { ring.submission().push(&read)? };
        }
        ring.submit_and_wait(1)?;
        for entry in ring.completion() {
            if entry.result() != BLOCK as i32 {
                bail!("io_uring read {} bytes", entry.result());
            }
            let slot = entry.user_data() as usize;
            times.record(begun[slot].elapsed().as_nanos() as u64);
            free.push(slot);
            left -= 1;
        }
    }
    let per_s = READS as f64 / start.elapsed().as_secs_f64();
    Ok(Spread::new(times).with("reads_per_s", per_s))
}

/// A file that can be read past the page cache.
fn file() -> Result<File> {
    let mut file = tempfile::NamedTempFile::new()?;
    let chunk = vec![7; 1 << 20];
    for _ in 0..SIZE >> 20 {
        io::Write::write_all(&mut file, &chunk)?;
    }
    file.as_file().sync_all()?;
    let direct = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(file.path())?;
    direct.read_exact_at(&mut Box::new(Block([0; BLOCK])).0, 0)?;
    Ok(direct)
}

pub(crate) fn run(table: &mut Table) -> Result<()> {
    let file = match file() {
        Ok(file) => file,
        Err(error) => {
            table.push(Row::missing("reads of 4 KiB", format!("{error:#}")));
            return Ok(());
        }
    };
    for depth in [1, 4, 32] {
        let what = format!("4 KiB reads, {depth} at a time");
        let row = Row::new(what, by_threads(&file, depth)?);
        table.push(match by_io_uring(&file, depth) {
            Ok(ring) => row.peer("io_uring", ring).note(
                "O_DIRECT, no kernel of drupe's in it: four threads as it has for disks, against \
                 io_uring",
            ),
            Err(error) => row.note(format!("no io_uring here: {error:#}")),
        });
    }
    Ok(())
}
