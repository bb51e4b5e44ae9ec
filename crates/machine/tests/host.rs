//! Host operations: time, randomness, disks.

mod common;

use common::{TestDisk, call, content, machine, nr, write};
use drupe_host::disk::DiskOp;
use drupe_machine::Machine;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Numbers of `include/uapi/asm-generic/unistd.h` and `linux/fs.h`.
const CLOCK_GETTIME: usize = 113;
const FSYNC: usize = 82;
const GETRANDOM: usize = 278;
const IOCTL: usize = 29;
const BLKDISCARD: usize = 0x1277;
const BLKZEROOUT: usize = 0x127f;

#[test]
fn the_wall_clock_is_the_hosts() {
    let machine = machine();
    let mut time = [0i64; 2];
    let now = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.unwrap().as_nanos() as i64
    };
    let before = now();
    let args = [libc::CLOCK_REALTIME as usize, time.as_mut_ptr() as usize];
    call(&machine, CLOCK_GETTIME, &args).unwrap();
    let inside = time[0] * 1_000_000_000 + time[1];
    let after = now();
    // The kernel took the time at its boot, and counts from there: what a
    // busy host does in between is its business, another clock is not.
    let slack = 10_000_000_000;
    assert!(before - slack <= inside && inside <= after + slack);
}

#[test]
fn every_kernel_has_random_numbers_of_its_own() {
    let numbers = |machine: &Machine| {
        let mut bytes = [0u8; 32];
        let args = [bytes.as_mut_ptr() as usize, bytes.len(), 1];
        // GRND_NONBLOCK: an error if the generator were not seeded.
        assert_eq!(call(machine, GETRANDOM, &args).unwrap(), 32);
        bytes
    };
    assert_ne!(numbers(&machine()), numbers(&machine()));
}

/// A kernel with a disk, and the disk open.
fn open_disk(size: usize) -> (Arc<Machine>, Arc<TestDisk>, usize) {
    let machine = machine();
    let disk = common::disk(&vec![0xff; size]);
    machine.add_disk(disk.clone()).unwrap();
    let (kind, dev, path) = (c"devtmpfs", c"/dev", c"/dev/vda");
    let args = [kind.as_ptr(), dev.as_ptr(), kind.as_ptr()].map(|p| p as usize);
    call(&machine, nr::MOUNT, &args).unwrap();
    let fd = call(&machine, nr::OPENAT, &[0, path.as_ptr() as usize, 2]).unwrap();
    (machine, disk, fd)
}

#[test]
fn fsync_reaches_the_disk() {
    let (machine, disk, fd) = open_disk(1 << 20);
    write(&machine, fd, &[7; 4096]).unwrap();
    assert_eq!(disk.faults().asked(DiskOp::Flush), 0);
    call(&machine, FSYNC, &[fd]).unwrap();
    assert_eq!(content(&disk, 0..4096), [7; 4096]);
    assert_eq!(disk.faults().asked(DiskOp::Flush), 1);
}

#[test]
fn discards_and_zeroes_reach_the_disk() {
    let (machine, disk, fd) = open_disk(1 << 20);
    let cases = [
        (BLKDISCARD, DiskOp::Discard, 8192..8192 + 65536),
        (BLKZEROOUT, DiskOp::WriteZeroes, 131072..131072 + 4096),
    ];
    for (request, op, zeroed) in cases {
        let range = [zeroed.start, zeroed.end - zeroed.start];
        call(&machine, IOCTL, &[fd, request, range.as_ptr() as usize]).unwrap();
        assert_eq!(disk.faults().asked(op), 1);
        let around = content(&disk, zeroed.start - 1..zeroed.end + 1);
        assert_eq!((around[0], around[1]), (0xff, 0));
        assert_eq!(around[around.len() - 2..], [0, 0xff]);
    }
    assert_eq!(disk.faults().asked(DiskOp::Write), 0);
}
