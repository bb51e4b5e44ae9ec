//! Sockets, interfaces and routes of kernels, all inside of them: nothing here
//! touches a network of the host's.

mod lab;
mod links;
mod options;
mod poll;
mod tcp;
mod udp;
mod unix;
