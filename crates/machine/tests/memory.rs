//! Kernels that run out of memory.

mod common;

use common::{Request, blank_disk, call, nr};
use drupe_host::disk::FileDisk;
use drupe_host::{Host, ManualClock};
use drupe_machine::{Config, Error, Machine};
use drupe_testing::skipped;
use std::ffi::{CStr, CString};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::UNIX_EPOCH;

const UNLINKAT: usize = 35;
const FTRUNCATE: usize = 46;

/// A file in the kernel's memory.
fn create(machine: &Machine, path: &CStr) -> Result<usize, Error> {
    let flags = (libc::O_CREAT | libc::O_WRONLY) as usize;
    call(
        machine,
        nr::OPENAT,
        &[0, path.as_ptr() as usize, flags, 0o600],
    )
}

/// Writes until that fails.
fn fill(machine: &Machine, file: usize) -> Error {
    let page = [1; 4096];
    loop {
        match common::write(machine, file, &page) {
            Ok(_) => {}
            Err(error) => break error,
        }
    }
}

/// What there is no memory for is an error, and not the kernel's end: a buffer at once,
/// a call when no task gets memory any more. A clock that stands still does not matter.
/// What the program frees can be used again.
fn a_call_fails_without_memory(clock: Arc<dyn Host>) {
    let machine = Machine::boot(Config {
        memory: 32 << 20,
        host: clock,
        ..common::config()
    })
    .unwrap();
    let file = create(&machine, c"/big").unwrap();
    let mut buffers = Vec::new();
    let error = loop {
        match machine.buffer(4096) {
            Ok(buffer) => buffers.push(buffer),
            Err(error) => break error,
        }
    };
    assert!(buffers.len() > 1000, "only {} pages", buffers.len());
    assert_eq!(common::errno(Err::<(), _>(error)), libc::ENOMEM);
    assert_eq!(call(&machine, nr::GETPID, &[]).unwrap(), 1);
    for _ in 0..3 {
        let error = fill(&machine, file);
        assert_eq!(common::errno(Err::<(), _>(error)), libc::ENOMEM);
    }
    assert!(machine.log().contains("page allocation failure"));
    drop(buffers);
    for _ in 0..3 {
        let error = fill(&machine, file);
        assert_eq!(common::errno(Err::<(), _>(error)), libc::ENOMEM);
        call(&machine, FTRUNCATE, &[file, 0]).unwrap();
    }
    for _ in 0..1000 {
        assert_eq!(common::write(&machine, file, &[1; 4096]).unwrap(), 4096);
    }
    call(&machine, UNLINKAT, &[0, c"/big".as_ptr() as usize, 0]).unwrap();
    machine.halt().unwrap();
}

#[test]
fn without_memory_a_call_fails() {
    a_call_fails_without_memory(Config::default().host);
}

#[test]
fn without_memory_a_call_fails_though_the_clock_stands_still() {
    a_call_fails_without_memory(Arc::new(ManualClock::new(UNIX_EPOCH)));
}

/// Inodes, pipes, sockets, the tasks of threads: no call is the kernel's end.
#[test]
fn without_memory_every_call_fails() {
    const MKDIRAT: usize = 34;
    const SOCKETPAIR: usize = 199;
    const SENDTO: usize = 206;
    let machine = Machine::boot(Config {
        memory: 32 << 20,
        ..common::config()
    })
    .unwrap();
    let mut ends = [0i32; 2];
    let pair = |ends: &mut [i32; 2]| {
        let domain = libc::AF_UNIX as usize;
        let kind = libc::SOCK_DGRAM as usize;
        let args = [domain, kind, 0, ends.as_mut_ptr() as usize];
        call(&machine, SOCKETPAIR, &args)
    };
    // Not each flavour has sockets.
    let sockets = pair(&mut ends).is_ok();
    let file = create(&machine, c"/big").unwrap();
    let small = create(&machine, c"/small").unwrap();
    common::write(&machine, small, b"kept").unwrap();
    let error = fill(&machine, file);
    assert_eq!(common::errno(Err::<(), _>(error)), libc::ENOMEM);
    let failed = |what: &str, error: Error| {
        let number = common::errno(Err::<(), _>(error));
        // socketpair(2) says ENFILE when there is no memory for an inode.
        let known = [
            libc::ENOMEM,
            libc::ENOBUFS,
            libc::ENOSPC,
            libc::EAGAIN,
            libc::ENFILE,
        ];
        assert!(known.contains(&number), "{what}: {number}");
    };
    for n in 0.. {
        let path = CString::new(format!("/{n}")).unwrap();
        let args = [0, path.as_ptr() as usize, 0o700];
        if let Err(error) = call(&machine, MKDIRAT, &args) {
            failed("mkdir", error);
            break;
        }
    }
    for _ in 0..if sockets { 2000 } else { 0 } {
        let data = [1; 4096];
        let flags = libc::MSG_DONTWAIT as usize;
        let args = [
            ends[0] as usize,
            data.as_ptr() as usize,
            data.len(),
            flags,
            0,
            0,
        ];
        if let Err(error) = call(&machine, SENDTO, &args) {
            failed("send", error);
            // That one is full.
            let mut more = [0i32; 2];
            match pair(&mut more) {
                Ok(_) => ends = more,
                Err(error) => {
                    failed("socketpair", error);
                    break;
                }
            }
        }
    }
    thread::scope(|s| {
        for _ in 0..50 {
            s.spawn(|| {
                if let Err(error) = call(&machine, nr::GETTID, &[]) {
                    failed("a thread", error);
                }
            });
        }
    });
    call(&machine, FTRUNCATE, &[file, 0]).unwrap();
    assert_eq!(call(&machine, nr::GETPID, &[]).unwrap(), 1);
    machine.halt().unwrap();
}

