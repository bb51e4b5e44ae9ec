//! Extension traits for the types of [`drupe`]: `network()`, `interface()`, `link()`.

use drupe::net::Namespace;
use drupe::{AttachedLink, Builder, Kernel, Link, Result};

use crate::{Config, Interface, Network};

/// Access to the network of a kernel or a namespace.
pub trait NetworkExt {
    /// The network, to configure it. For a kernel, this is the namespace of the calling
    /// thread: the kernel's first one outside of [`Namespace::run`].
    fn network(&self) -> Result<Network>;
}

impl NetworkExt for Kernel {
    fn network(&self) -> Result<Network> {
        Network::of(&Namespace::current(self)?)
    }
}

impl NetworkExt for Namespace {
    fn network(&self) -> Result<Network> {
        Network::of(self)
    }
}

/// Access to the interface of a link.
pub trait AttachedLinkExt {
    /// The interface, to configure it. The calling thread must be in the link's
    /// namespace.
    fn interface(&self) -> Result<Interface>;
}

impl AttachedLinkExt for AttachedLink {
    fn interface(&self) -> Result<Interface> {
        Ok(self.kernel().network()?.link_by_index(self.index()))
    }
}

/// Adding links to a kernel when it boots.
pub trait BuilderExt {
    /// Adds a network link and configures its interface, by hand or by DHCP. The first
    /// one is `eth0`, the next `eth1`. `lo` is set up too.
    /// [`Builder::boot`](drupe::Builder::boot) returns when all are configured.
    ///
    /// [`Kernel::add_link`] and [`Network::configure`] do the same after the boot, and
    /// return the link and the lease.
    fn link(self, link: impl Link + 'static, config: Config) -> Self;
}

impl BuilderExt for Builder {
    fn link(self, link: impl Link + 'static, config: Config) -> Builder {
        self.on_boot(move |kernel| {
            let network = kernel.network()?;
            network.link("lo")?.set_up()?;
            let name = kernel.add_link(link)?.interface()?.name()?;
            network.configure(&name, &config).map(drop)
        })
    }
}
