//! A slow or panicking disk delays only the calls that use it.

mod common;

use common::{blank_disk, call, machine, nr, read, write};
use drupe_machine::{Error, Machine, with_deadline};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const FSYNC: usize = 82;
const PREAD64: usize = 67;

/// What the requests of a disk pass while it is open; counts who is inside.
#[derive(Default)]
struct Gate {
    gate: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    open: bool,
    inside: usize,
    most: usize,
}

impl Gate {
    fn set(&self, open: bool) {
        self.gate.lock().unwrap().open = open;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut gate = self.gate.lock().unwrap();
        gate.inside += 1;
        gate.most = gate.most.max(gate.inside);
        self.changed.notify_all();
        let mut gate = self.changed.wait_while(gate, |gate| !gate.open).unwrap();
        gate.inside -= 1;
    }

    fn wait_for(&self, count: usize) {
        let gate = self.gate.lock().unwrap();
        let few = |gate: &mut State| gate.inside < count;
        drop(self.changed.wait_while(gate, few).unwrap());
    }
}

fn mount_devices(machine: &Machine) {
    let (name, dev) = (c"devtmpfs".as_ptr() as usize, c"/dev".as_ptr() as usize);
    call(machine, nr::MOUNT, &[name, dev, name, 0, 0]).unwrap();
}

#[test]
fn a_slow_disk_does_not_hold_the_cpu() {
    let machine = machine();
    mount_devices(&machine);
    let gate = Arc::new(Gate::default());
    gate.set(true);
    let passed = Arc::clone(&gate);
    machine
        .add_disk(blank_disk(move |_| passed.pass()))
        .unwrap();
    let path = c"/dev/vda".as_ptr() as usize;
    let open = || call(&machine, nr::OPENAT, &[0, path, libc::O_RDWR as usize]).unwrap();
    let goes_on = || {
        // A call that waits for the CPU gives up some time.
        let soon = Instant::now() + Duration::from_secs(30);
        let pid = with_deadline(soon, || call(&machine, nr::GETPID, &[]));
        assert_eq!(pid.expect("the CPU is free"), 1);
    };

    // Four reads of different places, all on their way at the same time.
    gate.set(false);
    let start = Barrier::new(5);
    thread::scope(|s| {
        for place in 0..4 {
            let (machine, start) = (&machine, &start);
            s.spawn(move || {
                let fd = open();
                start.wait();
                let mut data = [1u8; 512];
                let at = place << 18;
                let args = [fd, data.as_mut_ptr() as usize, data.len(), at];
                assert_eq!(call(machine, PREAD64, &args).unwrap(), 512);
                assert!(data == [0; 512]);
            });
        }
        start.wait();
        gate.wait_for(4);
        goes_on();
        gate.set(true);
    });
    assert_eq!(gate.gate.lock().unwrap().most, 4);

    // A write that is waited for; and the flush behind it.
    let fd = open();
    write(&machine, fd, &[7; 4096]).unwrap();
    gate.set(false);
    thread::scope(|s| {
        let sync = s.spawn(|| call(&machine, FSYNC, &[fd]));
        gate.wait_for(1);
        goes_on();
        // What is cached is read meanwhile.
        let again = open();
        let mut data = [0; 4096];
        assert_eq!(read(&machine, again, &mut data).unwrap(), 4096);
        assert!(data == [7; 4096]);
        gate.set(true);
        assert_eq!(sync.join().unwrap().unwrap(), 0);
    });
}

/// What a disk panics with, which panics itself when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        // Not through the hook, which would print it.
        std::panic::resume_unwind(Box::new("as requested"));
    }
}

#[test]
fn a_panic_of_a_disk_is_an_error_whatever_it_panics_with() {
    const EIO: i32 = 5;
    let machine = machine();
    mount_devices(&machine);
    let armed = Arc::new(AtomicBool::new(false));
    let fuse = Arc::clone(&armed);
    let disk = blank_disk(move |_| {
        if fuse.load(SeqCst) {
            std::panic::resume_unwind(Box::new(Bomb));
        }
    });
    machine.add_disk(disk).unwrap();
    let path = c"/dev/vda".as_ptr() as usize;
    let fd = call(&machine, nr::OPENAT, &[0, path, 0]).unwrap();
    armed.store(true, SeqCst);
    for place in 0..4 {
        let mut data = [1u8; 512];
        let args = [fd, data.as_mut_ptr() as usize, data.len(), place << 18];
        let error = call(&machine, PREAD64, &args).unwrap_err();
        assert!(matches!(error, Error::Errno(errno) if errno.raw_os_error() == EIO));
    }
    armed.store(false, SeqCst);
    let mut data = [1u8; 512];
    let args = [fd, data.as_mut_ptr() as usize, data.len(), 1 << 17];
    assert_eq!(call(&machine, PREAD64, &args).unwrap(), 512);
    machine.halt().unwrap();
}
