//! The vmalloc area: second mappings of memory while disks and programs write to it.

mod common;

use common::{BlankDisk, Request, call, machine, nr};
use drupe_machine::{Config, Machine, Ram};
use drupe_testing::skipped;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::Duration;

const PREAD64: usize = 67;
const SOCKET: usize = 198;
const SETSOCKOPT: usize = 208;

/// How long something may take that would otherwise never end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Adds a disk whose reads begin with a call of `before`; returns a descriptor of it.
fn open_disk(machine: &Machine, before: impl Fn() + Send + Sync + 'static) -> usize {
    let disk = BlankDisk {
        size: 1 << 24,
        byte: 0,
        before: move |request| {
            if matches!(request, Request::Read(_)) {
                before();
            }
        },
    };
    let (name, dev) = (c"devtmpfs".as_ptr() as usize, c"/dev".as_ptr() as usize);
    call(machine, nr::MOUNT, &[name, dev, name, 0, 0]).unwrap();
    machine.add_disk(Arc::new(disk)).unwrap();
    call(machine, nr::OPENAT, &[0, c"/dev/vda".as_ptr() as usize, 0]).unwrap()
}

fn read_at(machine: &Machine, fd: usize, offset: usize) {
    let mut data = [1u8; 4096];
    let args = [fd, data.as_mut_ptr() as usize, data.len(), offset];
    assert_eq!(call(machine, PREAD64, &args).unwrap(), 4096);
    assert!(data == [0; 4096]);
}

/// Makes the kernel allocate memory in its vmalloc area: a socket with a filter.
fn vmalloc(machine: &Machine) {
    #[repr(C)]
    struct Program(u16, *const u64);
    // BPF_RET | BPF_K with 0xffff.
    let instruction = u64::from_le_bytes([6, 0, 0, 0, 0xff, 0xff, 0, 0]);
    let program = Program(1, &raw const instruction);
    let [unix, datagram] = [1, 2];
    let socket = call(machine, SOCKET, &[unix, datagram, 0]).unwrap();
    // SOL_SOCKET, SO_ATTACH_FILTER.
    let args = [socket, 1, 26, &raw const program as usize, 16];
    call(machine, SETSOCKOPT, &args).unwrap();
}

/// Whether kernels of this flavour have a vmalloc area, and what is needed here to
/// use it.
#[track_caller]
fn has_vmalloc() -> bool {
    let machine = machine();
    let socket = call(&machine, SOCKET, &[1, 2, 0]);
    machine.halt().unwrap();
    if let Err(error) = &socket {
        skipped(format_args!("no sockets: {error}"));
    }
    socket.is_ok()
}

/// Whether `job` ends. One that does not is left behind.
fn ends(job: impl FnOnce() + Send + 'static) -> bool {
    let (sender, receiver) = mpsc::channel::<()>();
    thread::spawn(move || {
        let _sender = sender;
        job();
    });
    receiver.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Disconnected)
}

#[test]
fn a_mapping_does_not_wait_for_a_disk() {
    if !has_vmalloc() {
        return;
    }
    let (entered, enters) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let machine = machine();
    // Adding the disk reads its partition table, too.
    let closed = Arc::new(OnceLock::new());
    let is_closed = Arc::clone(&closed);
    let fd = open_disk(&machine, move || {
        if is_closed.get().is_some() {
            entered.send(()).unwrap();
            let _ = released.lock().unwrap().recv();
        }
    });
    closed.set(()).unwrap();
    let reader = thread::spawn({
        let machine = Arc::clone(&machine);
        move || read_at(&machine, fd, 1 << 20)
    });
    enters.recv().unwrap();
    let ended = ends({
        let machine = Arc::clone(&machine);
        move || (0..100).for_each(|_| vmalloc(&machine))
    });
    drop(release);
    reader.join().unwrap();
    assert!(ended, "the kernel waited for the disk");
}

#[test]
fn a_disk_may_call_its_own_kernel() {
    if !has_vmalloc() {
        return;
    }
    static MACHINE: OnceLock<Weak<Machine>> = OnceLock::new();
    let ended = ends(|| {
        let machine = machine();
        let fd = open_disk(&machine, || {
            if let Some(machine) = MACHINE.get().and_then(Weak::upgrade) {
                call(&machine, nr::GETPID, &[]).unwrap();
            }
        });
        MACHINE.set(Arc::downgrade(&machine)).unwrap();
        thread::scope(|s| {
            s.spawn(|| {
                for offset in (0..1 << 24).step_by(4096) {
                    read_at(&machine, fd, offset);
                }
            });
            s.spawn(|| (0..500).for_each(|_| vmalloc(&machine)));
        });
    });
    assert!(ended, "the kernel and its disk wait for each other");
}

#[test]
fn every_kind_of_ram_is_what_it_says() {
    if !has_vmalloc() {
        return;
    }
    let kinds = [
        (Ram::HugePages, 64, false),
        (Ram::HugePages, 1024, false),
        (Ram::SmallPages, 64, false),
        (Ram::SharedFile, 64, true),
    ];
    for (ram, mebibytes, in_file) in kinds {
        let machine = Machine::boot(Config {
            ram,
            memory: mebibytes << 20,
            ..common::config()
        })
        .unwrap();
        (0..100).for_each(|_| vmalloc(&machine));
        let mut buffer = machine.buffer(1 << 20).unwrap();
        buffer.fill(1);
        let address = buffer.as_ptr().addr();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let around = |line: &&str| {
            let (range, _) = line.split_once(' ').unwrap();
            let (start, end) = range.split_once('-').unwrap();
            let number = |text| usize::from_str_radix(text, 16).unwrap();
            (number(start)..number(end)).contains(&address)
        };
        let line = maps.lines().find(around).unwrap();
        assert_eq!(line.contains("drupe-ram"), in_file, "{ram:?}: {line}");
        assert!(buffer.iter().all(|&byte| byte == 1));
        drop(buffer);
        machine.halt().unwrap();
    }
}
