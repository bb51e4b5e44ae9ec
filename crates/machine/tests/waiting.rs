//! Calls that block: interrupted by another thread, or by a deadline.

mod common;

use common::{call, errno, machine, nr, pipe, read, write};
use drupe_machine::{Error, Machine, with_deadline};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const PPOLL: usize = 73;
const FUTEX: usize = 98;

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(2)
}

fn timed_out<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(matches!(result, Err(Error::TimedOut)), "{result:?}");
}

#[test]
fn a_blocked_call_is_interrupted() {
    let machine = machine();
    let (reader, writer) = pipe(&machine);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|s| {
        let blocked = s.spawn(|| {
            sender.send(machine.interrupter().unwrap()).unwrap();
            errno(read(&machine, reader, &mut [0]))
        });
        receiver.recv().unwrap().interrupt().unwrap();
        assert_eq!(blocked.join().unwrap(), libc::EINTR);
    });
    // Nobody else was: the pipe works.
    write(&machine, writer, &[1]).unwrap();
    assert_eq!(read(&machine, reader, &mut [0]).unwrap(), 1);
}

#[test]
fn an_interrupt_between_calls_holds_for_the_next_one_only() {
    let machine = machine();
    let (reader, writer) = pipe(&machine);
    machine.interrupter().unwrap().interrupt().unwrap();
    assert_eq!(errno(read(&machine, reader, &mut [0])), libc::EINTR);
    write(&machine, writer, &[1]).unwrap();
    assert_eq!(read(&machine, reader, &mut [0]).unwrap(), 1);

    machine.interrupter().unwrap().interrupt().unwrap();
    assert_eq!(
        call(&machine, nr::GETPID, &[]).unwrap(),
        1,
        "does not block"
    );
    timed_out(with_deadline(soon(), || read(&machine, reader, &mut [0])));
}

#[test]
fn an_interrupter_outlives_its_thread_and_its_kernel() {
    let machine = machine();
    let get = || machine.interrupter().unwrap();
    let theirs = thread::scope(|s| s.spawn(get).join().unwrap());
    theirs.interrupt().unwrap();
    assert_eq!(call(&machine, nr::GETPID, &[]).unwrap(), 1);
    machine.halt().unwrap();
    assert!(matches!(theirs.interrupt(), Ok(()) | Err(Error::Halted)));
    drop(machine);
    assert!(matches!(theirs.interrupt(), Err(Error::Halted)));
}

/// Interrupts come at every moment of a call, from two threads.
#[test]
fn interrupts_lose_no_data() {
    let machine = machine();
    let (reader, writer) = pipe(&machine);
    let ended = AtomicBool::new(false);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|s| {
        s.spawn(|| {
            sender.send(machine.interrupter().unwrap()).unwrap();
            let mut byte = [0];
            for i in 0..3000u32 {
                while match read(&machine, reader, &mut byte) {
                    Ok(n) => n != 1,
                    result => errno(result) == libc::EINTR,
                } {}
                assert_eq!(byte[0], i as u8);
            }
            ended.store(true, SeqCst);
        });
        let interrupter = receiver.recv().unwrap();
        let ended = &ended;
        for _ in 0..2 {
            let interrupter = interrupter.clone();
            s.spawn(move || {
                while !ended.load(SeqCst) {
                    interrupter.interrupt().unwrap();
                }
            });
        }
        for i in 0..3000u32 {
            write(&machine, writer, &[i as u8]).unwrap();
        }
    });
}

