//! A kernel whose last handle is dropped inside of another kernel: it is synced and
//! halted when the thread leaves that one.

mod common;

use common::{TestDisk, call, content, disk, machine, nr, write};
use drupe_host::disk::{Disk, Geometry};
use drupe_machine::Machine;
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::mpsc::{Receiver, RecvError, Sender, channel};
use std::sync::{Arc, Mutex};

const EPOLL_CREATE1: usize = 20;
const EPOLL_CTL: usize = 21;
const EVENTFD2: usize = 19;
const MKDIRAT: usize = 34;
const TIMERFD_CREATE: usize = 85;
const TIMERFD_SETTIME: usize = 86;

/// A disk that tells when its kernel has let go of it.
struct Told {
    disk: Arc<TestDisk>,
    _end: Option<Sender<()>>,
}

impl Disk for Told {
    fn geometry(&self) -> Geometry {
        self.disk.geometry()
    }
    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        self.disk.read_at(buffers, offset)
    }
    fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64, durable: bool) -> io::Result<()> {
        self.disk.write_at(buffers, offset, durable)
    }
    fn flush(&self) -> io::Result<()> {
        self.disk.flush()
    }
    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.disk.discard(offset, len)
    }
    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        self.disk.write_zeroes(offset, len)
    }
}

/// A kernel with something in its page cache that its disk does not have yet.
fn dirty(end: Option<Sender<()>>) -> (Arc<Machine>, Arc<TestDisk>) {
    let machine = machine();
    let (name, dev) = (c"devtmpfs".as_ptr() as usize, c"/dev".as_ptr() as usize);
    call(&machine, nr::MOUNT, &[name, dev, name, 0, 0]).unwrap();
    let disk = disk(&[0; 1 << 20]);
    let told = Told {
        disk: disk.clone(),
        _end: end,
    };
    machine.add_disk(Arc::new(told)).unwrap();
    let path = c"/dev/vda".as_ptr() as usize;
    let fd = call(&machine, nr::OPENAT, &[0, path, libc::O_RDWR as usize]).unwrap();
    write(&machine, fd, b"precious").unwrap();
    assert_eq!(content(&disk, 0..8), [0; 8], "not written yet");
    (machine, disk)
}

/// An epoll that waits for a file.
fn epoll(machine: &Machine, file: usize) -> i32 {
    let epoll = call(machine, EPOLL_CREATE1, &[0]).unwrap();
    let interest: [u32; 3] = [1, 0, 0];
    let args = [epoll, 1, file, interest.as_ptr() as usize];
    call(machine, EPOLL_CTL, &args).unwrap();
    epoll as i32
}

#[test]
fn by_a_watch_of_another_kernel() {
    let outer = machine();
    let (inner, disk) = dirty(None);
    let weak = Arc::downgrade(&inner);
    let last = Mutex::new(Some(inner));
    let event = call(&outer, EVENTFD2, &[0, 0]).unwrap();
    let epoll = epoll(&outer, event);
    let watch = outer.watch(epoll, Arc::new(move || drop(last.lock().unwrap().take())));
    let watch = watch.unwrap();
    write(&outer, event, &1u64.to_ne_bytes()).unwrap();
    // The call is over, and so is what it put off.
    assert!(weak.upgrade().is_none());
    assert_eq!(content(&disk, 0..8), *b"precious");
    drop(watch);
    outer.halt().unwrap();
}

/// By a thread of the kernel's own: the one that waits for its timers.
#[test]
fn by_a_watch_of_its_own() {
    let (sender, receiver) = channel();
    let (machine, disk) = dirty(Some(sender));
    let timer = call(
        &machine,
        TIMERFD_CREATE,
        &[libc::CLOCK_MONOTONIC as usize, 0],
    )
    .unwrap();
    let epoll = epoll(&machine, timer);
    let last = Arc::new(Mutex::new(None));
    let copy = Arc::clone(&last);
    let watch = machine.watch(epoll, Arc::new(move || drop(copy.lock().unwrap().take())));
    let watch = watch.unwrap();
    // Now and then: until it is due after everything is in place.
    let times: [i64; 4] = [0, 1_000_000, 0, 1_000_000];
    let args = [timer, 0, times.as_ptr() as usize, 0];
    call(&machine, TIMERFD_SETTIME, &args).unwrap();
    *last.lock().unwrap() = Some((watch, machine));
    // The other end goes with the disk, and that with the kernel.
    assert_eq!(receiver.recv(), Err(RecvError));
    assert_eq!(content(&disk, 0..8), *b"precious");
}

/// A disk whose first write waits for the last handle of its kernel, and drops it.
struct Dropper {
    told: Told,
    last: Mutex<Option<Receiver<Arc<Machine>>>>,
}

impl Disk for Dropper {
    fn geometry(&self) -> Geometry {
        self.told.geometry()
    }
    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        self.told.read_at(buffers, offset)
    }
    fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64, durable: bool) -> io::Result<()> {
        if let Some(last) = self.last.lock().unwrap().take() {
            drop(last.recv());
        }
        self.told.write_at(buffers, offset, durable)
    }
    fn flush(&self) -> io::Result<()> {
        self.told.flush()
    }
    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.told.discard(offset, len)
    }
    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        self.told.write_zeroes(offset, len)
    }
}

/// Has the kernel write back soon, by itself.
fn write_back_soon(machine: &Machine) {
    let (name, dir) = (c"proc".as_ptr() as usize, c"/proc".as_ptr() as usize);
    call(machine, MKDIRAT, &[0, dir, 0o755]).unwrap();
    call(machine, nr::MOUNT, &[name, dir, name, 0, 0]).unwrap();
    for path in [
        c"/proc/sys/vm/dirty_expire_centisecs",
        c"/proc/sys/vm/dirty_writeback_centisecs",
    ] {
        let args = [0, path.as_ptr() as usize, libc::O_WRONLY as usize];
        let setting = call(machine, nr::OPENAT, &args).unwrap();
        write(machine, setting, b"1").unwrap();
    }
}

/// By a disk of its own, in the middle of a request that the halt waits for.
#[test]
fn by_a_disk_of_its_own() {
    let (sender, receiver) = channel();
    let (end, ended) = channel();
    let machine = machine();
    let (name, dev) = (c"devtmpfs".as_ptr() as usize, c"/dev".as_ptr() as usize);
    call(&machine, nr::MOUNT, &[name, dev, name, 0, 0]).unwrap();
    let disk = disk(&[0; 1 << 20]);
    let dropper = Dropper {
        told: Told {
            disk: disk.clone(),
            _end: Some(end),
        },
        last: Mutex::new(Some(receiver)),
    };
    machine.add_disk(Arc::new(dropper)).unwrap();
    let path = c"/dev/vda".as_ptr() as usize;
    let fd = call(&machine, nr::OPENAT, &[0, path, libc::O_RDWR as usize]).unwrap();
    write_back_soon(&machine);
    write(&machine, fd, b"precious").unwrap();
    sender.send(machine).unwrap();
    // The other end goes with the disk, and that with the kernel.
    assert_eq!(ended.recv(), Err(RecvError));
    assert_eq!(content(&disk, 0..8), *b"precious");
}
