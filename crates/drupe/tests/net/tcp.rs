//! TCP streams, as programs that know [`std::net`] expect them.

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use drupe::net::{Domain, Protocol, Socket, TcpListener, TcpState, TcpStream, Type};
use drupe::{Cause, Errno, Kernel};
use drupe_netadmin::NetworkExt;

use crate::lab::{Outcome, bounded, kernel, pattern, together};

/// The two ends of a connection over loopback.
fn pair(kernel: &Kernel) -> drupe::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(kernel, "127.0.0.1:0")?;
    let client = TcpStream::connect(kernel, listener.local_addr()?)?;
    let (server, from) = listener.accept()?;
    assert_eq!(from, client.local_addr()?);
    assert_eq!(server.peer_addr()?, client.local_addr()?);
    assert_eq!(client.peer_addr()?, listener.local_addr()?);
    Ok((client, server))
}

#[test]
fn echo_of_a_megabyte_v4_and_v6() -> Outcome {
    let kernel = kernel()?;
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(&kernel, address)?;
        let address = listener.local_addr()?;
        let data = pattern(1 << 20);
        let client = || -> std::io::Result<Vec<u8>> {
            let stream = TcpStream::connect(&kernel, address)?;
            let mut back = Vec::new();
            thread::scope(|scope| {
                scope.spawn(|| {
                    (&stream).write_all(&data).unwrap();
                    stream.shutdown(Shutdown::Write).unwrap();
                });
                (&stream).read_to_end(&mut back)
            })?;
            Ok(back)
        };
        let server = || -> std::io::Result<u64> {
            let (stream, _) = listener.accept()?;
            std::io::copy(&mut &stream, &mut &stream)
        };
        let (back, copied) = together(client, server);
        assert_eq!(copied?, data.len() as u64);
        assert!(back? == data, "damaged on its way over {address}");
    }
    Ok(())
}

#[test]
fn half_a_connection_goes_on() -> Outcome {
    let kernel = kernel()?;
    let (mut client, mut server) = pair(&kernel)?;
    client.write_all(b"question")?;
    client.shutdown(Shutdown::Write)?;
    let mut question = String::new();
    bounded(|| server.read_to_string(&mut question))?;
    assert_eq!(question, "question");
    server.write_all(b"answer")?;
    drop(server);
    let mut answer = String::new();
    bounded(|| client.read_to_string(&mut answer))?;
    assert_eq!(answer, "answer");
    // The write side is shut: no signal, an error.
    let error = client.write(b"more").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    Ok(())
}

#[test]
fn nobody_listens() -> Outcome {
    let kernel = kernel()?;
    let error = TcpStream::connect(&kernel, "127.0.0.1:9").unwrap_err();
    assert_eq!(error.errno(), Some(Errno::CONNREFUSED));
    assert_eq!(
        error.to_string(),
        "connect 127.0.0.1:9: Connection refused (ECONNREFUSED)"
    );
    let address: SocketAddr = "127.0.0.1:9".parse()?;
    let second = Duration::from_secs(1);
    let error = TcpStream::connect_timeout(&kernel, &address, second).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::CONNREFUSED));
    // Without a route.
    let error = TcpStream::connect(&kernel, "10.1.2.3:80").unwrap_err();
    assert_eq!(error.errno(), Some(Errno::NETUNREACH));
    // The second address of two.
    let listener = TcpListener::bind(&kernel, "127.0.0.1:0")?;
    let both = [address, listener.local_addr()?];
    let stream = TcpStream::connect(&kernel, &both[..])?;
    assert_eq!(stream.peer_addr()?, both[1]);
    let error = TcpStream::connect(&kernel, &[][..]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    Ok(())
}

#[test]
fn an_address_that_is_taken() -> Outcome {
    let kernel = kernel()?;
    let listener = TcpListener::bind(&kernel, "127.0.0.1:80")?;
    let error = TcpListener::bind(&kernel, "127.0.0.1:80").unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ADDRINUSE));
    // Another kernel is another machine.
    let other = crate::lab::kernel()?;
    TcpListener::bind(&other, "127.0.0.1:80")?;
    assert!(TcpStream::connect(&other, "127.0.0.1:80").is_err());
    drop(listener);
    TcpListener::bind(&kernel, "127.0.0.1:80")?;
    Ok(())
}

