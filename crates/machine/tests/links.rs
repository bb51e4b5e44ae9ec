//! Links: frames between kernels and the program, and files that are watched.

mod common;

use common::{call, errno, machine, nr, read, write};
use drupe_host::link::{Frame, FrameHeader, Link, LinkInfo, LinkWaker, Offloads};
use drupe_machine::{Crash, Error, LinkId, Machine};
use drupe_testing::skipped;
use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread;

const EPOLL_CREATE1: usize = 20;
const EPOLL_CTL: usize = 21;
const EPOLL_PWAIT: usize = 22;
const EVENTFD2: usize = 19;
const IOCTL: usize = 29;
const SOCKET: usize = 198;
const BIND: usize = 200;
const LISTEN: usize = 201;
const ACCEPT: usize = 202;
const CONNECT: usize = 203;

/// One end of a cable: what the other end sends is queued here.
#[derive(Default)]
struct End {
    info: Mutex<Option<LinkInfo>>,
    queue: Mutex<VecDeque<(FrameHeader, Vec<u8>)>>,
    waker: OnceLock<LinkWaker>,
    other: OnceLock<Arc<End>>,
    /// Frames that it takes before it is full.
    room: AtomicUsize,
    refused: AtomicUsize,
    /// The largest frame that was sent.
    largest: AtomicUsize,
    detached: AtomicUsize,
}

