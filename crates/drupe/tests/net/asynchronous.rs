//! Sockets in tokio's runtimes.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use drupe::net::tokio::{TcpListener, TcpStream, UdpSocket};
use drupe::net::{Domain, Protocol, Socket, Type};
use drupe::{Cause, Disk, Errno, Kernel, MountOptions, OpenOptions};
use drupe_netadmin::NetworkExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, split};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::lab::{Outcome, kernel, pattern};

fn one_thread() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Runs `f` in a runtime, bounded.
fn bounded<T>(
    runtime: &Runtime,
    f: impl Future<Output = Result<T, Box<dyn Error>>>,
) -> Result<T, Box<dyn Error>> {
    runtime.block_on(async { timeout(Duration::from_secs(60), f).await? })
}

/// Echoes everything, of everybody.
async fn serve(listener: TcpListener) -> drupe::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let (mut reader, mut writer) = split(stream);
            copy(&mut reader, &mut writer).await?;
            writer.shutdown().await
        });
    }
}

async fn echo(kernel: &Kernel, address: SocketAddr, data: &[u8]) -> io::Result<()> {
    let stream = TcpStream::connect(kernel, address).await?;
    let (mut reader, mut writer) = split(stream);
    let send = async {
        writer.write_all(data).await?;
        writer.shutdown().await
    };
    let mut back = Vec::new();
    let (sent, received) = tokio::join!(send, reader.read_to_end(&mut back));
    sent?;
    received?;
    assert!(back == data, "damaged on its way");
    Ok(())
}

/// `count` connections at once, each of which echoes `len` bytes.
async fn echoes(kernel: &Kernel, count: usize, len: usize) -> Outcome {
    let listener = TcpListener::bind(kernel, "127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener));
    let data: Arc<[u8]> = pattern(len).into();
    let mut all = JoinSet::new();
    for _ in 0..count {
        let (kernel, data) = (kernel.clone(), Arc::clone(&data));
        all.spawn(async move { echo(&kernel, address, &data).await });
    }
    while let Some(done) = all.join_next().await {
        done??;
    }
    Ok(())
}

#[test]
fn a_thousand_echoes_on_one_thread() -> Outcome {
    let kernel = Kernel::builder().memory(256 << 20).boot()?;
    kernel.network()?.link("lo")?.set_up()?;
    bounded(&one_thread()?, echoes(&kernel, 1000, 10_000))
}

#[test]
fn megabytes_on_several_threads() -> Outcome {
    let kernel = kernel()?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()?;
    bounded(&runtime, echoes(&kernel, 8, 4 << 20))
}

#[test]
fn connections_that_fail() -> Outcome {
    let kernel = kernel()?;
    bounded(&one_thread()?, async {
        let error = TcpStream::connect(&kernel, "127.0.0.1:9")
            .await
            .unwrap_err();
        assert_eq!(error.errno(), Some(Errno::CONNREFUSED));
        let error = TcpStream::connect(&kernel, "10.1.2.3:9").await.unwrap_err();
        assert_eq!(error.errno(), Some(Errno::NETUNREACH));
        let listener = TcpListener::bind(&kernel, "127.0.0.1:0").await?;
        let error = TcpListener::bind(&kernel, listener.local_addr()?).await;
        assert_eq!(error.unwrap_err().errno(), Some(Errno::ADDRINUSE));
        // A reset wakes who reads.
        let client = TcpStream::connect(&kernel, listener.local_addr()?).await?;
        let (mut server, _) = listener.accept().await?;
        let read = tokio::spawn(async move { server.read(&mut [0; 8]).await });
        tokio::task::yield_now().await;
        client.as_socket().set_linger(Some(Duration::ZERO))?;
        drop(client);
        let error = read.await?.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        Ok(())
    })
}

#[test]
fn what_is_cancelled_has_not_happened() -> Outcome {
    let kernel = kernel()?;
    bounded(&one_thread()?, async {
        let listener = TcpListener::bind(&kernel, "127.0.0.1:0").await?;
        let short = Duration::from_millis(1);
        for _ in 0..10 {
            assert!(timeout(short, listener.accept()).await.is_err());
        }
        let mut client = TcpStream::connect(&kernel, listener.local_addr()?).await?;
        let (mut server, from) = listener.accept().await?;
        assert_eq!(from, client.local_addr()?);
        let mut bytes = [0; 8];
        for round in 0..10 {
            assert!(timeout(short, server.read(&mut bytes)).await.is_err());
            client.write_all(&[round]).await?;
            server.readable().await?;
            assert_eq!(server.peek(&mut bytes).await?, 1);
            assert_eq!(server.read(&mut bytes).await?, 1);
            assert_eq!(bytes[0], round);
        }
        let error = server.try_read(&mut bytes).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        // A writer waits for room, and goes on when there is some.
        let big = pattern(8 << 20);
        let write = async { client.write_all(&big).await };
        let mut back = vec![0; big.len()];
        tokio::pin!(write);
        assert!(timeout(short, &mut write).await.is_err());
        let (written, read) = tokio::join!(write, server.read_exact(&mut back));
        written?;
        read?;
        assert!(back == big);
        Ok(())
    })
}

#[test]
fn datagrams() -> Outcome {
    let kernel = kernel()?;
    bounded(&one_thread()?, async {
        let one = Arc::new(UdpSocket::bind(&kernel, "127.0.0.1:0").await?);
        let other = UdpSocket::bind(&kernel, "127.0.0.1:0").await?;
        // Several tasks wait for one socket.
        let mut all = JoinSet::new();
        for _ in 0..10 {
            let one = Arc::clone(&one);
            all.spawn(async move {
                let mut bytes = [0; 8];
                one.recv_from(&mut bytes)
                    .await
                    .map(|(_, from)| (bytes[0], from))
            });
        }
        tokio::task::yield_now().await;
        for number in 0..10 {
            other.send_to(&[number], one.local_addr()?).await?;
        }
        let mut got = Vec::new();
        while let Some(received) = all.join_next().await {
            let (number, from) = received??;
            assert_eq!(from, other.local_addr()?);
            got.push(number);
        }
        got.sort();
        assert_eq!(got, Vec::from_iter(0..10));
        one.connect(other.local_addr()?).await?;
        one.send(b"connected").await?;
        let mut bytes = [0; 16];
        assert_eq!(other.peek_from(&mut bytes).await?.0, 9);
        assert_eq!(other.recv_from(&mut bytes).await?, (9, one.local_addr()?));
        Ok(())
    })
}

#[test]
fn multipath_tcp() -> Outcome {
    let kernel = kernel()?;
    let socket = || Socket::new(&kernel, Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP));
    bounded(&one_thread()?, async {
        let listener = socket()?;
        listener.bind("127.0.0.1:0".parse::<SocketAddr>()?)?;
        listener.listen(8)?;
        let listener = TcpListener::from_net(listener.into())?;
        let address = listener.local_addr()?;
        tokio::spawn(serve(listener));
        let mut client = TcpStream::connect_socket(socket()?, address).await?;
        client.write_all(b"both ways").await?;
        let mut bytes = [0; 9];
        client.read_exact(&mut bytes).await?;
        assert_eq!(&bytes, b"both ways");
        Ok(())
    })
}

