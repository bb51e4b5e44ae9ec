//! `liblkl`: the interface of the Linux Kernel Library for C programs that were written for
//! it. `include/` and `uapi/` have the headers, which say what each function does;
//! `docs/lkl.md` says what differs.
//!
//! LKL has one kernel in a process: [`state`] has it. Most functions are a few system calls ([`call`]) in a row, as they are
//! in LKL; what a program hands in, [`host_ops`] and the operations of its devices, is
//! called back.

#[macro_use]
mod border;

mod address;
mod call;
mod config;
mod dir;
mod disk;
mod disk_ops;
mod error;
mod format;
mod fs;
mod host_ops;
mod kernel;
mod neighbour;
mod netdev;
mod netdev_link;
mod netdev_pipe;
mod netlink;
mod route;
mod settings;
mod state;
