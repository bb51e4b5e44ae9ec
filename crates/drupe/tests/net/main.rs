//! Sockets of kernels, all inside of them: nothing here
//! touches a network of the host's.

#[cfg(feature = "tokio")]
mod asynchronous;
#[cfg(feature = "tokio")]
mod halves;
mod lab;
mod options;
mod poll;
mod tcp;
mod tls;
mod udp;
mod unix;
