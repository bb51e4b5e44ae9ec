//! io_uring from the program's threads, with its rings in kernel memory.

mod common;
#[path = "common/uring.rs"]
mod uring;

use common::{BlankDisk, Request, call, disk, errno, machine, nr, pipe, write};
use drupe_host::disk::Disk;
use drupe_machine::Machine;
use std::sync::{Arc, Barrier};
use std::thread;
use uring::{ASYNC, Entry, Params, Ring, transfer};

/// A kernel, unless it has no page tables: there io_uring is absent.
fn machine_with_rings() -> Option<Arc<Machine>> {
    let machine = machine();
    match Ring::new(&machine, 0) {
        Ok(_) => Some(machine),
        Err(_) if !has_page_tables(&machine) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Flavours without page tables cannot pin: their rings are `ENOSYS`.
fn has_page_tables(machine: &Arc<Machine>) -> bool {
    let mut params = Params {
        flags: uring::SETUP_NO_MMAP,
        ..Params::default()
    };
    let args = [8, &raw mut params as usize];
    errno(call(machine, uring::SETUP, &args)) != libc::ENOSYS
}

fn open(machine: &Machine, path: &std::ffi::CStr, flags: i32) -> usize {
    let args = [0, path.as_ptr() as usize, flags as usize, 0o600];
    call(machine, nr::OPENAT, &args).unwrap()
}

fn mount_dev(machine: &Machine) {
    let (name, dev) = (c"devtmpfs".as_ptr() as usize, c"/dev".as_ptr() as usize);
    call(machine, nr::MOUNT, &[name, dev, name, 0, 0]).unwrap();
}

#[test]
fn a_ring_that_nobody_else_could_see_is_refused() {
    let machine = machine();
    let mut params = Params::default();
    let args = [8, &raw mut params as usize];
    assert_eq!(errno(call(&machine, uring::SETUP, &args)), libc::ENOSYS);
    if has_page_tables(&machine) {
        // Memory of the program's own: it has no pages here.
        let own = vec![0u64; 4096];
        let rings = own.as_ptr() as u64 & !4095;
        let mut params = Params {
            flags: uring::SETUP_NO_MMAP,
            ..Params::default()
        };
        (params.cq.user_addr, params.sq.user_addr) = (rings, rings + 16384);
        let args = [8, &raw mut params as usize];
        assert_eq!(errno(call(&machine, uring::SETUP, &args)), libc::EFAULT);
    }
    machine.halt().unwrap();
}

#[test]
fn files_are_read_and_written() {
    let Some(machine) = machine_with_rings() else {
        return;
    };
    let ring = Ring::new(&machine, 0).unwrap();
    let fd = open(&machine, c"/file", libc::O_CREAT | libc::O_RDWR);
    let data: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
    for flags in [0, ASYNC] {
        let entry = transfer(uring::WRITE, fd, data.as_ptr(), data.len(), 10);
        let entry = Entry { flags, ..entry };
        assert_eq!(ring.run(entry), data.len() as i32);
        let mut back = vec![0u8; data.len()];
        let entry = transfer(uring::READ, fd, back.as_mut_ptr(), back.len(), 10);
        let entry = Entry { flags, ..entry };
        assert_eq!(ring.run(entry), data.len() as i32);
        assert!(back == data);
        // A bad pointer, met by this thread or by a worker of the kernel's.
        let entry = transfer(uring::READ, fd, 8 as *const u8, 100, 0);
        let entry = Entry { flags, ..entry };
        assert_eq!(ring.run(entry), -libc::EFAULT);
    }
    drop(ring);
    machine.halt().unwrap();
}

/// The completion is in the ring without another call of this thread: its task
/// is parked.
#[test]
fn a_completion_is_seen_without_a_call() {
    let Some(machine) = machine_with_rings() else {
        return;
    };
    mount_dev(&machine);
    // Its reads wait for the test, twice: when they begin and to end.
    let barrier = Arc::new(Barrier::new(2));
    let steps = Arc::clone(&barrier);
    let disk = BlankDisk {
        size: 1 << 20,
        byte: 9,
        before: move |request| {
            // What reads the partition table does not wait.
            if matches!(request, Request::Read(offset) if offset >= 1 << 19) {
                steps.wait();
                steps.wait();
            }
        },
    };
    machine.add_disk(Arc::new(disk)).unwrap();
    let fd = open(&machine, c"/dev/vda", libc::O_RDWR | libc::O_DIRECT);
    let ring = Ring::new(&machine, 0).unwrap();
    for len in [512usize, 65536] {
        let mut buffer = machine.buffer(len).unwrap();
        ring.push(transfer(uring::READ, fd, buffer.as_mut_ptr(), len, 1 << 19));
        assert_eq!(ring.enter(1, 0).unwrap(), 1);
        barrier.wait();
        assert_eq!(ring.pop(), None);
        barrier.wait();
        assert_eq!(ring.watch(), (1 << 19, len as i32));
        assert!(buffer.iter().all(|&byte| byte == 9));
    }
    // A buffer that is dropped while the disk writes to it: its pages stay.
    let buffer = machine.buffer(4096).unwrap();
    ring.push(transfer(uring::READ, fd, buffer.as_ptr(), 4096, 1 << 19));
    assert_eq!(ring.enter(1, 0).unwrap(), 1);
    barrier.wait();
    drop(buffer);
    let others: Vec<_> = (0..64).map(|_| machine.buffer(4096).unwrap()).collect();
    barrier.wait();
    assert_eq!(ring.watch(), (1 << 19, 4096));
    assert!(
        others
            .iter()
            .all(|other| other.iter().all(|&byte| byte == 0))
    );
    drop(ring);
    machine.halt().unwrap();
}

#[test]
fn direct_and_fixed_buffers_reach_a_disk() {
    let Some(machine) = machine_with_rings() else {
        return;
    };
    mount_dev(&machine);
    let disk = disk(&vec![5; 1 << 20]);
    machine
        .add_disk(Arc::clone(&disk) as Arc<dyn Disk>)
        .unwrap();
    let fd = open(&machine, c"/dev/vda", libc::O_RDWR | libc::O_DIRECT);
    let ring = Ring::new(&machine, 0).unwrap();
    let mut buffer = machine.buffer(65536).unwrap();
    buffer[..4096].fill(6);
    let entry = transfer(uring::WRITE, fd, buffer.as_ptr(), 4096, 8192);
    assert_eq!(ring.run(entry), 4096);
    assert_eq!(common::content(&disk, 8191..12289)[..2], [5, 6]);
    let vector = [buffer.as_ptr() as usize, buffer.len()];
    let args = [ring.fd, 0, vector.as_ptr() as usize, 1];
    call(&machine, uring::REGISTER, &args).unwrap();
    buffer.fill(0);
    let entry = transfer(uring::READ_FIXED, fd, buffer.as_ptr(), 65536, 0);
    assert_eq!(ring.run(entry), 65536);
    let expected = |at: usize| if (8192..12288).contains(&at) { 6 } else { 5 };
    assert!((0..65536).all(|at| buffer[at] == expected(at)));
    // The program's own memory has no pages.
    let own = vec![0u8; 8192];
    let aligned = (own.as_ptr() as usize).next_multiple_of(4096) as *const u8;
    let entry = transfer(uring::READ, fd, aligned, 4096, 0);
    assert_eq!(ring.run(entry), -libc::EFAULT);
    drop(ring);
    machine.halt().unwrap();
}

#[test]
fn a_poll_and_a_timeout_complete() {
    let Some(machine) = machine_with_rings() else {
        return;
    };
    let ring = Ring::new(&machine, 0).unwrap();
    let (reader, writer) = pipe(&machine);
    ring.push(Entry {
        opcode: uring::POLL_ADD,
        fd: reader as i32,
        op_flags: libc::POLLIN as u32,
        user_data: 1,
        ..Entry::default()
    });
    let time: [i64; 2] = [0, 1_000_000];
    ring.push(Entry {
        opcode: uring::TIMEOUT,
        address: time.as_ptr() as u64,
        len: 1,
        user_data: 2,
        ..Entry::default()
    });
    assert_eq!(ring.enter(2, 0).unwrap(), 2);
    assert_eq!(ring.watch(), (2, -libc::ETIME));
    assert_eq!(ring.pop(), None);
    thread::scope(|s| {
        s.spawn(|| write(&machine, writer, &[1]).unwrap());
        assert_eq!(ring.watch(), (1, libc::POLLIN.into()));
    });
    drop(ring);
    machine.halt().unwrap();
}

/// Two threads with a ring each: what one writes into a pipe, the other one
/// reads, with many requests on their way at any time.
#[test]
fn many_are_in_flight_from_two_threads() {
    const ROUNDS: usize = 50;
    const MANY: usize = 32;
    let Some(machine) = machine_with_rings() else {
        return;
    };
    let pipes: Vec<_> = (0..MANY).map(|_| pipe(&machine)).collect();
    let bytes: Vec<u8> = (0..MANY as u8).collect();
    thread::scope(|s| {
        s.spawn(|| {
            let ring = Ring::new(&machine, 0).unwrap();
            let mut back = [[0u8; 1]; MANY];
            for _ in 0..ROUNDS {
                for (number, byte) in back.iter_mut().enumerate() {
                    let entry = transfer(uring::READ, pipes[number].0, byte.as_mut_ptr(), 1, 0);
                    let user_data = number as u64;
                    ring.push(Entry { user_data, ..entry });
                }
                assert_eq!(ring.enter(MANY, MANY).unwrap(), MANY);
                let mut seen = [false; MANY];
                for _ in 0..MANY {
                    let (number, result) = ring.pop().expect("waited for");
                    assert_eq!(result, 1);
                    assert!(!std::mem::replace(&mut seen[number as usize], true));
                }
                assert!(back.as_flattened() == bytes);
                back = [[0; 1]; MANY];
            }
        });
        s.spawn(|| {
            let ring = Ring::new(&machine, 0).unwrap();
            for round in 0..ROUNDS {
                for number in (0..MANY).rev() {
                    let entry = transfer(uring::WRITE, pipes[number].1, &bytes[number], 1, 0);
                    let flags = if number % 4 == 0 { ASYNC } else { 0 };
                    let user_data = round as u64;
                    ring.push(Entry {
                        flags,
                        user_data,
                        ..entry
                    });
                }
                assert_eq!(ring.enter(MANY, MANY).unwrap(), MANY);
                for _ in 0..MANY {
                    assert_eq!(ring.pop().expect("waited for"), (round as u64, 1));
                }
            }
        });
    });
    machine.halt().unwrap();
}

#[test]
fn every_kind_of_ring_works() {
    let Some(machine) = machine_with_rings() else {
        return;
    };
    let deferred = uring::SETUP_SINGLE_ISSUER | uring::SETUP_DEFER_TASKRUN;
    for flags in [0, uring::SETUP_SINGLE_ISSUER, deferred] {
        let ring = Ring::new(&machine, flags).unwrap();
        for number in 0..100 {
            let user_data = number;
            assert_eq!(
                ring.run(Entry {
                    user_data,
                    ..Entry::default()
                }),
                0
            );
        }
    }
    // A thread of the kernel's that polls would never let go of its CPU.
    let polled = Ring::new(&machine, uring::SETUP_SQPOLL).map(|ring| ring.fd);
    assert_eq!(errno(polled), libc::EINVAL);
    // A request that is on its way when the kernel ends.
    let ring = Ring::new(&machine, 0).unwrap();
    let time: [i64; 2] = [1000, 0];
    ring.push(Entry {
        opcode: uring::TIMEOUT,
        address: time.as_ptr() as u64,
        len: 1,
        ..Entry::default()
    });
    assert_eq!(ring.enter(1, 0).unwrap(), 1);
    machine.halt().unwrap();
}

/// A thread ends while its requests are on their way: they are cancelled, and
/// the kernel goes on.
#[test]
fn requests_end_with_their_thread() {
    let Some(machine) = machine_with_rings() else {
        return;
    };
    let (reader, writer) = pipe(&machine);
    let mut bytes = [[0u8; 1]; 2];
    for (flags, byte) in [0, ASYNC].into_iter().zip(&mut bytes) {
        thread::scope(|s| {
            s.spawn(|| {
                let ring = Ring::new(&machine, 0).unwrap();
                let entry = transfer(uring::READ, reader, byte.as_mut_ptr(), 1, 0);
                ring.push(Entry { flags, ..entry });
                assert_eq!(ring.enter(1, 0).unwrap(), 1);
            });
        });
    }
    // The last of these is not for them, even if they have yet to end.
    for _ in 0..3 {
        write(&machine, writer, &[1]).unwrap();
    }
    assert!(common::read(&machine, reader, &mut [0; 3]).unwrap() > 0);
    machine.halt().unwrap();
}
