//! Calls into a kernel: threads, blocking, bad pointers, re-entry, halting.

mod common;

use common::{call, errno, machine, nr, pipe, read, write};
use drupe_machine::{Config, Error, Machine};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc;
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;

#[test]
fn every_thread_has_a_task_of_its_own() {
    let machine = machine();
    let tid = |m: &Machine| call(m, nr::GETTID, &[]).unwrap();
    let mine = tid(&machine);
    assert_eq!(tid(&machine), mine);
    let theirs = thread::scope(|s| s.spawn(|| tid(&machine)).join().unwrap());
    assert_ne!(theirs, mine);
    // All are threads of process 1.
    assert_eq!(call(&machine, nr::GETPID, &[]).unwrap(), 1);
}

#[test]
fn tasks_end_with_their_threads() {
    let machine = machine();
    let mut last = 0;
    for _ in 0..500 {
        last = thread::scope(|s| {
            s.spawn(|| call(&machine, nr::GETTID, &[]).unwrap())
                .join()
                .unwrap()
        });
    }
    // 500 tasks of 16 KiB of stack would not fit beside a small kernel's own;
    // the numbers go up, the memory does not.
    assert!(last >= 500, "only {last} tasks");
    machine.halt().unwrap();
}

#[test]
fn a_bad_pointer_is_efault() {
    let machine = machine();
    assert_eq!(errno(call(&machine, nr::UNAME, &[8])), libc::EFAULT);
    let (_reader, writer) = pipe(&machine);
    assert_eq!(
        errno(call(&machine, nr::WRITE, &[writer, 8, 10])),
        libc::EFAULT
    );
    assert_eq!(
        errno(call(&machine, nr::OPENAT, &[0, usize::MAX - 4095])),
        libc::EFAULT
    );
    let pid = call(&machine, nr::GETPID, &[]).unwrap();
    assert_eq!(pid, 1, "the kernel goes on");
}

#[test]
fn a_buffer_that_ends_is_copied_as_far_as_it_goes() {
    let machine = machine();
    let path = c"/file";
    let flags = libc::O_CREAT | libc::O_RDWR;
    let args = [0, path.as_ptr() as usize, flags as usize, 0o600];
    let fd = call(&machine, nr::OPENAT, &args).unwrap();
    // SAFETY: two fresh pages, the second taken away again.
    let pages = unsafe {
        let pages = libc::mmap(
            std::ptr::null_mut(),
            8192,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        libc::munmap(pages.byte_add(4096), 4096);
        pages as usize
    };
    let args = [fd, pages + 4096 - 100, 200];
    assert_eq!(call(&machine, nr::WRITE, &args).unwrap(), 100);
}

#[test]
fn calls_without_a_program_are_enosys() {
    let machine = machine();
    assert_eq!(errno(call(&machine, nr::CLONE, &[])), libc::ENOSYS);
    assert_eq!(errno(call(&machine, 93, &[0])), libc::ENOSYS, "exit");
    let mut context = 0usize;
    let io_setup = [8, &raw mut context as usize];
    assert_eq!(errno(call(&machine, 0, &io_setup)), libc::ENOSYS);
    assert_eq!(context, 0);
    // Beyond the table; and among the requests that are no system calls.
    assert_eq!(errno(call(&machine, 1000, &[])), libc::ENOSYS);
    assert_eq!(errno(call(&machine, 0x10001, &[])), libc::ENOSYS);
    assert_eq!(errno(call(&machine, 100_000, &[])), libc::ENOSYS);
}

#[test]
fn a_blocked_read_is_woken_by_another_thread() {
    let machine = machine();
    let (reader, writer) = pipe(&machine);
    let (echo_reader, echo_writer) = pipe(&machine);
    thread::scope(|s| {
        s.spawn(|| {
            let mut byte = [0];
            for _ in 0..1000 {
                assert_eq!(read(&machine, reader, &mut byte).unwrap(), 1);
                write(&machine, echo_writer, &byte).unwrap();
            }
        });
        let mut byte = [0];
        for i in 0..1000u32 {
            write(&machine, writer, &[i as u8]).unwrap();
            assert_eq!(read(&machine, echo_reader, &mut byte).unwrap(), 1);
            assert_eq!(byte[0], i as u8);
        }
    });
}

#[test]
fn sleeping_takes_the_time_it_takes() {
    let machine = machine();
    let nap: [i64; 2] = [0, 20_000_000];
    let before = std::time::Instant::now();
    call(&machine, nr::NANOSLEEP, &[nap.as_ptr() as usize, 0]).unwrap();
    assert!(before.elapsed().as_millis() >= 20);
}

#[test]
fn many_threads_at_once() {
    let machine = machine();
    let start = Barrier::new(8);
    thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| {
                let (reader, writer) = pipe(&machine);
                start.wait();
                let mut back = [0; 64];
                for i in 0..2000u32 {
                    let data = [i as u8; 64];
                    assert_eq!(write(&machine, writer, &data).unwrap(), 64);
                    assert_eq!(read(&machine, reader, &mut back).unwrap(), 64);
                    assert_eq!(back, data);
                }
            });
        }
    });
}