impl Link for End {
    fn info(&self) -> LinkInfo {
        self.info.lock().unwrap().expect("set before")
    }
    fn attach(&self, waker: LinkWaker) {
        assert!(self.waker.set(waker).is_ok(), "attached once");
    }
    fn send(&self, frames: &[Frame<'_>]) -> usize {
        let room = self.room.load(SeqCst);
        let taken = frames.len().min(room);
        self.room.fetch_sub(taken, SeqCst);
        self.refused.fetch_add(frames.len() - taken, SeqCst);
        let other = self.other.get().expect("a cable has two ends");
        for frame in &frames[..taken] {
            self.largest.fetch_max(frame.len(), SeqCst);
            let bytes = frame.pieces.iter().flat_map(|piece| piece.to_vec());
            let bytes = bytes.collect();
            other.queue.lock().unwrap().push_back((frame.header, bytes));
        }
        if let Some(waker) = other.waker.get() {
            waker.wake();
        }
        taken
    }
    fn receive(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Option<(usize, FrameHeader)>> {
        let Some((header, bytes)) = self.queue.lock().unwrap().pop_front() else {
            return Ok(None);
        };
        let mut rest = &bytes[..];
        for buffer in buffers {
            let part = rest.len().min(buffer.len());
            buffer[..part].copy_from_slice(&rest[..part]);
            rest = &rest[part..];
        }
        assert!(rest.is_empty(), "room for {} bytes", bytes.len());
        Ok(Some((bytes.len(), header)))
    }
    fn detach(&self) {
        self.detached.fetch_add(1, SeqCst);
    }
}

fn cable(mtu: u32, offloads: Offloads, room: usize) -> [Arc<End>; 2] {
    let ends = [1, 2].map(|number| {
        let end = End::default();
        *end.info.lock().unwrap() = Some(LinkInfo {
            mac: Some([2, 0, 0, 0, 0, number]),
            mtu,
            offloads,
        });
        end.room.store(room, SeqCst);
        Arc::new(end)
    });
    for (end, other) in [(0, 1), (1, 0)] {
        let _ = ends[end].other.set(Arc::clone(&ends[other]));
    }
    ends
}

/// Whether this kernel has a network: the one without page tables has none.
#[track_caller]
fn network(machine: &Machine) -> bool {
    match call(machine, SOCKET, &[2, 2, 0]) {
        Ok(socket) => call(machine, nr::CLOSE, &[socket]).is_ok(),
        Err(error) => {
            skipped(format_args!("no sockets: {error}"));
            false
        }
    }
}

/// Everything is left to the other end.
const ALL: Offloads = Offloads {
    checksum: true,
    tso: true,
    uso: true,
};

/// `struct sockaddr_in`.
fn address(host: u8, port: u16) -> [u8; 16] {
    let mut address = [0; 16];
    address[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    address[2..4].copy_from_slice(&port.to_be_bytes());
    address[4..8].copy_from_slice(&[10, 0, 0, host]);
    address
}

/// Gives `eth0` the address 10.0.0.`host`, and sets it up.
fn configure(machine: &Machine, host: u8) -> Result<(), Error> {
    let socket = call(machine, SOCKET, &[2, 2, 0])?;
    let mut request = [0u8; 40];
    request[..4].copy_from_slice(b"eth0");
    request[16..32].copy_from_slice(&address(host, 0));
    let mut ioctl = |number: u64, value: &[u8]| {
        request[16..16 + value.len()].copy_from_slice(value);
        let args = [socket, number as usize, request.as_mut_ptr() as usize];
        call(machine, IOCTL, &args)
    };
    ioctl(libc::SIOCSIFADDR, &address(host, 0))?;
    let mask = [2, 0, 0, 0, 255, 255, 255, 0];
    ioctl(libc::SIOCSIFNETMASK, &mask)?;
    ioctl(libc::SIOCSIFFLAGS, &(libc::IFF_UP as u16).to_ne_bytes())?;
    call(machine, nr::CLOSE, &[socket]).map(drop)
}

fn joined(mtu: u32, offloads: Offloads, room: usize) -> ([Arc<Machine>; 2], [Arc<End>; 2]) {
    let ends = cable(mtu, offloads, room);
    let machines = [0, 1].map(|number| {
        let machine = machine();
        let link = machine.add_link(ends[number].clone()).expect("a link");
        assert_eq!(link.index(), 2);
        configure(&machine, number as u8 + 1).expect("an address");
        machine
    });
    (machines, ends)
}

/// Sends `data` over TCP from one kernel to the other; returns what arrived.
fn transfer(machines: &[Arc<Machine>; 2], data: &[u8]) -> Vec<u8> {
    let [client, server] = machines;
    let listener = call(server, SOCKET, &[2, 1, 0]).expect("a socket");
    let here = address(2, 80);
    call(server, BIND, &[listener, here.as_ptr() as usize, 16]).expect("bind");
    call(server, LISTEN, &[listener, 1]).expect("listen");
    thread::scope(|scope| {
        let received = scope.spawn(|| {
            let socket = call(server, ACCEPT, &[listener, 0, 0]).expect("accept");
            let (mut all, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
            loop {
                match read(server, socket, &mut buffer).expect("read") {
                    0 => return all,
                    n => all.extend_from_slice(&buffer[..n]),
                }
            }
        });
        let socket = call(client, SOCKET, &[2, 1, 0]).expect("a socket");
        call(client, CONNECT, &[socket, here.as_ptr() as usize, 16]).expect("connect");
        let mut rest = data;
        while !rest.is_empty() {
            let n = write(client, socket, rest).expect("write");
            rest = &rest[n..];
        }
        call(client, nr::CLOSE, &[socket]).expect("close");
        received.join().expect("the receiver")
    })
}

fn data(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * i / 7 + i) as u8).collect()
}

#[test]
fn tcp_between_two_kernels() {
    if !network(&machine()) {
        return;
    }
    let data = data(3_000_001);
    for (offloads, mtu) in [(ALL, 1500), (ALL, 65521), (Offloads::default(), 1500)] {
        let (machines, ends) = joined(mtu, offloads, usize::MAX);
        assert!(transfer(&machines, &data) == data, "other bytes arrived");
        let largest = ends[0].largest.load(SeqCst);
        if offloads.tso {
            assert!(largest > 9000, "segments are left whole: {largest}");
        } else {
            assert!(largest <= 1514, "frames are finished: {largest}");
        }
    }
}

/// What `MSG_ZEROCOPY` has done, from the socket's error queue: the first and the
/// last call, and whether they were copied.
fn zero_copied(machine: &Machine, socket: usize) -> (u32, u32, bool) {
    const RECVMSG: usize = 212;
    const PPOLL: usize = 73;
    // `struct pollfd`: POLLERR is always looked for.
    let mut wait = [socket as u32, 0];
    let args = [wait.as_mut_ptr() as usize, 1, 0, 0, 8];
    assert_eq!(call(machine, PPOLL, &args).unwrap(), 1);
    let mut control = [0u32; 64];
    // `struct msghdr`: no name, no data.
    let mut message = [0, 0, 0, 0, control.as_mut_ptr() as usize, 256, 0];
    let flags = libc::MSG_ERRQUEUE as usize;
    let args = [socket, message.as_mut_ptr() as usize, flags];
    call(machine, RECVMSG, &args).unwrap();
    // `struct cmsghdr`, then `struct sock_extended_err`: origin and code are its
    // fifth and seventh byte.
    let [origin, _, code, _] = control[5].to_ne_bytes();
    assert_eq!(origin, 5, "SO_EE_ORIGIN_ZEROCOPY");
    (control[6], control[7], code == 1)
}

/// A buffer of the kernel's is sent as it is, the program's own memory is copied;
/// the socket says which.
#[test]
fn zero_copy_is_of_buffers() {
    const SETSOCKOPT: usize = 208;
    const SENDTO: usize = 206;
    const SENDMSG: usize = 211;
    const SENDMMSG: usize = 269;
    const ZEROCOPY: usize = libc::MSG_ZEROCOPY as usize;
    if !network(&machine()) {
        return;
    }
    let ([client, server], _) = joined(9000, ALL, usize::MAX);
    let listener = call(&server, SOCKET, &[2, 1, 0]).unwrap();
    let here = address(2, 80);
    call(&server, BIND, &[listener, here.as_ptr() as usize, 16]).unwrap();
    call(&server, LISTEN, &[listener, 1]).unwrap();
    let socket = call(&client, SOCKET, &[2, 1, 0]).unwrap();
    call(&client, CONNECT, &[socket, here.as_ptr() as usize, 16]).unwrap();
    let peer = call(&server, ACCEPT, &[listener, 0, 0]).unwrap();
    let receive = |expected: &[u8]| {
        let mut back = vec![0; expected.len()];
        let mut len = 0;
        while len < back.len() {
            len += read(&server, peer, &mut back[len..]).unwrap();
        }
        assert!(back == expected);
    };
    let on = 1u32;
    let args = [
        socket,
        1,
        libc::SO_ZEROCOPY as usize,
        &raw const on as usize,
        4,
    ];
    call(&client, SETSOCKOPT, &args).unwrap();
    let own = data(8000);
    let args = [socket, own.as_ptr() as usize, own.len(), ZEROCOPY, 0, 0];
    assert_eq!(call(&client, SENDTO, &args).unwrap(), own.len());
    receive(&own);
    assert_eq!(zero_copied(&client, socket), (0, 0, true));
    let mut buffer = client.buffer(8000).unwrap();
    buffer.copy_from_slice(&own);
    let args = [
        socket,
        buffer.as_ptr() as usize,
        buffer.len(),
        ZEROCOPY,
        0,
        0,
    ];
    assert_eq!(call(&client, SENDTO, &args).unwrap(), own.len());
    receive(&own);
    assert_eq!(zero_copied(&client, socket), (1, 1, false));
    // Both in one message are copied.
    let parts = [buffer.as_ptr() as usize, 100, own.as_ptr() as usize, 100];
    let message = [0, 0, parts.as_ptr() as usize, 2, 0, 0, 0];
    let args = [socket, message.as_ptr() as usize, ZEROCOPY];
    assert_eq!(call(&client, SENDMSG, &args).unwrap(), 200);
    assert_eq!(zero_copied(&client, socket), (2, 2, true));
    let mut messages = [message, message].map(|m| [m[0], m[1], m[2], m[3], 0, 0, 0, 0]);
    let args = [socket, messages.as_mut_ptr() as usize, 2, ZEROCOPY];
    assert_eq!(call(&client, SENDMMSG, &args).unwrap(), 2);
    assert_eq!(zero_copied(&client, socket), (3, 4, true));
    receive(&[&own[..100]; 6].concat());
    for machine in [client, server] {
        machine.halt().unwrap();
    }
}

#[test]
fn a_link_that_is_full_is_asked_again() {
    if !network(&machine()) {
        return;
    }
    let (machines, ends) = joined(1500, Offloads::default(), 10);
    let data = data(100_000);
    let done = &AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(move || {
            // Makes room for one frame at a time, once there is none.
            while done.load(SeqCst) == 0 {
                if ends[0].room.load(SeqCst) == 0 {
                    ends[0].room.store(1, SeqCst);
                    ends[0].waker.get().expect("attached").wake();
                }
                ends[1].room.store(10, SeqCst);
                thread::yield_now();
            }
            assert!(ends[0].refused.load(SeqCst) > 0, "it was never full");
        });
        assert!(transfer(&machines, &data) == data, "other bytes arrived");
        done.store(1, SeqCst);
    });
}

