//! Sockets, interfaces and routes of kernels, all inside of them: nothing here
//! touches a network of the host's.

#[cfg(feature = "tokio")]
mod asynchronous;
mod dhcp;
mod filter;
mod kernels;
mod lab;
mod links;
mod options;
mod poll;
mod shaping;
mod tcp;
mod tls;
mod topology;
mod udp;
mod unix;
mod wireguard;
