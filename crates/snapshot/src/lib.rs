//! The embedded snapshot from which kernels start; `build.rs` makes it.
//!
//! It was taken of a kernel with the default memory size and command line.
//! `drupe-machine` has the code that makes snapshots and starts kernels from them. This
//! is a crate of its own because its build script boots kernels.
#![forbid(unsafe_code)]

use std::io;

use drupe_image::embed::{Backing, Embedded, Found};
use drupe_machine::Snapshot;
use once_cell::race::OnceBox;

/// The snapshot's bytes. A constant, because the static's type needs its length.
const SNAPSHOT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/snapshot"));

// INVARIANT: build.rs writes both files from one snapshot.
static EMBEDDED: Embedded<{ SNAPSHOT.len() }> = Embedded {
    bytes: *include_bytes!(concat!(env!("OUT_DIR"), "/snapshot")),
    id: *include_bytes!(concat!(env!("OUT_DIR"), "/snapshot.id")),
};

/// The snapshot, for `Config::snapshot`. `None` if none could be made when the program
/// was built; a warning of the build says why.
pub fn snapshot() -> Option<&'static Snapshot> {
    static READ: OnceBox<Option<Snapshot>> = OnceBox::new();
    READ.get_or_init(|| Box::new(Snapshot::new(&EMBEDDED.bytes, backing).ok()))
        .as_ref()
}

fn backing() -> io::Result<Backing> {
    static FOUND: Found = Found::new();
    EMBEDDED.backing(&FOUND)
}
