//! [`Workers`]: threads for requests that take long.
//!
//! The serving thread serves most requests itself: waking another thread takes longer
//! than a request that does not wait (with four threads that read requests, a random read
//! took 2.5 times as long as with one). Requests that wait for a disk must not hold up
//! others, so syncing always goes to a worker, and reading and writing do for a while
//! after one of them took long ([`Workers::is_slow`]).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use drupe_host::threads;

use crate::table::lock;

/// A request that takes longer has waited for the disk.
const LONG: Duration = Duration::from_micros(200);

/// The additional time that each KiB of a request may take without waiting.
const MOVING_A_KIB: Duration = Duration::from_nanos(500);

/// How many reads and writes after a long one go to workers.
const AFTER_A_LONG_ONE: u32 = 32;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    /// Threads that wait for a job.
    idle: usize,
}

/// Threads, started when they are needed.
pub(crate) struct Workers {
    queue: Mutex<Queue>,
    wake: Condvar,
    most: usize,
    slow: AtomicU32,
}

impl Workers {
    /// At most `most` threads.
    pub(crate) fn new(most: usize) -> Arc<Workers> {
        Arc::new(Workers {
            queue: Mutex::default(),
            wake: Condvar::new(),
            most,
            slow: AtomicU32::new(0),
        })
    }

    /// Lets a worker do `job`.
    pub(crate) fn run(self: &Arc<Workers>, job: impl FnOnce() + Send + 'static) {
        let mut queue = lock(&self.queue);
        queue.jobs.push_back(Box::new(job));
        if queue.idle < queue.jobs.len() && queue.threads < self.most {
            let workers = Arc::clone(self);
            let name = format!("fuse-worker-{}", queue.threads);
            let started = threads::spawn(name, move || workers.work());
            match started {
                Ok(_) => queue.threads += 1,
                // No more threads: one of those that there are will do it.
                Err(_) if queue.threads > 0 => {}
                Err(_) => {
                    let job = queue.jobs.pop_back();
                    drop(queue);
                    job.into_iter().for_each(|job| job());
                    return;
                }
            }
        }
        drop(queue);
        self.wake.notify_one();
    }

    /// Whether no jobs wait or run.
    pub(crate) fn are_idle(&self) -> bool {
        let queue = lock(&self.queue);
        queue.jobs.is_empty() && queue.idle == queue.threads
    }

    /// The main function of a worker. It never ends: the process ends with its mount.
    fn work(&self) {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                job();
                queue = lock(&self.queue);
            } else {
                queue.idle += 1;
                queue = self
                    .wake
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            }
        }
    }

    /// Whether reads and writes are to go to workers at present.
    pub(crate) fn is_slow(&self) -> bool {
        // Lost updates among threads only make it a request more or less.
        let left = self.slow.load(Ordering::Relaxed);
        if left > 0 {
            self.slow.store(left - 1, Ordering::Relaxed);
        }
        left > 0
    }

    /// Calls `work`, and notes whether it took long for `bytes` bytes.
    pub(crate) fn timed<T>(&self, bytes: usize, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        let kib = u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
        if start.elapsed() > LONG + MOVING_A_KIB * kib {
            self.slow.store(AFTER_A_LONG_ONE, Ordering::Relaxed);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn jobs_run_beside_each_other() {
        let workers = Workers::new(2);
        // Each of the two waits for the other.
        let ((to_one, one), (to_two, two)) = (mpsc::channel(), mpsc::channel());
        let (done, all) = mpsc::channel();
        let also = done.clone();
        workers.run(move || {
            let met = to_two.send(()).is_ok() && one.recv().is_ok();
            let _ = done.send(met);
        });
        workers.run(move || {
            let met = to_one.send(()).is_ok() && two.recv().is_ok();
            let _ = also.send(met);
        });
        let bound = Duration::from_secs(10);
        assert_eq!(all.recv_timeout(bound), Ok(true));
        assert_eq!(all.recv_timeout(bound), Ok(true));
        // More jobs than threads.
        let (done, all) = mpsc::channel();
        for index in 0..100 {
            let done = done.clone();
            workers.run(move || {
                let _ = done.send(index);
            });
        }
        drop(done);
        assert_eq!(all.iter().sum::<i32>(), 4950);
    }

    #[test]
    fn slow_for_a_while_after_a_long_one() {
        let workers = Workers::new(1);
        workers.timed(0, || ());
        let before = workers.is_slow();
        workers.slow.store(2, Ordering::Relaxed);
        let after = [(); 3].map(|()| workers.is_slow());
        assert_eq!((before, after), (false, [true, true, false]));
        let takes_two = || std::thread::sleep(2 * LONG);
        // Much may take longer; how long a sleep takes at most, nobody knows.
        workers.timed(usize::MAX, takes_two);
        assert!(!workers.is_slow());
        workers.timed(0, takes_two);
        assert!(workers.is_slow());
    }
}
