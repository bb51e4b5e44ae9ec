//! Network links: implementations of [`drupe_host::link::Link`].
//!
//! In the process:
//! - [`pair()`]: two links that are connected with each other.
//! - [`Switch`]: an Ethernet switch, with cables that delay and lose frames.
//! - [`Station`]: a program that sends and receives in the place of a kernel.
//!
//! To the host:
//! - [`Tap`]: a tap device, or a macvtap.
//! - [`PacketSocket`]: an interface of the host.
//! - [`Passt`]: the host's network without privileges.
//!
//! Recordings:
//! - [`Pcap`]: records the frames of another link.
//! - [`Replay`]: the frames of a recording.
//!
//! [`LinkSpec`] parses the name of a link on a command line. [`complete_checksum`]
//! completes a frame, for links that a program implements.
//!
//! Nothing in this crate depends on a kernel.

mod checksum;
mod datagrams;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod header;
mod inbox;
#[cfg(all(test, loom))]
mod models;
mod packet;
mod packet_socket;
mod pair;
mod passt;
mod pcap;
mod poller;
mod spec;
mod station;
mod switch;
mod sync;
mod sys;
mod tap;

pub use checksum::complete_checksum;
pub use error::{Error, Result};
pub use packet_socket::PacketSocket;
pub use pair::{PairEnd, pair};
pub use passt::{Passt, PasstOptions};
pub use pcap::{Pace, Pcap, Replay};
pub use spec::{LinkSpec, Opener};
pub use station::Station;
pub use switch::{Port, PortCounters, PortOptions, Switch, SwitchOptions};
pub use tap::Tap;
