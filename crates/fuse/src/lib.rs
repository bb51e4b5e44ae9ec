//! Mounts a filesystem of a drupe kernel on the host, through FUSE: `drupe mount`.
//!
//! ```text
//!  program ── open("DIR/file") ──▶ host kernel: VFS, page cache, permissions
//!                                    │ /dev/fuse
//!  serving thread    ◀───────────────┘  `session`: one message
//!    act as its user, `Node::open` ──▶ drupe kernel: ext4, XFS, … ──▶ image
//! ```
//!
//! - [`Server`] (`server`): mounting, serving and unmounting, with [`Options`] and
//!   [`Event`]; `host_mount`: the mount on the host.
//! - `session`: the serving thread; `patience`: how long it polls for the next request
//!   before it sleeps; `channel`: the device.
//! - `wire`: the format of messages.
//! - `requests`: serves each kind of request.
//! - `table`: maps FUSE's node numbers to inodes. Inodes are kept by file handle, so that
//!   the host may remember many more than fit into the drupe kernel's memory; `prune` is
//!   for filesystems without handles.
//! - `handles`: open files and directories.
//! - `caller`: the credentials of a request.
//! - `workers`: threads for requests that take long; `progress`: whether all requests are
//!   served.
//! - [`Keeper`] (`keeper`): a process that mounts for the confined server; [`unmount()`]:
//!   unmounts, and waits for the result.
//!
//! **The host's kernel checks permissions** (`default_permissions`, POSIX ACLs): it knows
//! the caller's groups and capabilities, which FUSE does not send. The drupe kernel
//! serves requests with the caller's user and group, so that new files have the right
//! owner, but does not check permissions again.
//!
//! **Sequences of small requests** spend most time in waking two threads that wait for
//! each other. In a virtual machine with two processors, a random read of 4 KiB takes 14
//! µs if both run on one processor, 24 µs if the serving thread polls on the other
//! (`patience`), and 44 µs if it sleeps there. Binding it to a processor does not help:
//! the host's scheduler then wakes the program on the idle one.
//!
//! **The host caches names and attributes** for an hour, also that a name does not exist,
//! since only this mount changes the filesystem. Exceptions are in `state`.
//!
//! **Nothing here blocks on the host's filesystem under DIR**: the drupe kernel
//! never calls back, and the image must not lie below DIR.
#![forbid(unsafe_code)]

mod attr;
mod caller;
mod channel;
mod event;
mod handles;
mod host_mount;
mod keeper;
mod options;
mod patience;
mod progress;
mod prune;
mod requests;
mod server;
mod session;
mod state;
mod table;
mod unmount;
mod wire;
mod workers;

pub use event::Event;
pub use keeper::{Ended, Keeper, keep};
pub use options::Options;
pub use server::{Error, Server};
pub use unmount::{NotUnmounted, mounted_from, unmount};
