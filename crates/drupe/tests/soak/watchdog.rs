//! The watchdog: names a worker that makes no progress, and ends the process, so that a
//! hang does not look like a long test.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How long a worker may go without a step on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Watches the steps of workers.
pub(crate) struct Watchdog {
    watched: Arc<Mutex<HashMap<u64, Watched>>>,
    next: AtomicU64,
}

struct Watched {
    name: String,
    steps: Arc<AtomicU64>,
    seen: u64,
}

/// One worker's count; watched while it lives.
pub(crate) struct Steps<'a> {
    watchdog: &'a Watchdog,
    id: u64,
    count: Arc<AtomicU64>,
}

impl Watchdog {
    pub(crate) fn start() -> Watchdog {
        let watched: Arc<Mutex<HashMap<u64, Watched>>> = Arc::default();
        let shared = Arc::clone(&watched);
        thread::spawn(move || {
            loop {
                thread::sleep(PATIENCE);
                for watched in shared.lock().unwrap().values_mut() {
                    let now = watched.steps.load(Relaxed);
                    if now == watched.seen {
                        eprintln!("{} hangs after {now} steps", watched.name);
                        std::process::abort();
                    }
                    watched.seen = now;
                }
            }
        });
        Watchdog {
            watched,
            next: AtomicU64::new(0),
        }
    }

    pub(crate) fn watch(&self, name: &str) -> Steps<'_> {
        let id = self.next.fetch_add(1, Relaxed);
        let count = Arc::new(AtomicU64::new(1));
        let watched = Watched {
            name: name.into(),
            steps: Arc::clone(&count),
            seen: 0,
        };
        self.watched.lock().unwrap().insert(id, watched);
        Steps {
            watchdog: self,
            id,
            count,
        }
    }
}

impl Steps<'_> {
    pub(crate) fn step(&self) {
        self.count.fetch_add(1, Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }
}

impl Drop for Steps<'_> {
    fn drop(&mut self) {
        self.watchdog.watched.lock().unwrap().remove(&self.id);
    }
}
