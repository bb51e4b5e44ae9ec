//! How many of the mappings that a process may have are a kernel's.
//!
//! The host has a limit on their number (`vm.max_map_count`, 65,530 by default),
//! and beyond it refuses the program its own `mmap(2)`, too. So the kernels of a
//! process keep to half of it, together: who would exceed that lets go of what can
//! be mapped again (`mirror.rs`).

use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// What the host's limit is where it does not say.
const DEFAULT_LIMIT: usize = 65_530;

/// Mappings that a kernel can have, whatever the others have.
const LEAST: usize = 64;

/// Of all kernels of the process. Relaxed: a number, nothing depends on its order.
static USED: AtomicUsize = AtomicUsize::new(0);

/// Half of what the host allows; looked up once per process.
fn budget() -> usize {
    static BUDGET: OnceLock<usize> = OnceLock::new();
    *BUDGET.get_or_init(|| {
        let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count");
        let limit = limit.ok().and_then(|text| text.trim().parse().ok());
        limit.unwrap_or(DEFAULT_LIMIT) / 2
    })
}

/// The mappings of one kernel, counted; given back when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Count(usize);

impl Count {
    /// It is `before` less and `after` more.
    pub(super) fn change(&mut self, before: usize, after: usize) {
        self.0 = self.0 + after - before;
        USED.fetch_add(after, Relaxed);
        USED.fetch_sub(before, Relaxed);
    }

    pub(super) fn get(&self) -> usize {
        self.0
    }

    /// Whether `more` are too many.
    pub(super) fn exceeds(&self, more: usize) -> bool {
        self.0 + more > LEAST && USED.load(Relaxed) + more > budget()
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        USED.fetch_sub(self.0, Relaxed);
    }
}
