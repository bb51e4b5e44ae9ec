//! [`Config`]: what a kernel is booted with.

use crate::memory::Ram;
use crate::snapshot::Snapshot;
use drupe_host::log::Listener;
use drupe_host::{Host, SystemHost};
use std::fmt;
use std::sync::Arc;

/// What a kernel is booted with.
pub struct Config {
    /// Bytes of memory, the image included. Default: 64 MiB.
    pub memory: usize,
    /// What that memory is made of. Default: [`Ram::HugePages`].
    pub ram: Ram,
    /// Added to the kernel command line
    /// (`Documentation/admin-guide/kernel-parameters.rst`).
    pub command_line: String,
    /// Gets every piece of the kernel log as it is printed, beside `host`.
    pub console: Option<Listener>,
    /// Clock, console and random source. Default: [`SystemHost`].
    pub host: Arc<dyn Host>,
    /// What the kernel starts from, if it fits: the memory size is the snapshot's,
    /// its memory no shared file, and nothing is added to the command line. Default:
    /// none, the kernel boots.
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
    /// The snapshot that a kernel with this can start from.
    pub(crate) fn fitting_snapshot(&self) -> Option<&'static Snapshot> {
        let plain = self.ram != Ram::SharedFile && self.command_line.is_empty();
        self.snapshot
            .filter(|snapshot| plain && snapshot.fits(self.memory))
    }
}
