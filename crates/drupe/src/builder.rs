//! [`Builder`]: how a kernel is to run, and its start.

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

    /// Settings to change before booting.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

/// How a kernel is to run. From [`Kernel::builder`].
#[must_use = "boot() starts the kernel"]
pub struct Builder {
    config: Config,
    first: Vec<Box<First>>,
}

/// What a kernel does before anybody has it.
type First = dyn FnOnce(&Kernel) -> Result<()> + Send + Sync;

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
    /// Bytes of memory, everything included. At least 24 MiB, of which the kernel
    /// itself takes most; 64 MiB do for images of any size and any number of
    /// files, more cache more of them. Without enough, the kernel dies.
    pub fn memory(mut self, bytes: usize) -> Builder {
        self.config.memory = bytes;
        self
    }

    /// What that memory is made of: huge pages by default, which is fast; programs
    /// with many kernels take less memory with [`Ram::SmallPages`].
    pub fn ram(mut self, ram: Ram) -> Builder {
        self.config.ram = ram;
        self
    }

    /// Gets every piece of the kernel's log as it is printed. It must not call
    /// the kernel ([`Cause::Reentered`](crate::Cause::Reentered)).
    pub fn kernel_log(mut self, callback: impl Fn(&[u8]) + Send + Sync + 'static) -> Builder {
        self.config.console = Some(Box::new(callback));
        self
    }

    /// The program's own clock, console and random source, instead of
    /// [`SystemHost`](crate::SystemHost).
    pub fn host(mut self, host: impl Host) -> Builder {
        self.config.host = Arc::new(host);
        self
    }

    /// Added to the kernel command line
    /// (`Documentation/admin-guide/kernel-parameters.txt`).
    pub fn command_line(mut self, text: &str) -> Builder {
        self.config.command_line = text.to_owned();
        self
    }

    /// Boots the kernel from its image, as a machine that is switched on does.
    ///
    /// Otherwise it starts from a snapshot of a kernel that was booted when this
    /// program was built, unless [`memory`](Builder::memory) or
    /// [`command_line`](Builder::command_line) ask for another kernel than that
    /// was. There is no difference but for the time that it takes, and the times
    /// in the first lines of the log.
    pub fn cold_boot(mut self) -> Builder {
        self.config.snapshot = None;
        self
    }

    /// Does this with the kernel that has booted, before [`Builder::boot`]
    /// returns it. Several are done in their order; an error of one is that of
    /// booting.
    pub fn on_boot(
        mut self,
        first: impl FnOnce(&Kernel) -> Result<()> + Send + Sync + 'static,
    ) -> Builder {
        self.first.push(Box::new(first));
        self
    }

    /// Boots it.
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
