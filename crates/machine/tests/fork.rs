//! `fork(2)` of the program: the kernels stay with the parent.

mod common;

use common::{call, machine, nr, pipe, read, write};
use drupe_host::disk::FileDisk;
use drupe_machine::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

/// Runs `child` in a child process; returns whether it returned true.
fn in_child(child: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child uses what a child of a process with threads may use:
    // glibc's allocator can be used after a fork.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        let good = catch_unwind(AssertUnwindSafe(child)).unwrap_or(false);
        // SAFETY: ends the child without running the parent's destructors.
        unsafe { libc::_exit(i32::from(!good)) };
    }
    let mut status = 0;
    // SAFETY: the child is ours.
    unsafe { libc::waitpid(pid, &mut status, 0) };
    status == 0
}

#[test]
fn a_child_has_no_kernel_and_the_parent_goes_on() {
    let one = machine();
    let two = machine();
    let (reader, writer) = pipe(&one);
    let interrupter = one.interrupter().unwrap();
    let path = std::env::temp_dir().join(format!("drupe-fork-{}", std::process::id()));
    std::fs::write(&path, vec![0; 1 << 20]).unwrap();
    let disk = Arc::new(FileDisk::open(&path, false).unwrap());
    one.add_disk(disk.clone()).unwrap();

    let forked = |result: Result<usize, Error>| matches!(result, Err(Error::Forked));
    thread::scope(|s| {
        // A thread that is in a call while the process forks.
        let blocked = s.spawn(|| read(&one, reader, &mut [0]).unwrap());
        let copies = (Arc::clone(&one), Arc::clone(&two));
        assert!(in_child(move || {
            let refused = forked(call(&copies.0, nr::GETPID, &[]))
                && forked(call(&copies.1, nr::GETPID, &[]))
                && matches!(interrupter.interrupt(), Err(Error::Forked))
                && matches!(copies.0.halt(), Err(Error::Forked));
            // The parent's locks and memory stay as they are.
            drop(disk);
            drop(copies);
            let own = machine();
            let works = call(&own, nr::GETPID, &[]).unwrap() == 1;
            own.halt().unwrap();
            refused && works
        }));
        let second = FileDisk::open(&path, false).map_err(|error| error.kind());
        assert_eq!(second.err(), Some(std::io::ErrorKind::WouldBlock), "lock");
        write(&one, writer, &[1]).unwrap();
        assert_eq!(blocked.join().unwrap(), 1);
    });
    assert_eq!(call(&two, nr::GETPID, &[]).unwrap(), 1);
    one.halt().unwrap();
    std::fs::remove_file(&path).unwrap();
}
