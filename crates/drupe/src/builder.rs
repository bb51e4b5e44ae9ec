//! [`Builder`]: options of a kernel, and booting it.

use std::fmt;
use std::sync::Arc;

use drupe_host::Host;
use drupe_machine::{Config, Machine, Ram};

use crate::error::{Error, Result};
use crate::kernel::{Kernel, KernelInner};

impl Kernel {
    /// Boots a kernel with the default settings.
    pub fn boot() -> Result<Kernel> {
        Kernel::builder().boot()
    }

    /// Options to set before booting.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

/// Options of a kernel that is to be booted. From [`Kernel::builder`].
#[must_use = "boot() starts the kernel"]
pub struct Builder {
    config: Config,
    first: Vec<Box<BootHook>>,
}

/// A function of [`Builder::on_boot`].
type BootHook = dyn FnOnce(&Kernel) -> Result<()> + Send + Sync;

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            config: Config {
                snapshot: drupe_snapshot::snapshot(),
                ..Config::default()
            },
            first: Vec::new(),
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Sets the kernel's memory in bytes, everything included. Default: 64 MiB, which
    /// suffice for images of any size and any number of files; more memory caches more of
    /// them. At least 24 MiB, most of which the kernel itself takes. A kernel that runs
    /// out of memory dies.
    pub fn memory(mut self, bytes: usize) -> Builder {
        self.config.memory = bytes;
        self
    }

    /// Sets the kind of that memory. Default: huge pages, which are fast. Programs with
    /// many kernels need less memory with [`Ram::SmallPages`].
    pub fn ram(mut self, ram: Ram) -> Builder {
        self.config.ram = ram;
        self
    }

    /// Calls `callback` with every piece of the kernel's log as it is printed. The
    /// callback must not call the kernel ([`Cause::Reentered`](crate::Cause::Reentered)).
    pub fn kernel_log(mut self, callback: impl Fn(&[u8]) + Send + Sync + 'static) -> Builder {
        self.config.console = Some(Box::new(callback));
        self
    }

    /// Sets the kernel's clock, console and random source. Default:
    /// [`SystemHost`](crate::SystemHost).
    pub fn host(mut self, host: impl Host) -> Builder {
        self.config.host = Arc::new(host);
        self
    }

    /// Adds `text` to the kernel command line
    /// (`Documentation/admin-guide/kernel-parameters.txt`).
    pub fn command_line(mut self, text: &str) -> Builder {
        self.config.command_line = text.to_owned();
        self
    }

    /// Boots the kernel from its image, not from a snapshot.
    ///
    /// By default a kernel starts from a snapshot, taken of a kernel that was booted when
    /// this program was built, unless [`memory`](Builder::memory) or
    /// [`command_line`](Builder::command_line) differ from that one's. Both ways give the
    /// same kernel; booting takes longer, and the first lines of the log have other
    /// times.
    pub fn cold_boot(mut self) -> Builder {
        self.config.snapshot = None;
        self
    }

    /// Adds a function that is called with the booted kernel before [`Builder::boot`]
    /// returns it. Functions are called in the order in which they were added; an error
    /// of one fails the boot.
    pub fn on_boot(
        mut self,
        first: impl FnOnce(&Kernel) -> Result<()> + Send + Sync + 'static,
    ) -> Builder {
        self.first.push(Box::new(first));
        self
    }

    /// Boots the kernel.
    pub fn boot(self) -> Result<Kernel> {
        let machine = Machine::boot(self.config).map_err(|e| Error::new("boot", e))?;
        let inner = KernelInner::new(machine).map_err(|e| Error::new("boot", e))?;
        let kernel = Kernel {
            inner: Arc::new(inner),
        };
        for first in self.first {
            first(&kernel)?;
        }
        Ok(kernel)
    }
}
