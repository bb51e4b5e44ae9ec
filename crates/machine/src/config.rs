//! [`Config`]: options of a kernel: memory, command line, host, snapshot.

use crate::memory::Ram;
use crate::snapshot::Snapshot;
use drupe_host::log::Listener;
use drupe_host::{Host, SystemHost};
use std::fmt;
use std::sync::Arc;

/// Options of a kernel that is booted.
pub struct Config {
    /// Bytes of memory, the image included. Default: 64 MiB.
    pub memory: usize,
    /// The kind of that memory. Default: [`Ram::HugePages`].
    pub ram: Ram,
    /// Added to the kernel command line
    /// (`Documentation/admin-guide/kernel-parameters.rst`).
    pub command_line: String,
    /// Called with every piece of the kernel log as it is printed, besides
    /// [`Host::console`].
    pub console: Option<Listener>,
    /// Clock, console and random source. Default: [`SystemHost`].
    pub host: Arc<dyn Host>,
    /// The snapshot to start from, if it fits: same memory size, not [`Ram::SharedFile`],
    /// and an empty `command_line`. Default: none, the kernel boots.
    pub snapshot: Option<&'static Snapshot>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("memory", &self.memory)
            .field("ram", &self.ram)
            .field("command_line", &self.command_line)
            .field("snapshot", &self.snapshot.is_some())
            .finish_non_exhaustive()
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            memory: 64 << 20,
            ram: Ram::default(),
            command_line: String::new(),
            console: None,
            host: Arc::new(SystemHost),
            snapshot: None,
        }
    }
}

impl Config {
    /// The snapshot, if a kernel with these options can start from it.
    pub(crate) fn fitting_snapshot(&self) -> Option<&'static Snapshot> {
        let plain = self.ram != Ram::SharedFile && self.command_line.is_empty();
        self.snapshot
            .filter(|snapshot| plain && snapshot.fits(self.memory))
    }
}
