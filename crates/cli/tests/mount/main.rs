//! `drupe mount`: an image mounted on the host, used as any filesystem, and what
//! its own checker says afterwards. Runs as root, and needs /dev/fuse and fuse3;
//! where there is no FUSE, `DRUPE_TEST_NO_FUSE=1` leaves these tests out.

#[allow(dead_code, reason = "shared with the other tests of the command")]
#[path = "../cli/harness.rs"]
mod harness;

mod data;
mod direct;
mod ends;
mod errors;
mod harm;
mod inodes;
mod mounted;
mod names;
mod umount;
mod users;