#[test]
fn connecting_to_silence_ends_in_time() -> Outcome {
    let kernel = kernel()?;
    // Packets to there are dropped without a word.
    let network = kernel.network()?;
    let dummy = network.create("dummy0", &drupe_netadmin::NewLink::Dummy)?;
    dummy.add_address("10.0.0.1/24")?;
    dummy.set_up()?;
    network.set_neighbour(&drupe_netadmin::Neighbour::permanent(
        dummy.index(),
        [10, 0, 0, 2],
        [2, 0, 0, 0, 0, 2],
    ))?;
    let silent: SocketAddr = "10.0.0.2:80".parse()?;
    let time = Duration::from_millis(50);
    let start = Instant::now();
    let error = TcpStream::connect_timeout(&kernel, &silent, time).unwrap_err();
    assert!(matches!(error.cause(), Cause::TimedOut), "{error}");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(start.elapsed() >= time);
    let error = TcpStream::connect_timeout(&kernel, &silent, Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    // A deadline does the same for any call.
    let start = Instant::now();
    let connect = || TcpStream::connect(&kernel, silent);
    let error = drupe::with_deadline(start + time, connect).unwrap_err();
    assert!(matches!(error.cause(), Cause::TimedOut), "{error}");
    assert!(start.elapsed() >= time);
    Ok(())
}

#[test]
fn reads_that_time_out() -> Outcome {
    let kernel = kernel()?;
    let (mut client, mut server) = pair(&kernel)?;
    assert_eq!(client.read_timeout()?, None);
    let time = Duration::from_millis(30);
    client.set_read_timeout(Some(time))?;
    assert_eq!(client.read_timeout()?, Some(time));
    let error = client.read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    // It is counted from the kernel's last tick, which a busy host delays: there
    // is no telling how much of it has really passed.
    assert!(client.set_read_timeout(Some(Duration::ZERO)).is_err());
    client.set_read_timeout(None)?;
    server.write_all(b"late")?;
    let mut late = [0; 4];
    client.read_exact(&mut late)?;
    assert_eq!(&late, b"late");
    // Writing until the buffers are full.
    client.set_write_timeout(Some(time))?;
    let error = loop {
        if let Err(error) = client.write(&[0; 1 << 16]) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    Ok(())
}

#[test]
fn peeking_takes_nothing() -> Outcome {
    let kernel = kernel()?;
    let (mut client, mut server) = pair(&kernel)?;
    client.write_all(b"peek")?;
    let mut bytes = [0; 8];
    for _ in 0..2 {
        assert_eq!(bounded(|| server.peek(&mut bytes))?, 4);
        assert_eq!(&bytes[..4], b"peek");
    }
    assert_eq!(server.read(&mut bytes)?, 4);
    server.set_nonblocking(true)?;
    let error = server.peek(&mut bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    Ok(())
}

#[test]
fn several_pieces_at_once() -> Outcome {
    let kernel = kernel()?;
    let (mut client, mut server) = pair(&kernel)?;
    let pieces = [b"one ".as_slice(), b"", b"two ", b"three"].map(IoSlice::new);
    assert_eq!(client.write_vectored(&pieces)?, 13);
    let (mut first, mut second) = ([0; 6], [0; 32]);
    let mut room = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    assert_eq!(bounded(|| server.read_vectored(&mut room))?, 13);
    assert_eq!((&first, &second[..7]), (b"one tw", b"o three".as_slice()));
    Ok(())
}

#[test]
fn clones_are_the_same_connection() -> Outcome {
    let kernel = kernel()?;
    let (client, mut server) = pair(&kernel)?;
    let mut clone = client.try_clone()?;
    drop(client);
    clone.write_all(b"from the clone")?;
    let mut bytes = [0; 14];
    bounded(|| server.read_exact(&mut bytes))?;
    assert_eq!(&bytes, b"from the clone");
    drop(clone);
    assert_eq!(bounded(|| server.read(&mut bytes))?, 0);
    Ok(())
}

#[test]
fn accepting_without_waiting() -> Outcome {
    let kernel = kernel()?;
    let listener = TcpListener::bind(&kernel, "127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let error = listener.accept().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let _client = TcpStream::connect(&kernel, listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    // It does not inherit that.
    assert!(!server.as_socket().nonblocking()?);
    Ok(())
}

#[test]
fn incoming_connections() -> Outcome {
    let kernel = kernel()?;
    let listener = TcpListener::bind(&kernel, "127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let clients = || -> std::io::Result<()> {
        for number in 0..10u8 {
            TcpStream::connect(&kernel, address)?.write_all(&[number])?;
        }
        Ok(())
    };
    let server = || -> std::io::Result<Vec<u8>> {
        let mut all = Vec::new();
        for stream in listener.incoming().take(10) {
            stream?.read_to_end(&mut all)?;
        }
        Ok(all)
    };
    let (sent, all) = together(clients, server);
    sent?;
    assert_eq!(all?, Vec::from_iter(0..10));
    Ok(())
}

#[test]
fn a_reset_is_an_error() -> Outcome {
    let kernel = kernel()?;
    let (client, mut server) = pair(&kernel)?;
    client.set_linger(Some(Duration::ZERO))?;
    assert_eq!(client.linger()?, Some(Duration::ZERO));
    drop(client);
    let error = bounded(|| server.read(&mut [0; 8])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(server.take_error()?.is_none());
    Ok(())
}

#[test]
fn an_accept_that_is_interrupted() -> Outcome {
    let kernel = kernel()?;
    let listener = TcpListener::bind(&kernel, "127.0.0.1:0")?;
    let (sender, receiver) = mpsc::channel();
    let accept = || {
        sender.send(kernel.interrupter()).unwrap();
        listener.accept().map(drop)
    };
    // Early or late: it holds for the next call too.
    let (interrupted, accepted) = together(|| receiver.recv().unwrap()?.interrupt(), accept);
    interrupted?;
    assert_eq!(accepted.unwrap_err().errno(), Some(Errno::INTR));
    Ok(())
}

#[test]
fn halting_ends_blocked_calls() -> Outcome {
    let kernel = kernel()?;
    let listener = TcpListener::bind(&kernel, "127.0.0.1:0")?;
    let (mut client, server) = pair(&kernel)?;
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            sender.send(()).unwrap();
            client.read(&mut [0; 8])
        });
        let accepter = scope.spawn(|| {
            sender.send(()).unwrap();
            listener.accept().map(drop)
        });
        receiver.recv().unwrap();
        receiver.recv().unwrap();
        kernel.halt().unwrap();
        assert!(reader.join().unwrap().is_err());
        let error = accepter.join().unwrap().unwrap_err();
        assert!(matches!(error.cause(), Cause::Halted), "{error}");
    });
    let error = server.set_nodelay(true).unwrap_err();
    assert!(matches!(error.cause(), Cause::Halted), "{error}");
    Ok(())
}

#[test]
fn multipath_tcp() -> Outcome {
    let kernel = kernel()?;
    let socket = || Socket::new(&kernel, Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP));
    let listener = socket()?;
    listener.bind("127.0.0.1:0".parse::<SocketAddr>()?)?;
    listener.listen(1)?;
    let listener = TcpListener::from(listener);
    let client = socket()?;
    client.connect(listener.local_addr()?)?;
    let mut client = TcpStream::from(client);
    let (mut server, _) = listener.accept()?;
    client.write_all(b"over MPTCP")?;
    let mut bytes = [0; 10];
    bounded(|| server.read_exact(&mut bytes))?;
    assert_eq!(&bytes, b"over MPTCP");
    assert_eq!(server.as_socket().protocol()?, Protocol::MPTCP);
    // MPTCP_INFO of SOL_MPTCP: both sides speak it, none fell back to TCP.
    let mut info = [0; 64];
    server.as_socket().raw_option(284, 1, &mut info)?;
    let flags = u32::from_ne_bytes(info[8..12].try_into()?);
    assert_eq!(flags & 1, 0, "fell back");
    Ok(())
}

