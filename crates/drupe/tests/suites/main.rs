//! Suites on real disk images: made, and checked afterwards, by each
//! filesystem's own tools.
//!
//! - [`tree`], [`sample`], [`contents`]: a tree of files that is known exactly;
//!   [`write`] makes it in a mount, [`write_on_host`] on the host, [`mutate`]
//!   changes it.
//! - [`manifest`]: what is really there, and how the two differ.
//! - [`filesystems`], [`capabilities`]: the tables of what is tested.
//! - [`lab`], [`tools`]: images, mounts, programs.
//! - Everything else is tests.

mod capabilities;
mod contents;
mod crash;
mod durability;
mod filesystems;
mod fsx;
mod host_made;
mod hostile;
#[path = "../image/mod.rs"]
mod image;
mod lab;
mod manifest;
mod mutate;
mod partitions;
mod round_trip;
mod sample;
mod server;
mod sizes;
mod threads;
mod tools;
mod tree;
mod volumes;
mod write;
mod write_on_host;

/// What a test returns.
type Outcome = Result<(), Box<dyn std::error::Error>>;
