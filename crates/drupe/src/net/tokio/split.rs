//! [`OwnedReadHalf`] and [`OwnedWriteHalf`]: the two directions of a [`TcpStream`] for
//! different tasks, as in tokio.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::TcpStream;
use crate::error::Result;

/// The receiving half of a stream, as `tokio::net::tcp::OwnedReadHalf`. From
/// [`TcpStream::into_split`].
#[derive(Debug)]
pub struct OwnedReadHalf(Arc<TcpStream>);

/// The sending half of a stream, as `tokio::net::tcp::OwnedWriteHalf`. When it is
/// dropped, the peer reads the end of the stream. From [`TcpStream::into_split`].
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: Arc<TcpStream>,
    /// Whether dropping this half ends the direction.
    ends: bool,
}

/// The halves belong to different streams. Both are returned in the error.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are not of one stream")
    }
}

impl std::error::Error for ReuniteError {}

impl TcpStream {
    /// Splits the stream into its two directions, which different tasks can own. The
    /// connection is closed when both are dropped. Unlike `tokio::io::split`, this takes
    /// no lock for each call.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let stream = Arc::new(self);
        let write = OwnedWriteHalf {
            stream: Arc::clone(&stream),
            ends: true,
        };
        (OwnedReadHalf(stream), write)
    }
}

/// The stream of two halves, if they are of one.
fn reunite(
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
) -> std::result::Result<TcpStream, ReuniteError> {
    if !Arc::ptr_eq(&read.0, &write.stream) {
        return Err(ReuniteError(read, write));
    }
    write.forget();
    Ok(Arc::try_unwrap(read.0).expect("two halves have one stream"))
}

impl OwnedReadHalf {
    /// The stream again, with the half that was made with this one.
    ///
    /// # Errors
    ///
    /// That is another one's; both halves are in the error.
    pub fn reunite(self, other: OwnedWriteHalf) -> std::result::Result<TcpStream, ReuniteError> {
        reunite(self, other)
    }

    /// Its peer's address.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        self.0.peer_addr()
    }

    /// Its own address.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Receives without removing the data from the queue.
    pub async fn peek(&mut self, bytes: &mut [u8]) -> Result<usize> {
        self.0.peek(bytes).await
    }

    /// Waits until a read would not block.
    pub async fn readable(&self) -> Result<()> {
        self.0.readable().await
    }

    /// Receives without waiting: `WouldBlock` if there is no data.
    pub fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(bytes)
    }
}

impl OwnedWriteHalf {
    /// The stream again, with the half that was made with this one.
    ///
    /// # Errors
    ///
    /// That is another one's; both halves are in the error.
    pub fn reunite(self, other: OwnedReadHalf) -> std::result::Result<TcpStream, ReuniteError> {
        reunite(other, self)
    }

    /// Drops the half without ending the direction: the peer reads the end of the stream
    /// only when the other half is dropped.
    pub fn forget(mut self) {
        self.ends = false;
    }

    /// Its peer's address.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// Its own address.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Sends without waiting, as much as there is room for: `WouldBlock` if there is
    /// none.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.try_write(bytes)
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.ends {
            // It may have ended already, or the kernel.
            let _ = self.stream.end_writing();
        }
    }
}

impl AsRef<TcpStream> for OwnedReadHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.0
    }
}

impl AsRef<TcpStream> for OwnedWriteHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl AsyncRead for OwnedReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.receive(cx, buffer)
    }
}

impl AsyncWrite for OwnedWriteHalf {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.send(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.send_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = self.stream.end_writing();
        if ended.is_ok() {
            self.ends = false;
        }
        Poll::Ready(ended)
    }
}
