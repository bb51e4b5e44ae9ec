//! The snapshot that kernels start from: made by `build.rs`, part of the program.
//!
//! It is of a kernel with the default memory and command line. `drupe-machine`
//! makes it and starts kernels from it; this crate is apart because a program that
//! makes one has to be able to boot kernels before there is any.
#![forbid(unsafe_code)]

use std::io;

use drupe_image::embed::{Backing, Embedded, Found};
use drupe_machine::Snapshot;
use once_cell::race::OnceBox;

/// The length is needed in a type, before there is a static.
const SNAPSHOT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/snapshot"));

// INVARIANT: build.rs writes both files from one snapshot.
static EMBEDDED: Embedded<{ SNAPSHOT.len() }> = Embedded {
    bytes: *include_bytes!(concat!(env!("OUT_DIR"), "/snapshot")),
    id: *include_bytes!(concat!(env!("OUT_DIR"), "/snapshot.id")),
};

/// The snapshot, for `Config::snapshot`. `None` where none could be made when the
/// program was built: a warning of the build says why.
pub fn snapshot() -> Option<&'static Snapshot> {
    static READ: OnceBox<Option<Snapshot>> = OnceBox::new();
    READ.get_or_init(|| Box::new(Snapshot::new(&EMBEDDED.bytes, backing).ok()))
        .as_ref()
}

fn backing() -> io::Result<Backing> {
    static FOUND: Found = Found::new();
    EMBEDDED.backing(&FOUND)
}
