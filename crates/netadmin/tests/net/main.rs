//! Networks of kernels, arranged and used, all inside of them: nothing here
//! touches a network of the host's.

mod dhcp;
mod filter;
mod kernels;
mod lab;
mod links;
mod shaping;
mod topology;
mod wireguard;