#[test]
fn the_end_of_a_kernel_wakes_all() -> Outcome {
    let kernel = kernel()?;
    bounded(&one_thread()?, async {
        let listener = TcpListener::bind(&kernel, "127.0.0.1:0").await?;
        let accept = tokio::spawn(async move { listener.accept().await.map(drop) });
        tokio::task::yield_now().await;
        let halted = kernel.clone();
        tokio::task::spawn_blocking(move || halted.halt()).await??;
        let error = accept.await?.unwrap_err();
        assert!(matches!(error.cause(), Cause::Halted), "{error}");
        assert!(TcpListener::bind(&kernel, "127.0.0.1:0").await.is_err());
        Ok(())
    })
}

#[test]
fn the_death_of_a_kernel_wakes_all() -> Outcome {
    let kernel = kernel()?;
    bounded(&one_thread()?, async {
        let listener = TcpListener::bind(&kernel, "127.0.0.1:0").await?;
        let accept = tokio::spawn(async move { listener.accept().await.map(drop) });
        tokio::task::yield_now().await;
        // A filesystem that is to panic, and is told of an error.
        let image = tempfile::NamedTempFile::new()?;
        image.as_file().set_len(8 << 20)?;
        let made = std::process::Command::new("/sbin/mke2fs")
            .args(["-q", "-F", "-t", "ext4"])
            .arg(image.path())
            .status()?;
        assert!(made.success());
        let disk = kernel.add_disk(Disk::open(image.path())?)?;
        let options = MountOptions::new().options("errors=panic");
        let _mount = disk.whole().mount(options)?;
        let sysfs = kernel.mount_virtual("sysfs", MountOptions::new())?;
        let path = format!("/fs/ext4/{}/trigger_fs_error", disk.name());
        let fail = move || {
            sysfs
                .open_with(path, OpenOptions::new().write(true))?
                .write_all_at(b"x", 0)
        };
        let died = tokio::task::spawn_blocking(fail).await?.unwrap_err();
        assert!(matches!(died.cause(), Cause::Dead(_)), "{died}");
        let error = accept.await?.unwrap_err();
        assert!(matches!(error.cause(), Cause::Dead(_)), "{error}");
        Ok(())
    })
}

#[test]
fn one_kernel_and_two_runtimes() -> Outcome {
    let kernel = kernel()?;
    let first = one_thread()?;
    let left: TcpListener = bounded(&first, async {
        echoes(&kernel, 10, 1000).await?;
        Ok(TcpListener::bind(&kernel, "127.0.0.1:0").await?)
    })?;
    let second = one_thread()?;
    bounded(&second, echoes(&kernel, 10, 1000))?;
    drop(first);
    // What waited there waits no more; others are not concerned.
    bounded(&second, async {
        let error = left.accept().await.unwrap_err();
        assert!(matches!(error.cause(), Cause::Host(_)), "{error}");
        echoes(&kernel, 10, 1000).await
    })?;
    drop(second);
    bounded(&one_thread()?, echoes(&kernel, 10, 1000))?;
    // Without any.
    let kept = drupe::net::TcpListener::bind(&kernel, "127.0.0.1:0")?;
    let error = TcpListener::from_net(kept).unwrap_err();
    assert!(matches!(error.cause(), Cause::Host(_)), "{error}");
    Ok(())
}
