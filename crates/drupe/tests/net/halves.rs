//! The halves of tokio's streams.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use drupe::net::tokio::{TcpListener, TcpStream};
use drupe::{Errno, Kernel};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::lab::{Outcome, kernel, pattern};

/// Runs `f` on several threads, bounded, with both ends of a connection.
fn connected<F>(f: impl FnOnce(TcpStream, TcpStream) -> F) -> Outcome
where
    F: Future<Output = Outcome>,
{
    let kernel = kernel()?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (client, server) = ends(&kernel).await?;
        timeout(Duration::from_secs(60), f(client, server)).await?
    })
}

async fn ends(kernel: &Kernel) -> drupe::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(kernel, "127.0.0.1:0").await?;
    let client = TcpStream::connect(kernel, listener.local_addr()?).await?;
    let (server, _) = listener.accept().await?;
    Ok((client, server))
}

#[test]
fn a_task_for_each_direction() -> Outcome {
    connected(|client, server| async {
        let echo = tokio::spawn(async move {
            let (mut reader, mut writer) = server.into_split();
            copy(&mut reader, &mut writer).await
            // The end of the writer is the end of what is echoed.
        });
        let (mut reader, mut writer) = client.into_split();
        assert_eq!(reader.peer_addr()?, writer.peer_addr()?);
        assert_eq!(reader.local_addr()?, writer.local_addr()?);
        let data = pattern(4 << 20);
        let sent = data.clone();
        let send = tokio::spawn(async move { writer.write_all(&sent).await });
        let mut back = Vec::new();
        reader.read_to_end(&mut back).await?;
        send.await??;
        assert_eq!(echo.await??, data.len() as u64);
        assert!(back == data, "damaged on its way");
        Ok(())
    })
}

#[test]
fn the_writer_ends_its_direction_alone() -> Outcome {
    connected(|client, mut server| async move {
        let (mut reader, writer) = client.into_split();
        drop(writer);
        assert_eq!(server.read(&mut [0; 8]).await?, 0);
        let error = reader.as_ref().try_write(b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        // The other direction goes on.
        server.write_all(b"still here").await?;
        let mut bytes = [0; 10];
        reader.read_exact(&mut bytes).await?;
        assert_eq!(&bytes, b"still here");
        Ok(())
    })
}

#[test]
fn a_writer_that_is_forgotten_ends_nothing() -> Outcome {
    connected(|client, mut server| async move {
        let (reader, writer) = client.into_split();
        writer.forget();
        // By the other half, the direction is open.
        assert_eq!(reader.as_ref().try_write(b"x")?, 1);
        let mut bytes = [0; 8];
        assert_eq!(server.read(&mut bytes).await?, 1);
        drop(reader);
        assert_eq!(server.read(&mut bytes).await?, 0);
        Ok(())
    })
}

#[test]
fn what_was_shut_down_is_not_ended_again() -> Outcome {
    connected(|client, mut server| async move {
        let (mut reader, mut writer) = client.into_split();
        writer.write_all(b"all").await?;
        writer.shutdown().await?;
        writer.shutdown().await?;
        drop(writer);
        let mut bytes = Vec::new();
        server.read_to_end(&mut bytes).await?;
        assert_eq!(bytes, b"all");
        server.shutdown().await?;
        assert_eq!(reader.read(&mut [0; 8]).await?, 0);
        Ok(())
    })
}

#[test]
fn halves_become_a_stream_again() -> Outcome {
    connected(|client, server| async move {
        let address = client.local_addr()?;
        let (client_reader, client_writer) = client.into_split();
        let (server_reader, server_writer) = server.into_split();
        let error = client_reader.reunite(server_writer).unwrap_err();
        assert_eq!(error.to_string(), "the halves are not of one stream");
        let mut client = error.0.reunite(client_writer)?;
        assert_eq!(client.local_addr()?, address);
        // No direction has ended by that.
        let mut server = error.1.reunite(server_reader)?;
        client.write_all(b"there").await?;
        let mut bytes = [0; 5];
        server.read_exact(&mut bytes).await?;
        server.write_all(&bytes).await?;
        client.read_exact(&mut bytes).await?;
        assert_eq!(&bytes, b"there");
        Ok(())
    })
}

/// A reader that waits does not keep the writer, of the same task, from writing, and is
/// woken by what comes.
#[test]
fn both_halves_wait_in_one_task() -> Outcome {
    connected(|client, server| async move {
        let (mut reader, mut writer) = client.into_split();
        let mut bytes = [0; 8];
        let len = {
            let mut read = pin!(reader.read(&mut bytes));
            let waits = poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_pending())).await;
            assert!(waits);
            writer.write_all(b"question").await?;
            server.readable().await?;
            assert_eq!(server.try_read(&mut [0; 8])?, 8);
            assert_eq!(server.try_write(b"answer")?, 6);
            read.await?
        };
        assert_eq!(&bytes[..len], b"answer");
        Ok::<(), Box<dyn Error>>(())
    })
}

/// The kernel ends, and the halves with it.
#[test]
fn halves_of_a_kernel_that_has_ended() -> Outcome {
    let kernel = kernel()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, _server) = ends(&kernel).await?;
        let (mut reader, writer) = client.into_split();
        kernel.halt()?;
        let error = reader.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(Errno::from_io_error(&error), None, "{error}");
        drop(writer);
        Ok(())
    })
}
