//! Kernels that end during their traffic with each other: nothing hangs, no byte is
//! wrong, and nothing is left behind.
//!
//! In a file of its own, with one test that counts what the process has.

mod common;

use common::{call, machine, nr, read, write};
use drupe_links::{PortOptions, Switch};
use drupe_machine::{Crash, Error, Machine};
use std::fs;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const IOCTL: usize = 29;
const SOCKET: usize = 198;
const BIND: usize = 200;
const LISTEN: usize = 201;
const ACCEPT: usize = 202;
const CONNECT: usize = 203;

/// Connections at a time.
const STREAMS: usize = 3;
/// Bytes of a call.
const PIECE: usize = 40_000;
/// A life that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// `struct sockaddr_in`.
fn address(host: u8) -> [u8; 16] {
    let mut address = [0; 16];
    address[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    address[3] = 80;
    address[4..8].copy_from_slice(&[10, 0, 0, host]);
    address
}

fn configure(machine: &Machine, host: u8) -> Result<(), Error> {
    let socket = call(machine, SOCKET, &[2, 2, 0])?;
    let mut request = [0u8; 40];
    request[..4].copy_from_slice(b"eth0");
    let mut ioctl = |number: u64, value: &[u8]| {
        request[16..16 + value.len()].copy_from_slice(value);
        let args = [socket, number as usize, request.as_mut_ptr() as usize];
        call(machine, IOCTL, &args)
    };
    ioctl(libc::SIOCSIFADDR, &address(host))?;
    ioctl(libc::SIOCSIFNETMASK, &[2, 0, 0, 0, 255, 255, 255, 0])?;
    ioctl(libc::SIOCSIFFLAGS, &(libc::IFF_UP as u16).to_ne_bytes())?;
    call(machine, nr::CLOSE, &[socket]).map(drop)
}

/// The byte at `position` of stream `number`.
fn byte(number: u8, position: usize) -> u8 {
    (position ^ (position >> 8) ^ (position >> 16)) as u8 ^ number.wrapping_mul(151)
}

/// Sends until the kernel has ended, or the connection has.
fn send(machine: &Machine, number: u8) -> Result<(), Error> {
    let socket = call(machine, SOCKET, &[2, 1, 0])?;
    let there = address(2);
    let connected = call(machine, CONNECT, &[socket, there.as_ptr() as usize, 16]);
    if connected.is_err() {
        call(machine, nr::CLOSE, &[socket])?;
        return connected.map(drop);
    }
    write(machine, socket, &[number])?;
    let mut position = 0;
    loop {
        let piece: Vec<u8> = (position..position + PIECE)
            .map(|at| byte(number, at))
            .collect();
        position += write(machine, socket, &piece)?;
    }
}

/// Receives one stream until its end; counts its bytes.
fn receive(machine: &Machine, socket: usize, received: &AtomicUsize) -> Result<(), Error> {
    let mut number = [0];
    read(machine, socket, &mut number)?;
    let (mut position, mut piece) = (0, vec![0; PIECE]);
    loop {
        let len = read(machine, socket, &mut piece)?;
        if len == 0 {
            return Ok(());
        }
        for (at, found) in (position..).zip(&piece[..len]) {
            assert_eq!(
                *found,
                byte(number[0], at),
                "byte {at} of stream {number:?}"
            );
        }
        position += len;
        received.fetch_add(len, Relaxed);
    }
}

fn serve(machine: &Arc<Machine>, received: &Arc<AtomicUsize>) -> Result<(), Error> {
    let listener = call(machine, SOCKET, &[2, 1, 0])?;
    let here = address(2);
    call(machine, BIND, &[listener, here.as_ptr() as usize, 16])?;
    call(machine, LISTEN, &[listener, 9])?;
    thread::scope(|scope| {
        loop {
            let socket = call(machine, ACCEPT, &[listener, 0, 0])?;
            scope.spawn(move || receive(machine, socket, received));
        }
    })
}

/// How a life ends.
#[derive(Debug, Clone, Copy)]
enum End {
    HaltSender,
    HaltReceiver,
    CrashSender,
    CrashReceiver,
    RemoveLink,
}

fn life(end: End, bytes: usize) {
    let switch = Switch::new();
    let [near, far] = [1, 2].map(|host| {
        let machine = machine();
        let port = switch.port(PortOptions::default());
        let link = machine.add_link(Arc::new(port)).expect("a link");
        configure(&machine, host).expect("an address");
        (machine, link)
    });
    let received = Arc::new(AtomicUsize::new(0));
    let mut threads = Vec::new();
    let server = (Arc::clone(&far.0), Arc::clone(&received));
    threads.push(thread::spawn(move || serve(&server.0, &server.1)));
    for number in 0..STREAMS as u8 {
        let machine = Arc::clone(&near.0);
        threads.push(thread::spawn(move || {
            loop {
                match send(&machine, number) {
                    // The server is not there yet.
                    Err(Error::Errno(errno)) if errno.raw_os_error() == libc::ECONNREFUSED => {}
                    other => return other,
                }
            }
        }));
    }
    while received.load(Relaxed) < bytes {
        thread::yield_now();
    }
    match end {
        End::HaltSender => near.0.halt().expect("halted"),
        End::HaltReceiver => far.0.halt().expect("halted"),
        End::CrashSender => drop(near.0.crash(Crash::Bug).expect_err("it died")),
        End::CrashReceiver => drop(far.0.crash(Crash::Panic).expect_err("it died")),
        End::RemoveLink => near.0.remove_link(near.1).expect("removed"),
    }
    let _ = far.0.halt();
    let _ = near.0.halt();
    for thread in threads {
        // An error is how each of them ends.
        let _ = thread.join().expect("no thread panics");
    }
}

/// Threads and file descriptors of this process.
fn counts() -> [usize; 2] {
    ["/proc/self/task", "/proc/self/fd"].map(|path| fs::read_dir(path).expect(path).count())
}

/// Ends the process if a life takes too long: a hang must not pass as patience.
fn watchdog(since: Arc<Mutex<Instant>>) {
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_secs(1));
            if since.lock().expect("the time").elapsed() > PATIENCE {
                eprintln!("a life hangs");
                std::process::abort();
            }
        }
    });
}

fn lives(count: usize) {
    const ENDS: [End; 5] = [
        End::HaltSender,
        End::HaltReceiver,
        End::CrashSender,
        End::CrashReceiver,
        End::RemoveLink,
    ];
    let begun = Arc::new(Mutex::new(Instant::now()));
    watchdog(Arc::clone(&begun));
    life(End::HaltSender, 1);
    let before = counts();
    for number in 0..count {
        *begun.lock().expect("the time") = Instant::now();
        // From the first byte to some megabytes later.
        life(ENDS[number % ENDS.len()], 1 << (number * 7 % 23));
    }
    // A thread that was joined may be listed for a moment.
    let deadline = Instant::now() + PATIENCE / 2;
    while counts() > before && Instant::now() < deadline {
        thread::yield_now();
    }
    assert!(
        counts() <= before,
        "threads, file descriptors: {:?}, were {before:?}",
        counts()
    );
}

#[test]
fn kernels_end_in_the_middle_of_their_traffic() {
    let socket = call(&machine(), SOCKET, &[2, 2, 0]);
    if socket.is_ok() {
        lives(25);
    }
}

#[test]
#[ignore = "minutes; cargo xtask soak"]
fn two_thousand_pairs_of_kernels_end_in_the_middle() {
    lives(2000);
}
