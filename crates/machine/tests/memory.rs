//! Kernels that run out of memory.

mod common;

use common::{Request, blank_disk, call, nr};
use drupe_host::ManualClock;
use drupe_host::disk::FileDisk;
use drupe_machine::{Config, Error, Machine};
use drupe_testing::skipped;
use std::ffi::CString;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::UNIX_EPOCH;

/// A buffer that there is no memory for is an error, and no end. What cannot be
/// refused waits as long as anybody gets memory; how long that is cannot be measured
/// by a clock that stands still.
#[test]
fn out_of_memory_is_reported_though_the_clock_stands_still() {
    let machine = Machine::boot(Config {
        memory: 32 << 20,
        host: Arc::new(ManualClock::new(UNIX_EPOCH)),
        ..common::config()
    })
    .unwrap();
    let flags = (libc::O_CREAT | libc::O_WRONLY) as usize;
    let file = call(
        &machine,
        nr::OPENAT,
        &[0, c"/big".as_ptr() as usize, flags, 0o600],
    )
    .unwrap();
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
    let error = loop {
        match common::write(&machine, file, &[1; 4096]) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    let Error::Dead(report) = error else {
        panic!("not a death: {error:?}");
    };
    assert_eq!(report.message, "out of memory");
    assert!(report.log.contains("Mem-Info"), "{}", report.log);
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
