//! The format of messages on `/dev/fuse` (`include/uapi/linux/fuse.h`), read by
//! [`Arguments`], written by [`Answer`].
//!
//! ```text
//!  request:  length opcode unique node uid gid pid extension │ arguments
//!  answer:   length error  unique                            │ results
//!  notice:   length code   0                                 │ arguments
//! ```
//!
//! All numbers have the byte order of the processor.

mod answer;
mod arguments;
mod init;
pub(crate) mod notice;
pub(crate) mod opcode;

pub(crate) use answer::{Answer, Attributes, DirEntry, Entry};
pub(crate) use arguments::{Arguments, Request};
pub(crate) use init::{Abilities, Offer, flag};
