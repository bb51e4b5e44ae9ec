//! Models of `crates/cpu/src/work.rs`: nothing that is submitted is left lying, and a
//! flush comes after the writes before it.

use super::builder;
use drupe_cpu::work::{Kind, Queue};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use loom::thread;

/// A disk with a cache, and how much was done to it.
#[derive(Default)]
struct Model {
    queue: Queue<Kind>,
    written: [Flag; 2],
    served: Count,
}

struct Flag(AtomicBool);
impl Default for Flag {
    fn default() -> Flag {
        Flag(AtomicBool::new(false))
    }
}

struct Count(AtomicUsize);
impl Default for Count {
    fn default() -> Count {
        Count(AtomicUsize::new(0))
    }
}

impl Model {
    fn submit(&self, kind: Kind) {
        assert!(self.queue.submit(|| true, kind, || kind));
    }

    /// The life of a thread. Whoever serves the last of `requests` ends all: if a wake is
    /// lost before, somebody waits for ever, which loom reports.
    fn serve(&self, requests: usize) {
        while let Some(taken) = self.queue.next() {
            match taken.request {
                Kind::Read => {}
                Kind::Write(device) => self.written[device as usize].0.store(true, SeqCst),
                Kind::Flush(device) => assert!(
                    self.written[device as usize].0.load(SeqCst),
                    "a flush beside a write that was submitted before it"
                ),
            }
            self.queue.complete(taken);
            if self.served.0.fetch_add(1, SeqCst) + 1 == requests {
                self.queue.quit();
            }
        }
    }
}

/// One thread submits, and two serve.
fn model(requests: &'static [Kind]) {
    builder(3).check(move || {
        let model = Arc::new(Model::default());
        let threads = [(); 2].map(|()| {
            let model = Arc::clone(&model);
            thread::spawn(move || model.serve(requests.len()))
        });
        for &kind in requests {
            model.submit(kind);
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(model.served.0.load(SeqCst), requests.len());
    });
}

#[test]
fn write_flush() {
    model(&[Kind::Write(0), Kind::Flush(0)]);
}

#[test]
fn read_write_flush_read() {
    let requests = &[Kind::Read, Kind::Write(0), Kind::Flush(0), Kind::Read];
    model(requests);
}

#[test]
fn two_devices() {
    let requests = &[
        Kind::Write(0),
        Kind::Write(1),
        Kind::Flush(0),
        Kind::Flush(1),
    ];
    model(requests);
}

/// Threads end while requests are submitted.
#[test]
fn quit_submit() {
    builder(3).check(|| {
        let model = Arc::new(Model::default());
        let server = {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                while let Some(taken) = model.queue.next() {
                    model.queue.complete(taken);
                }
            })
        };
        model.submit(Kind::Write(0));
        model.submit(Kind::Flush(0));
        model.queue.quit();
        server.join().unwrap();
    });
}
