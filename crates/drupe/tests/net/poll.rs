//! [`Poll`]: many sockets, one thread.

use std::collections::HashSet;
use std::io::{IoSliceMut, Read, Write};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use drupe::net::{
    Domain, Events, Interest, Poll, Socket, SocketAddress, TcpListener, TcpStream, Token, Type,
    UdpSocket,
};
use drupe::{Cause, Errno, Kernel};
use drupe_netadmin::{Netlink, NetworkExt, TunMode};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::lab::{Outcome, bounded, kernel, together};

/// Whether a host descriptor is readable within a time.
fn readable(fd: BorrowedFd<'_>, time: Duration) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    let time = Timespec::try_from(time).unwrap();
    rustix::event::poll(&mut fds, Some(&time)).unwrap() == 1
}

#[test]
fn a_thousand_sockets() -> Outcome {
    let kernel = kernel()?;
    let poll = Poll::new(&kernel)?;
    let sockets = (0..1000)
        .map(|number| {
            let socket = UdpSocket::bind(&kernel, "127.0.0.1:0")?;
            poll.add(&socket, Interest::READABLE, Token(number))?;
            Ok(socket)
        })
        .collect::<drupe::Result<Vec<_>>>()?;
    let mut events = Events::with_capacity(64);
    poll.wait(&mut events, Some(Duration::ZERO))?;
    assert!(events.is_empty());
    let sender = UdpSocket::bind(&kernel, "127.0.0.1:0")?;
    for socket in &sockets {
        sender.send_to(b"x", socket.local_addr()?)?;
    }
    let mut seen = HashSet::new();
    while seen.len() < sockets.len() {
        bounded(|| poll.wait(&mut events, None))?;
        for event in events.iter() {
            assert!(event.is_readable() && !event.is_writable());
            sockets[event.token().0 as usize].recv(&mut [0; 8])?;
            assert!(seen.insert(event.token()), "{event:?} twice");
        }
    }
    poll.wait(&mut events, Some(Duration::ZERO))?;
    assert!(events.is_empty());
    Ok(())
}

#[test]
fn edges_levels_and_single_shots() -> Outcome {
    let kernel = kernel()?;
    let poll = Poll::new(&kernel)?;
    let (one, other) = Socket::pair(&kernel, Domain::UNIX, Type::DGRAM, None)?;
    let mut events = Events::with_capacity(4);
    let mut count = || {
        poll.wait(&mut events, Some(Duration::ZERO)).unwrap();
        events.len()
    };
    poll.add(&one, Interest::READABLE, Token(1))?;
    let twice = poll.add(&one, Interest::READABLE, Token(1));
    assert_eq!(twice.unwrap_err().errno(), Some(Errno::EXIST));
    other.send(b"1")?;
    assert_eq!((count(), count()), (1, 1));
    poll.modify(&one, Interest::READABLE.edge(), Token(1))?;
    assert_eq!((count(), count()), (1, 0));
    other.send(b"2")?;
    assert_eq!((count(), count()), (1, 0));
    poll.modify(&one, Interest::READABLE.one_shot(), Token(1))?;
    assert_eq!((count(), count()), (1, 0));
    other.send(b"3")?;
    assert_eq!(count(), 0);
    poll.remove(&one)?;
    assert_eq!(poll.remove(&one).unwrap_err().errno(), Some(Errno::NOENT));
    // Dropped ones are gone by themselves.
    poll.add(&one, Interest::READABLE | Interest::WRITABLE, Token(1))?;
    assert_eq!(count(), 1);
    drop(one);
    assert_eq!(count(), 0);
    Ok(())
}

#[test]
fn a_poll_waits_no_longer_than_told() -> Outcome {
    let kernel = kernel()?;
    let poll = Poll::new(&kernel)?;
    let mut events = Events::with_capacity(4);
    let (start, time) = (Instant::now(), Duration::from_millis(20));
    poll.wait(&mut events, Some(time))?;
    assert!(events.is_empty() && start.elapsed() >= time - Duration::from_millis(2));
    let other = crate::lab::kernel()?;
    let foreign = UdpSocket::bind(&other, "127.0.0.1:0")?;
    let added = poll.add(&foreign, Interest::READABLE, Token(0));
    assert_eq!(added.unwrap_err().errno(), Some(Errno::INVAL));
    Ok(())
}

#[test]
fn the_programs_own_event_loop() -> Outcome {
    let kernel = kernel()?;
    let poll = Poll::new(&kernel)?;
    let (one, other) = Socket::pair(&kernel, Domain::UNIX, Type::DGRAM, None)?;
    poll.add(&one, Interest::READABLE.edge(), Token(1))?;
    let mut events = Events::with_capacity(4);
    let long = Duration::from_secs(60);
    let fd = poll.as_fd()?;
    for round in 0..100 {
        // Until it has found nothing.
        loop {
            poll.wait(&mut events, Some(Duration::ZERO))?;
            if events.is_empty() {
                break;
            }
        }
        other.send(b"x")?;
        assert!(readable(fd, long), "round {round}");
        poll.wait(&mut events, Some(Duration::ZERO))?;
        assert_eq!(events.len(), 1, "round {round}");
        one.recv(&mut [0; 1])?;
    }
    // A level that is not dealt with is not forgotten.
    poll.modify(&one, Interest::READABLE, Token(1))?;
    other.send(b"x")?;
    for _ in 0..3 {
        assert!(readable(fd, long));
        poll.wait(&mut events, Some(Duration::ZERO))?;
        assert_eq!(events.len(), 1);
    }
    one.recv(&mut [0; 1])?;
    poll.wait(&mut events, Some(Duration::ZERO))?;
    assert!(events.is_empty());
    // The end of the kernel is news, too.
    kernel.halt()?;
    assert!(readable(fd, long));
    assert!(poll.wait(&mut events, None).is_err());
    Ok(())
}

