//! loom models of [`Inbox`] and [`Wishes`]: every interleaving of a few threads,
//! with so many preemptions. Run by `cargo xtask loom`. A wake that is lost is a
//! deadlock, which loom reports.

use std::io::IoSliceMut;

use drupe_host::link::{FrameHeader, LinkWaker};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::inbox::Inbox;
use crate::packet::{Packet, Pool};
use crate::poller::{IN, Next, OUT, Tell, Wishes};

fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.check(model);
}

/// What a kernel is woken by: it looks at its links once for each time, or for
/// several.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.changed.wait(rung).unwrap();
        }
        *rung = false;
    }

    fn waker(bell: &Arc<Bell>) -> LinkWaker {
        let bell = Arc::clone(bell);
        LinkWaker::new(move || {
            bell.ring();
            true
        })
    }
}

fn packet() -> Packet {
    Packet {
        header: FrameHeader::default(),
        data: vec![0; 14],
    }
}

/// Receives `frames`, and sleeps only when there is nothing.
fn receive(inbox: &Inbox, bell: &Bell, frames: usize) {
    let pool = Pool::default();
    let mut left = frames;
    while left > 0 {
        let mut buffer = [0; 14];
        let (frame, wakes) = inbox.receive(&pool, &mut [IoSliceMut::new(&mut buffer)]);
        wakes.wake();
        match frame {
            Some(_) => left -= 1,
            None => bell.wait(),
        }
    }
}

/// Sends `frames`, and sleeps only when it was refused.
fn send(inbox: &Inbox, number: usize, frames: usize) {
    let bell = Arc::new(Bell::default());
    let waker = Bell::waker(&bell);
    let mut left = frames;
    while left > 0 {
        if inbox.room().expect("it is not closed") > 0 {
            let pushed = inbox.push(std::iter::once(packet()), None);
            pushed.wakes.wake();
            left -= 1;
        } else {
            let pushed = inbox.push(std::iter::empty(), Some((number, &waker)));
            pushed.wakes.wake();
            if pushed.refused {
                bell.wait();
            }
        }
    }
}

fn through_an_inbox(preemptions: usize, limit: usize, senders: usize, frames: usize) {
    check(preemptions, move || {
        let inbox = Arc::new(Inbox::new(limit));
        let bell = Arc::new(Bell::default());
        inbox.attach(Bell::waker(&bell)).wake();
        let handles: Vec<_> = (0..senders)
            .map(|number| {
                let inbox = Arc::clone(&inbox);
                thread::spawn(move || send(&inbox, number, frames))
            })
            .collect();
        receive(&inbox, &bell, senders * frames);
        for handle in handles {
            handle.join().unwrap();
        }
    });
}

#[test]
fn receivers_are_woken() {
    through_an_inbox(3, usize::MAX, 1, 2);
    through_an_inbox(2, usize::MAX, 2, 1);
}

/// With room for one frame.
#[test]
fn senders_are_woken() {
    through_an_inbox(3, 1, 1, 3);
    through_an_inbox(2, 1, 2, 2);
}

/// Senders that wait for room are woken when the receiver is removed.
#[test]
fn senders_are_woken_at_the_end() {
    check(3, || {
        let inbox = Arc::new(Inbox::new(1));
        inbox.attach(LinkWaker::new(|| true)).wake();
        let sends = Arc::clone(&inbox);
        let sender = thread::spawn(move || {
            let bell = Arc::new(Bell::default());
            let waker = Bell::waker(&bell);
            while let Some(room) = sends.room() {
                let frames = (room > 0).then(packet).into_iter();
                let pushed = sends.push(frames, Some((0, &waker)));
                pushed.wakes.wake();
                if pushed.refused {
                    bell.wait();
                }
            }
        });
        inbox.close().wake();
        sender.join().unwrap();
    });
}

/// A descriptor, and the eventfd beside it: what has come, and whether somebody
/// has kicked.
#[derive(Default)]
struct Descriptor {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Descriptor {
    fn arrive(&self) {
        self.state.lock().unwrap().0 += 1;
        self.changed.notify_all();
    }

    fn take(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        let some = state.0 > 0;
        state.0 -= usize::from(some);
        some
    }

    /// It can always be written to.
    fn poll(&self, events: u8) -> u8 {
        let mut state = self.state.lock().unwrap();
        loop {
            let readable = if state.0 > 0 { IN } else { 0 };
            let come = events & (readable | OUT);
            if come != 0 || state.1 {
                state.1 = false;
                return come;
            }
            state = self.changed.wait(state).unwrap();
        }
    }
}

struct Polled {
    wishes: Wishes,
    descriptor: Descriptor,
    bell: Bell,
}

impl Polled {
    fn new() -> Arc<Polled> {
        Arc::new(Polled {
            wishes: Wishes::new(IN),
            descriptor: Descriptor::default(),
            bell: Bell::default(),
        })
    }

    /// As `Shared::tell`.
    fn tell(&self, tell: Tell) {
        match tell {
            Tell::Nothing => {}
            Tell::Notify => self.wishes.notify(),
            Tell::Kick => {
                self.descriptor.state.lock().unwrap().1 = true;
                self.descriptor.changed.notify_all();
            }
        }
    }

    /// As `run`.
    fn run(&self) {
        while let Next::Poll(events) = self.wishes.next() {
            let come = self.descriptor.poll(events);
            if self.wishes.polled(come) {
                self.bell.ring();
            }
        }
    }

    fn start(polled: &Arc<Polled>) -> thread::JoinHandle<()> {
        let own = Arc::clone(polled);
        thread::spawn(move || own.run())
    }
}

#[test]
fn what_comes_is_told() {
    check(2, || {
        let polled = Polled::new();
        let poller = Polled::start(&polled);
        let from = Arc::clone(&polled);
        let other_end = thread::spawn(move || {
            from.descriptor.arrive();
            from.descriptor.arrive();
        });
        let mut left = 2;
        while left > 0 {
            if polled.descriptor.take() {
                left -= 1;
            } else {
                polled.tell(polled.wishes.want(IN));
                polled.bell.wait();
            }
        }
        polled.tell(polled.wishes.end());
        other_end.join().unwrap();
        poller.join().unwrap();
    });
}

/// A wish for something else reaches a thread that polls already.
#[test]
fn another_wish_is_told() {
    check(3, || {
        let polled = Polled::new();
        let poller = Polled::start(&polled);
        polled.tell(polled.wishes.want(OUT));
        polled.bell.wait();
        polled.tell(polled.wishes.end());
        poller.join().unwrap();
    });
}

/// The end is noticed whatever the thread does; two threads may want things.
#[test]
fn it_ends() {
    check(3, || {
        let polled = Polled::new();
        let poller = Polled::start(&polled);
        let other = Arc::clone(&polled);
        let wants = thread::spawn(move || other.tell(other.wishes.want(OUT)));
        polled.tell(polled.wishes.end());
        wants.join().unwrap();
        poller.join().unwrap();
    });
}