/// One thread writes a big file; another one, meanwhile, sees it half written.
#[test]
fn a_long_call_lets_others_in() {
    const FTRUNCATE: usize = 46;
    const LSEEK: usize = 62;
    const PWRITE64: usize = 68;
    let machine = machine();
    let path = c"/big".as_ptr() as usize;
    let flags = (libc::O_CREAT | libc::O_RDWR) as usize;
    let open = || call(&machine, nr::OPENAT, &[0, path, flags, 0o600]).unwrap();
    let (writer, reader) = (open(), open());
    let (seen, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    let data = vec![7; 24 << 20];
    thread::scope(|s| {
        s.spawn(|| {
            while !ended.load(SeqCst) && !seen.load(SeqCst) {
                let end = libc::SEEK_END as usize;
                let size = call(&machine, LSEEK, &[reader, 0, end]).unwrap();
                seen.store(0 < size && size < data.len(), SeqCst);
            }
        });
        // A busy host may not run the other thread at all during one write.
        for _ in 0..200 {
            call(&machine, FTRUNCATE, &[writer, 0]).unwrap();
            let args = [writer, data.as_ptr() as usize, data.len(), 0];
            assert_eq!(call(&machine, PWRITE64, &args).unwrap(), data.len());
            if seen.load(SeqCst) {
                break;
            }
        }
        ended.store(true, SeqCst);
    });
    assert!(seen.load(SeqCst), "no write let the other thread in");
}

/// One thread computes, with no reason to sleep; another one, meanwhile, makes
/// whole calls, each between two looks at what is half done. (Without a poll
/// point in `cond_resched()` it was one or two for each read.)
#[test]
fn a_computing_call_lets_others_in() {
    let machine = machine();
    let (name, dev) = (c"devtmpfs".as_ptr() as usize, c"/dev".as_ptr() as usize);
    call(&machine, nr::MOUNT, &[name, dev, name, 0, 0]).unwrap();
    let path = c"/dev/urandom".as_ptr() as usize;
    let fd = call(&machine, nr::OPENAT, &[0, path, 0]).unwrap();
    let words: Vec<AtomicU64> = (0..2 << 20).map(|_| AtomicU64::new(0)).collect();
    let (seen, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|s| {
        s.spawn(|| {
            let mut calls = 0;
            while !ended.load(SeqCst) && calls < 10 {
                let begun = words[0].load(SeqCst) != 0;
                call(&machine, nr::GETTID, &[]).unwrap();
                // The chance of a random 0 is one in 2^64.
                let unfinished = words[words.len() - 1].load(SeqCst) == 0;
                calls = if begun && unfinished { calls + 1 } else { 0 };
            }
            seen.store(calls == 10, SeqCst);
        });
        // A busy host may not run the other thread at all during one read.
        for _ in 0..200 {
            words.iter().for_each(|word| word.store(0, SeqCst));
            let size = words.len() * 8;
            let args = [fd, words.as_ptr() as usize, size];
            assert_eq!(call(&machine, nr::READ, &args).unwrap(), size);
            if seen.load(SeqCst) {
                break;
            }
        }
        ended.store(true, SeqCst);
    });
    assert!(seen.load(SeqCst), "no read let the other thread in");
}

#[test]
fn halt_ends_blocked_calls() {
    let machine = machine();
    let (reader, _writer) = pipe(&machine);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|s| {
        let blocked = s.spawn(|| {
            // Creates the task, so that the read is all that is left.
            call(&machine, nr::GETTID, &[]).unwrap();
            sender.send(()).unwrap();
            read(&machine, reader, &mut [0])
        });
        receiver.recv().unwrap();
        machine.halt().unwrap();
        assert!(matches!(blocked.join().unwrap(), Err(Error::Halted)));
    });
    assert!(matches!(
        call(&machine, nr::GETPID, &[]),
        Err(Error::Halted)
    ));
    machine.halt().expect("halting twice is fine");
}

#[test]
fn halt_from_many_threads() {
    let machine = machine();
    let start = Barrier::new(4);
    thread::scope(|s| {
        for i in 0..4 {
            let (machine, start) = (&machine, &start);
            s.spawn(move || {
                start.wait();
                if i % 2 == 0 {
                    machine.halt().unwrap();
                } else {
                    while call(machine, nr::GETPID, &[]).is_ok() {}
                }
            });
        }
    });
}

