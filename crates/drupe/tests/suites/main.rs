//! Suites on real disk images: made, and checked afterwards, by each
//! filesystem's own tools.
//!
//! - [`tree`], [`sample`], [`contents`]: a tree of files that is known exactly;
//!   [`write`] makes it in a mount or on the host, [`mutate`] changes it.
//! - [`manifest`]: what is really there, and how the two differ.
//! - [`filesystems`], [`capabilities`]: the tables of what is tested.
//! - [`lab`], [`tools`]: images, mounts, programs.
//! - Everything else is tests.

mod capabilities;
mod contents;
mod filesystems;
mod lab;
mod manifest;
mod mutate;
mod round_trip;
mod sample;
mod tools;
mod tree;
mod write;

/// What a test returns.
type Outcome = Result<(), Box<dyn std::error::Error>>;