#[test]
fn links_come_and_go() {
    let machine = machine();
    if !network(&machine) {
        return;
    }
    let ends = cable(1500, ALL, 9);
    let link = machine.add_link(ends[0].clone()).expect("a link");
    configure(&machine, 1).expect("an address");
    machine.remove_link(link).expect("it goes while it is up");
    assert_eq!(ends[0].detached.load(SeqCst), 1);
    assert_eq!(errno(machine.remove_link(link)), libc::ENODEV);
    assert_eq!(errno(configure(&machine, 1)), libc::ENODEV);
    assert!(ends[0].waker.get().expect("attached").wake());

    machine.add_link(ends[1].clone()).expect("another");
    machine.halt().expect("halted");
    assert_eq!(ends[1].detached.load(SeqCst), 1);
    assert!(!ends[1].waker.get().expect("attached").wake(), "it is gone");
}

#[test]
fn what_a_link_cannot_be() {
    let machine = machine();
    if !network(&machine) {
        return;
    }
    let with = |mac, mtu| {
        let [end, _] = cable(mtu, ALL, 1);
        end.info.lock().unwrap().as_mut().expect("set").mac = mac;
        let result = machine.add_link(end.clone());
        let attached = usize::from(end.waker.get().is_some());
        assert!(result.is_ok() || end.detached.load(SeqCst) == attached);
        result
    };
    assert_eq!(errno(with(None, 67)), libc::EINVAL);
    assert_eq!(errno(with(None, 65_523)), libc::EINVAL);
    assert_eq!(errno(with(Some([1; 6]), 1500)), libc::EADDRNOTAVAIL);
    let ids: Vec<LinkId> = (0..64).map(|_| with(None, 68).expect("a link")).collect();
    assert_eq!(errno(with(None, 1500)), libc::ENOSPC);
    machine.remove_link(ids[7]).expect("removed");
    with(None, 1500).expect("its number is free again");
}