#[test]
fn a_call_from_inside_is_refused() {
    static MACHINE: OnceLock<Arc<Machine>> = OnceLock::new();
    static SEEN: OnceLock<String> = OnceLock::new();
    let machine = Machine::boot(Config {
        console: Some(Box::new(|_| {
            if let Some(machine) = MACHINE.get() {
                SEEN.get_or_init(|| format!("{:?}", call(machine, nr::GETPID, &[])));
            }
        })),
        ..common::config()
    })
    .unwrap();
    assert!(MACHINE.set(Arc::clone(&machine)).is_ok());
    // Says something on the console.
    machine.halt().unwrap();
    assert_eq!(SEEN.get().map(String::as_str), Some("Err(Reentered)"));
}

/// A disk works in a thread of the kernel's own, outside of the kernel; a call might wait for
/// the very request that it serves.
#[test]
fn a_disk_may_not_call_its_kernel() {
    static MACHINE: OnceLock<Arc<Machine>> = OnceLock::new();
    static SEEN: OnceLock<[String; 3]> = OnceLock::new();
    let machine = MACHINE.get_or_init(machine);
    let other = common::machine();
    let allowed = Arc::clone(&other);
    let disk = common::blank_disk(move |_| {
        SEEN.get_or_init(|| {
            let machine = MACHINE.get().expect("set before");
            [
                format!("{:?}", machine.halt()),
                format!("{:?}", call(machine, nr::GETPID, &[])),
                format!("{:?}", call(&allowed, nr::GETPID, &[])),
            ]
        });
    });
    machine.add_disk(disk).unwrap();
    let seen = SEEN.get().expect("its partition table was looked for");
    assert_eq!(*seen, ["Err(Reentered)", "Err(Reentered)", "Ok(1)"]);
    machine.halt().unwrap();
    other.halt().unwrap();
}

/// A signal handler that makes a call while its thread waits for another one.
#[test]
fn a_call_from_a_signal_handler_is_refused_while_the_thread_is_in_one() {
    static MACHINE: OnceLock<Arc<Machine>> = OnceLock::new();
    static REFUSED: AtomicBool = AtomicBool::new(false);
    extern "C" fn handler(_signal: i32) {
        let machine = MACHINE.get().expect("set before");
        if let Err(Error::Reentered) = call(machine, nr::GETTID, &[]) {
            REFUSED.store(true, SeqCst);
        }
    }
    let machine = MACHINE.get_or_init(machine);
    let (reader, writer) = pipe(machine);
    let handler: extern "C" fn(i32) = handler;
    // SAFETY: the handler makes a call, which is the point.
    unsafe { libc::signal(libc::SIGUSR1, handler as usize) };
    let (sender, receiver) = mpsc::channel();
    thread::scope(|s| {
        s.spawn(move || {
            call(machine, nr::GETTID, &[]).unwrap();
            // SAFETY: always possible.
            sender.send(unsafe { libc::pthread_self() }).unwrap();
            assert_eq!(read(machine, reader, &mut [0]).unwrap(), 1);
        });
        let thread = receiver.recv().unwrap();
        while !REFUSED.load(SeqCst) {
            // SAFETY: the thread waits for the byte that is written below.
            unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
            thread::yield_now();
        }
        write(machine, writer, &[1]).unwrap();
    });
    machine.halt().unwrap();
}

/// A futex that is not private is found by its page: the program's memory has none,
/// where there are pages at all.
#[test]
fn a_futex_of_the_programs_memory_is_private() {
    const FUTEX: usize = 98;
    let machine = machine();
    let word = 1u32;
    let wait = |flags: i32| {
        let other_value = 2;
        let operation = (libc::FUTEX_WAIT | flags) as usize;
        let args = [&raw const word as usize, operation, other_value, 0];
        errno(call(&machine, FUTEX, &args))
    };
    assert_eq!(wait(libc::FUTEX_PRIVATE_FLAG), libc::EAGAIN);
    let pages = std::env::var("DRUPE_FLAVOUR").as_deref() != Ok("nommu");
    assert_eq!(wait(0), if pages { libc::EFAULT } else { libc::EAGAIN });
    machine.halt().unwrap();
}

#[test]
fn what_cannot_boot_says_why() {
    let error = Machine::boot(Config {
        memory: 1 << 20,
        ..common::config()
    })
    .unwrap_err();
    assert!(
        error.to_string().contains("1 MiB of memory; at least"),
        "{error}"
    );
    let error = Machine::boot(Config {
        memory: usize::MAX,
        ..common::config()
    })
    .unwrap_err();
    assert!(error.to_string().contains("MiB of memory"), "{error}");
    let error = Machine::boot(Config {
        command_line: "a\0b".into(),
        ..common::config()
    })
    .unwrap_err();
    assert!(error.to_string().contains("NUL byte"), "{error}");
}