/// What the reads of a disk pass: the first one when it is armed waits for the test.
struct Stuck {
    armed: AtomicBool,
    reached: Barrier,
    freed: Barrier,
}

impl Stuck {
    fn pass(&self) {
        if self.armed.swap(false, SeqCst) {
            self.reached.wait();
            self.freed.wait();
        }
    }
}

fn mount(machine: &Machine, device: &str, dir: &str, kind: &str) -> Result<usize, Error> {
    let flags = if kind == "ext4" { libc::MS_RDONLY } else { 0 };
    let text = [device, dir, kind].map(|text| CString::new(text).unwrap());
    let [device, dir, kind] = text.each_ref().map(|text| text.as_ptr() as usize);
    call(machine, nr::MOUNT, &[device, dir, kind, flags as usize, 0])
}

/// Metadata that takes all memory is flushed, though a superblock that comes
/// first is locked: it is being mounted, from a disk that does not answer.
#[test]
fn a_locked_superblock_keeps_no_other_from_being_flushed() {
    const MKDIRAT: usize = 34;
    const UMOUNT2: usize = 39;
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(320 << 20).unwrap();
    let mkfs = Command::new("mkfs.xfs")
        .arg("-q")
        .arg(image.path())
        .status();
    assert!(mkfs.unwrap().success());
    let machine = Machine::boot(Config {
        memory: 40 << 20,
        ..common::config()
    })
    .unwrap();
    let mkdir = |path: &str| {
        let path = CString::new(path).unwrap();
        call(&machine, MKDIRAT, &[0, path.as_ptr() as usize, 0o755]).unwrap();
    };
    let create = |path: &str| {
        let path = CString::new(path).unwrap();
        let flags = (libc::O_CREAT | libc::O_WRONLY) as usize;
        let fd = call(
            &machine,
            nr::OPENAT,
            &[0, path.as_ptr() as usize, flags, 0o644],
        )?;
        common::write(&machine, fd, b"small")?;
        call(&machine, nr::CLOSE, &[fd])
    };
    mount(&machine, "dev", "/dev", "devtmpfs").unwrap();
    mkdir("/first");
    mkdir("/second");
    if common::errno(mount(&machine, "none", "/second", "xfs")) == libc::ENODEV {
        return skipped("no XFS of this flavour");
    }
    let stuck = Arc::new(Stuck {
        armed: AtomicBool::new(false),
        reached: Barrier::new(2),
        freed: Barrier::new(2),
    });
    let passed = Arc::clone(&stuck);
    let disk = blank_disk(move |request| {
        if matches!(request, Request::Read(_)) {
            passed.pass();
        }
    });
    machine.add_disk(disk).unwrap();
    let disk = FileDisk::open(image.path(), false).unwrap();
    machine.add_disk(Arc::new(disk)).unwrap();
    thread::scope(|s| {
        stuck.armed.store(true, SeqCst);
        s.spawn(|| mount(&machine, "/dev/vda", "/first", "ext4").unwrap_err());
        stuck.reached.wait();
        mount(&machine, "/dev/vdb", "/second", "xfs").unwrap();
        let mut result = Ok(0);
        for dir in 0..60 {
            // Also when the kernel has died: the other thread is to end.
            if result.is_err() {
                break;
            }
            mkdir(&format!("/second/{dir}"));
            for file in 0..500 {
                result = result.and_then(|_| create(&format!("/second/{dir}/{file}")));
            }
        }
        stuck.freed.wait();
        result.unwrap();
    });
    let dir = c"/second".as_ptr() as usize;
    call(&machine, UMOUNT2, &[dir, 0]).unwrap();
    machine.halt().unwrap();
}