#[test]
fn a_kernel_that_died_lets_go_of_its_links() {
    let machine = machine();
    if !network(&machine) {
        return;
    }
    let ends = cable(1500, ALL, 9);
    machine.add_link(ends[0].clone()).expect("a link");
    assert!(matches!(machine.crash(Crash::Bug), Err(Error::Dead(_))));
    assert!(!ends[0].waker.get().expect("attached").wake());
    drop(machine);
    assert_eq!(ends[0].detached.load(SeqCst), 1);
}

/// How often a watch has called.
#[derive(Default)]
struct Calls(Mutex<usize>, Condvar);

impl Calls {
    fn watcher(self: &Arc<Calls>) -> Arc<dyn Fn() + Send + Sync> {
        let calls = Arc::clone(self);
        Arc::new(move || {
            *calls.0.lock().unwrap() += 1;
            calls.1.notify_all();
        })
    }
    fn count(&self) -> usize {
        *self.0.lock().unwrap()
    }
    fn wait_for(&self, count: usize) {
        let calls = self.0.lock().unwrap();
        drop(self.1.wait_while(calls, |calls| *calls < count).unwrap());
    }
}

#[test]
fn an_epoll_is_watched() {
    let machine = machine();
    let epoll = call(&machine, EPOLL_CREATE1, &[0]).expect("an epoll");
    let event = call(&machine, EVENTFD2, &[0, 0]).expect("an eventfd");
    let calls = Arc::new(Calls::default());
    let watch = machine
        .watch(epoll as i32, calls.watcher())
        .expect("watched");
    // struct epoll_event of x86-64 and of drupe's: packed only on the former.
    let interest = [libc::EPOLLIN as u64 | (libc::EPOLLET as u32 as u64), 7];
    call(
        &machine,
        EPOLL_CTL,
        &[epoll, 1, event, interest.as_ptr() as usize],
    )
    .expect("added");
    assert_eq!(calls.count(), 0);
    write(&machine, event, &1u64.to_ne_bytes()).expect("written");
    calls.wait_for(1);
    let mut events = [0u64; 8];
    let args = [epoll, events.as_mut_ptr() as usize, 4, 0, 0, 8];
    assert_eq!(call(&machine, EPOLL_PWAIT, &args).expect("ready"), 1);
    let before = calls.count();
    drop(watch);
    write(&machine, event, &1u64.to_ne_bytes()).expect("written");
    assert_eq!(calls.count(), before, "nobody watches any more");
    // What is ready when the watch begins is told at once.
    let watch = machine
        .watch(epoll as i32, calls.watcher())
        .expect("watched");
    assert_eq!(calls.count(), before + 1);
    machine.halt().expect("halted");
    assert_eq!(calls.count(), before + 2, "the end is told");
    drop(watch);
}

#[test]
fn what_cannot_be_watched() {
    let machine = machine();
    if !network(&machine) {
        return;
    }
    let nothing = || -> Arc<dyn Fn() + Send + Sync> { Arc::new(|| ()) };
    assert_eq!(errno(machine.watch(99, nothing())), libc::EBADF);
    let socket = call(&machine, SOCKET, &[2, 2, 0]).expect("a socket");
    drop(machine.watch(socket as i32, nothing()).expect("one queue"));
    let path = c"/";
    let root = call(&machine, nr::OPENAT, &[0, path.as_ptr() as usize, 0]).expect("/");
    assert_eq!(errno(machine.watch(root as i32, nothing())), libc::EPERM);
}
