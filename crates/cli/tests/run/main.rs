//! `drupe run`: real programs whose network is a drupe kernel's.

#[allow(dead_code, reason = "shared with the other tests of the command")]
#[path = "../cli/harness.rs"]
mod harness;

mod datagrams;
mod ends;
mod errors;
mod links;
mod native;
mod ran;
mod servers;
mod streams;
mod tools;
