//! Configures the network of a [`drupe`] kernel, as ip(8), tc(8), nft(8), wg(8),
//! sysctl(8) and a DHCP client do. Sockets are in [`drupe::net`].
//!
//! ```no_run
//! use drupe_netadmin::{BuilderExt, Config, NetworkExt};
//! # let (link, _) = drupe_links::pair(2048);
//!
//! let kernel = drupe::Kernel::builder().link(link, Config::dhcp()).boot()?;
//! let network = kernel.network()?;
//! for link in network.links()? {
//!     println!("{}: {} bytes", link.name, link.mtu);
//! }
//! network.set_sysctl("net.ipv4.tcp_congestion_control", "bbr")?;
//! # Ok::<(), drupe::Error>(())
//! ```
//!
//! A new kernel has one interface, `lo`, which is down. A [`Network`] is the network of a
//! kernel's namespace (from [`NetworkExt`]); an [`Interface`] is one of its network
//! devices. Requests that have no method here can be made with [`netlink`].

mod config;
mod dhcp;
mod ext;
mod filter;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod neighbour;
pub mod netlink;
mod network;
mod new_link;
mod prefix;
mod qdisc;
mod route;
mod rule;
mod sysctl;
mod tun;
mod wireguard;

pub use config::{Config, Lease};
pub use ext::{AttachedLinkExt, BuilderExt, NetworkExt};
pub use filter::{FilterHook, FilterRule};
pub use neighbour::Neighbour;
pub use netlink::Netlink;
pub use network::{Address, Interface, InterfaceInfo, Network};
pub use new_link::{BondMode, NewLink};
pub use prefix::Prefix;
pub use qdisc::{HtbClass, Netem, Qdisc};
pub use route::{Route, RouteKind};
pub use rule::Rule;
pub use tun::{Tun, TunMode};
pub use wireguard::{WireGuard, WireGuardInfo, WireGuardKey, WireGuardPeer, WireGuardPeerInfo};
