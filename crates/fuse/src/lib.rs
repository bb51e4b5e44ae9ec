//! A filesystem that a drupe kernel has mounted, mounted once more on the host,
//! through FUSE: `drupe mount`.
//!
//! ```text
//!  program ── open("DIR/file") ──▶ host kernel: VFS, page cache, permissions
//!                                    │ /dev/fuse
//!  a thread of ours  ◀───────────────┘  fuser: one request
//!    act as its user, `Node::open` ──▶ drupe kernel: ext4, XFS, … ──▶ image
//! ```
//!
//! - [`Server`] (`server`): how it is mounted, and how it ends.
//! - `requests`: what each request becomes; `served`: what they have in common.
//! - `table`: which inode a number of FUSE's stands for. Inodes are kept by file
//!   handle, so that the host may remember many more of them than fit into the
//!   drupe kernel's memory; `prune` is for filesystems without handles.
//! - `handles`: files and directories that are open.
//! - `caller`: in whose name a request is done.
//! - `attr`: attributes, translated.
//! - `workers`: threads for what takes long.
//!
//! **The host's kernel checks permissions** (`default_permissions`, POSIX ACLs):
//! it knows the caller's groups and capabilities, we don't. The drupe kernel does
//! what is asked in the name of the caller, so that new files have the right
//! owner from the start, without checking again.
//!
//! **Small requests one after another** cost what waking the two threads costs
//! that wait for each other: 13 µs for a random read of 4 KiB where both are bound
//! to one CPU, 44 µs where each wakes the other's sleeping one in a virtual
//! machine. Binding only the thread that serves does not help: the host's scheduler
//! then wakes the program on the CPU that is idle.
//!
//! **Nothing here blocks on the host's filesystem under DIR**: the drupe kernel
//! never calls back, and the image must not lie below DIR.
#![forbid(unsafe_code)]

mod attr;
mod caller;
mod handles;
mod prune;
mod requests;
mod served;
mod server;
mod state;
mod table;
mod workers;

pub use server::{Error, Event, Options, Server};