#[test]
fn a_deadline_ends_what_blocks() {
    let machine = machine();
    let (reader, writer) = pipe(&machine);
    let hour: [i64; 2] = [3600, 0];
    let word = 0u32;
    timed_out(with_deadline(soon(), || read(&machine, reader, &mut [0])));
    timed_out(with_deadline(soon(), || {
        call(&machine, nr::NANOSLEEP, &[hour.as_ptr() as usize, 0])
    }));
    timed_out(with_deadline(soon(), || {
        call(&machine, FUTEX, &[&raw const word as usize, 128, 0, 0])
    }));
    timed_out(with_deadline(soon(), || call(&machine, PPOLL, &[0; 5])));
    // A deadline that has passed is one; what need not wait does not care.
    with_deadline(Instant::now(), || {
        timed_out(read(&machine, reader, &mut [0]));
        assert_eq!(write(&machine, writer, &[1]).unwrap(), 1);
        assert_eq!(read(&machine, reader, &mut [0]).unwrap(), 1);
    });
    // Part of the work is no error.
    let much = vec![0; 1 << 20];
    let written = with_deadline(soon(), || write(&machine, writer, &much)).unwrap();
    assert!(0 < written && written < much.len(), "{written}");
    // It ends with its scope.
    write_all_and_read(&machine, reader, written);
}

fn write_all_and_read(machine: &Machine, reader: usize, written: usize) {
    let mut back = vec![0; written];
    let mut have = 0;
    while have < written {
        have += read(machine, reader, &mut back[have..]).unwrap();
    }
}

#[test]
fn the_earlier_of_two_deadlines_holds() {
    let machine = machine();
    let (reader, _writer) = pipe(&machine);
    let hour = Instant::now() + Duration::from_secs(3600);
    with_deadline(soon(), || {
        timed_out(with_deadline(hour, || read(&machine, reader, &mut [0])));
    });
    with_deadline(hour, || {
        timed_out(with_deadline(soon(), || read(&machine, reader, &mut [0])));
    });
}

/// Data and deadline race; the byte arrives with this call or with the next.
#[test]
fn deadlines_lose_no_data() {
    let machine = machine();
    let (reader, writer) = pipe(&machine);
    thread::scope(|s| {
        s.spawn(|| {
            for i in 0..2000u32 {
                write(&machine, writer, &[i as u8]).unwrap();
                if i % 16 == 0 {
                    thread::yield_now();
                }
            }
        });
        let mut byte = [0];
        for i in 0..2000u32 {
            loop {
                let deadline = Instant::now() + Duration::from_micros(u64::from(i % 64));
                match with_deadline(deadline, || read(&machine, reader, &mut byte)) {
                    Ok(n) => break assert_eq!((n, byte[0]), (1, i as u8)),
                    result => timed_out(result),
                }
            }
        }
    });
}

/// Threads that wait for times, and threads that wait for each other with a limit
/// of time: whoever waits for the kernel's next deadline may be done before it.
#[test]
fn times_come_whoever_waits_for_them() {
    const ROUNDS: usize = 300;
    let machine = machine();
    let pipes = [pipe(&machine), pipe(&machine)];
    thread::scope(|s| {
        for nap in [100_000i64, 230_000, 1_700_000] {
            let machine = &machine;
            s.spawn(move || {
                for _ in 0..ROUNDS {
                    let time = [0, nap];
                    call(machine, nr::NANOSLEEP, &[time.as_ptr() as usize, 0]).unwrap();
                }
            });
        }
        for (from, to) in [(pipes[0].0, pipes[1].1), (pipes[1].0, pipes[0].1)] {
            let machine = &machine;
            s.spawn(move || {
                for _ in 0..ROUNDS {
                    write(machine, to, &[1]).unwrap();
                    // Gives up after 300 µs, and tries again.
                    let time = [0i64, 300_000];
                    // `struct pollfd`.
                    let mut wait = [from as u32, libc::POLLIN as u32];
                    let args = [wait.as_mut_ptr() as usize, 1, time.as_ptr() as usize, 0, 8];
                    while call(machine, PPOLL, &args).unwrap() == 0 {}
                    assert_eq!(read(machine, from, &mut [0]).unwrap(), 1);
                }
            });
        }
    });
    machine.halt().unwrap();
}