/// Connections of one thread, both of their ends.
#[test]
fn ten_thousand_connections() -> Outcome {
    const ALL: usize = 10_000;
    let kernel = Kernel::builder().memory(512 << 20).boot()?;
    kernel.network()?.link("lo")?.set_up()?;
    let listener = TcpListener::bind(&kernel, "127.0.0.1:7")?;
    listener.set_nonblocking(true)?;
    let poll = Poll::new(&kernel)?;
    let mut clients = Vec::with_capacity(ALL);
    let mut servers = Vec::with_capacity(ALL);
    let address: SocketAddr = "127.0.0.1:7".parse()?;
    while clients.len() < ALL {
        let client = TcpStream::connect(&kernel, address)?;
        client.set_nonblocking(true)?;
        let (server, _) = listener.accept()?;
        server.set_nonblocking(true)?;
        let number = clients.len() as u64;
        poll.add(&client, Interest::READABLE.edge(), Token(2 * number))?;
        poll.add(&server, Interest::READABLE.edge(), Token(2 * number + 1))?;
        clients.push(client);
        servers.push(server);
    }
    // All at once, there and back.
    for (number, mut client) in clients.iter().enumerate() {
        client.write_all(&(number as u32).to_le_bytes())?;
    }
    let mut events = Events::with_capacity(1024);
    let mut answered = 0;
    while answered < ALL {
        bounded(|| poll.wait(&mut events, None))?;
        for event in events.iter() {
            let number = (event.token().0 / 2) as usize;
            let mut word = [0; 4];
            if event.token().0 % 2 == 1 {
                let mut server = &servers[number];
                server.read_exact(&mut word)?;
                server.write_all(&word)?;
            } else {
                let mut client = &clients[number];
                client.read_exact(&mut word)?;
                assert_eq!(u32::from_le_bytes(word), number as u32);
                answered += 1;
            }
        }
    }
    Ok(())
}

#[test]
fn a_wait_that_is_interrupted() -> Outcome {
    let kernel = kernel()?;
    let poll = Poll::new(&kernel)?;
    let (sender, receiver) = mpsc::channel();
    let wait = || {
        sender.send(kernel.interrupter()).unwrap();
        poll.wait(&mut Events::with_capacity(1), None)
    };
    let (interrupted, waited) = together(|| receiver.recv().unwrap()?.interrupt(), wait);
    interrupted?;
    assert_eq!(waited.unwrap_err().errno(), Some(Errno::INTR));
    Ok(())
}

/// Of each kind of call that may block, one.
#[test]
fn deadlines_end_what_blocks() -> Outcome {
    fn late<T: std::fmt::Debug>(f: impl FnOnce() -> drupe::Result<T>) {
        let (start, time) = (Instant::now(), Duration::from_millis(10));
        let error = drupe::with_deadline(start + time, f).unwrap_err();
        assert!(matches!(error.cause(), Cause::TimedOut), "{error}");
        assert!(start.elapsed() >= time);
    }
    let kernel = kernel()?;
    let listener = TcpListener::bind(&kernel, "127.0.0.1:0")?;
    late(|| listener.accept());
    let stream = TcpStream::connect(&kernel, listener.local_addr()?)?;
    late(|| stream.peek(&mut [0; 8]));
    let full = || loop {
        stream.as_socket().send(&[0; 1 << 16])?;
    };
    late::<()>(full);
    let socket = UdpSocket::bind(&kernel, "[::1]:0")?;
    late(|| socket.recv_from(&mut [0; 8]));
    let (one, other) = Socket::pair(&kernel, Domain::UNIX, Type::SEQPACKET, None)?;
    late(|| one.receive(&mut [IoSliceMut::new(&mut [0; 8])], 0, 0));
    let address = SocketAddress::Vsock { cid: 1, port: 7 };
    let vsock = Socket::new(&kernel, Domain::VSOCK, Type::STREAM, None)?;
    vsock.bind(address)?;
    vsock.listen(1)?;
    late(|| vsock.accept());
    let news = Netlink::new(&kernel, libc::NETLINK_ROUTE)?;
    late(|| news.receive());
    let poll = Poll::new(&kernel)?;
    poll.add(&other, Interest::READABLE, Token(0))?;
    late(|| poll.wait(&mut Events::with_capacity(1), None));
    let tun = kernel.network()?.tun("tun0", TunMode::Ip)?;
    late(|| tun.recv(&mut [0; 8]));
    // All of them go on working.
    one.send(b"x")?;
    poll.wait(&mut Events::with_capacity(1), None)?;
    Ok(())
}
