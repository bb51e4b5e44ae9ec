//! What this crate adds to the types of [`drupe`].

use drupe::net::Namespace;
use drupe::{AttachedLink, Builder, Kernel, Link, Result};

use crate::{Config, Interface, Network};

/// What has a network: a kernel, a namespace.
pub trait NetworkExt {
    /// What arranges it: of a kernel, the network of the namespace that the
    /// calling thread is in, which is the kernel's first one outside of
    /// [`Namespace::run`].
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

/// The interface of a link.
pub trait AttachedLinkExt {
    /// The interface, to set up and to give addresses. It is looked for in the
    /// namespace that the calling thread is in, which must be the link's.
    fn interface(&self) -> Result<Interface>;
}

impl AttachedLinkExt for AttachedLink {
    fn interface(&self) -> Result<Interface> {
        Ok(self.kernel().network()?.link_by_index(self.index()))
    }
}

/// Links that a kernel has from its beginning.
pub trait BuilderExt {
    /// Adds a network link and configures its interface, by hand or by DHCP: the
    /// first one is `eth0`, the next `eth1`. With any link, `lo` is up too. The
    /// kernel has booted when they are.
    ///
    /// [`Kernel::add_link`] and [`Network::configure`] do it later, and tell more
    /// of it.
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
