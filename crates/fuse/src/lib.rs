//! A filesystem that a drupe kernel has mounted, mounted once more on the host,
//! through FUSE: `drupe mount`.
//!
//! ```text
//!  program ── open("DIR/file") ──▶ host kernel: VFS, page cache, permissions
//!                                    │ /dev/fuse
//!  a thread of ours  ◀───────────────┘  `session`: one message
//!    act as its user, `Node::open` ──▶ drupe kernel: ext4, XFS, … ──▶ image
//! ```
//!
//! - [`Server`] (`server`): how it is mounted, and how it ends, with [`Options`] and
//!   [`Event`]; `host_mount`: what the host is asked for that.
//! - `session`: the thread that serves; `patience`: how long it looks for the next
//!   request before it sleeps; `channel`: the device.
//! - `wire`: the messages.
//! - `requests`: what each request becomes.
//! - `table`: which inode a number of FUSE's stands for. Inodes are kept by file
//!   handle, so that the host may remember many more of them than fit into the
//!   drupe kernel's memory; `prune` is for filesystems without handles.
//! - `handles`: files and directories that are open.
//! - `caller`: in whose name a request is done.
//! - `workers`: threads for what takes long; `progress`: whether all is served.
//! - [`Keeper`] (`keeper`): a process that mounts for one that may not; [`unmount()`]: has
//!   it tell how the mount ended.
//!
//! **The host's kernel checks permissions** (`default_permissions`, POSIX ACLs):
//! it knows the caller's groups and capabilities, we don't. The drupe kernel does
//! what is asked in the name of the caller, so that new files have the right
//! owner from the start, without checking again.
//!
//! **Small requests one after another** cost what waking the two threads costs
//! that wait for each other. In a virtual machine with two processors, a random
//! read of 4 KiB takes 14 µs where both share one of them, and 24 µs where the
//! thread that serves looks for requests on the other (`patience`); 44 µs where it
//! sleeps there. Binding it does not help: the host's scheduler then wakes the
//! program on the processor that is idle.
//!
//! **The host believes what it was told** for an hour, also that there is no such
//! name: nobody else changes the filesystem. Exceptions are in `state`.
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
pub use unmount::{NotUnmounted, unmount};
