//! Network links: implementations of [`drupe_host::link::Link`].
//!
//! In the process:
//! - [`pair()`]: two links that are each other's other end.
//! - [`Switch`]: an Ethernet switch, with cables that delay and lose frames.
//! - [`Station`]: a program that sends and receives in the place of a kernel.
//!
//! To the host:
//! - [`Tap`]: a tap device, or a macvtap.
//!
//! Nothing here knows a kernel.

mod datagrams;
mod error;
mod header;
mod inbox;
mod packet;
mod pair;
mod poller;
mod station;
mod switch;
mod sync;
mod sys;
mod tap;

pub use error::{Error, Result};
pub use pair::{PairEnd, pair};
pub use station::Station;
pub use switch::{Port, PortCounters, PortOptions, Switch, SwitchOptions};
pub use tap::Tap;