#[test]
fn congestion_control_is_chosen() -> Outcome {
    let kernel = kernel()?;
    for name in ["bbr", "dctcp", "vegas", "reno", "cubic"] {
        // Before connecting: dctcp has to be agreed upon, since it needs ECN.
        let socket = || -> drupe::Result<Socket> {
            let socket = Socket::new(&kernel, Domain::IPV4, Type::STREAM, None)?;
            socket.set_congestion(name)?;
            Ok(socket)
        };
        let (listener, client) = (socket()?, socket()?);
        listener.bind("127.0.0.1:0".parse::<SocketAddr>()?)?;
        listener.listen(1)?;
        client.connect(listener.local_address()?)?;
        let (client, mut server) = (TcpStream::from(client), listener.accept()?.0);
        assert_eq!(client.as_socket().congestion()?, name);
        let data = pattern(256 << 10);
        let mut back = vec![0; data.len()];
        let (sent, read) = together(
            || (&client).write_all(&data),
            || server.read_exact(&mut back),
        );
        sent?;
        read?;
        assert!(back == data);
        let info = client.as_socket().tcp_info()?;
        assert_eq!(info.state, TcpState::Established);
        assert!(info.bytes_sent >= data.len() as u64, "{info:?}");
        assert!(info.congestion_window > 0 && info.send_mss > 0, "{info:?}");
        assert!(info.rtt > Duration::ZERO, "{info:?}");
    }
    let (client, _server) = pair(&kernel)?;
    let error = client.as_socket().set_congestion("none such").unwrap_err();
    assert_eq!(error.errno(), Some(Errno::NOENT));
    Ok(())
}
