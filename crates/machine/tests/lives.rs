//! Many kernels, one after the other and at once; and their disks.
//!
//! In a file of its own, with one test that counts what the process has: other
//! tests would change the counts.

mod common;

use common::{call, content, errno, machine, nr};
use drupe_host::disk::{DiskOp, Fault};
use std::fs;

/// Threads, file descriptors and resident memory (in pages) of this process.
fn counts() -> (usize, usize, usize) {
    let entries = |path: &str| fs::read_dir(path).unwrap().count();
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let resident = statm.split(' ').nth(1).unwrap().parse().unwrap();
    (
        entries("/proc/self/task"),
        entries("/proc/self/fd"),
        resident,
    )
}

fn life() {
    let machine = machine();
    assert_eq!(call(&machine, nr::GETPID, &[]).unwrap(), 1);
    machine.halt().unwrap();
}

#[test]
fn five_hundred_lives_leave_nothing() {
    (0..10).for_each(|_| life());
    let (threads, files, resident) = counts();
    (0..490).for_each(|_| life());
    let (threads_after, files_after, resident_after) = counts();
    assert_eq!(threads_after, threads, "threads");
    assert_eq!(files_after, files, "file descriptors");
    // The allocator's own wobble; a kernel is 5 MB.
    let limit = resident + 256;
    assert!(
        resident_after <= limit,
        "{resident_after} pages, were {resident}"
    );

    kernels_are_independent();
    disks_come_and_go();
}

fn kernels_are_independent() {
    let (one, two) = (machine(), machine());
    let open = |m, flags| {
        let path = c"/only-here";
        call(m, nr::OPENAT, &[0, path.as_ptr() as usize, flags, 0o600])
    };
    open(&one, libc::O_CREAT as usize).unwrap();
    assert_eq!(errno(open(&two, 0)), libc::ENOENT);
    one.halt().unwrap();
    assert_eq!(call(&two, nr::GETPID, &[]).unwrap(), 1);
}

fn disks_come_and_go() {
    let machine = machine();
    let disk = common::disk(&[0; 1 << 20]);
    let id = machine.add_disk(disk.clone()).unwrap();
    assert_eq!(id.name(), "vda");
    let text = c"devtmpfs";
    let dev = c"/dev";
    let args = [text.as_ptr(), dev.as_ptr(), text.as_ptr()].map(|p| p as usize);
    call(&machine, nr::MOUNT, &args).unwrap();

    let path = c"/dev/vda";
    let open = || call(&machine, nr::OPENAT, &[0, path.as_ptr() as usize, 2]);
    let fd = open().unwrap();
    common::write(&machine, fd, &[7; 4096]).unwrap();
    assert_eq!(errno(machine.remove_disk(id)), libc::EBUSY);
    call(&machine, 82, &[fd]).expect("fsync");
    assert_eq!(
        content(&disk, 0..4097),
        [[7; 4096].as_slice(), &[0]].concat()
    );

    disk.faults().add(Fault::new(DiskOp::Read));
    let mut data = vec![0; 4096];
    call(&machine, 62, &[fd, 512 << 10, 0]).expect("lseek");
    assert_eq!(errno(common::read(&machine, fd, &mut data)), libc::EIO);
    call(&machine, nr::CLOSE, &[fd]).unwrap();
    machine.remove_disk(id).unwrap();
    assert_eq!(errno(machine.remove_disk(id)), libc::ENODEV);
}
