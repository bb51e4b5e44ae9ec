//! Limits how many of the process's memory mappings the kernels use.
//!
//! The host limits the mappings of a process (`vm.max_map_count`, 65,530 by default); at
//! the limit, the program's own `mmap(2)` fails too. So all kernels of a process together
//! use at most half of them. A kernel that would exceed that drops mappings that can be
//! made again (`mirror.rs`).

use crate::generation::generation;
use once_cell::race::OnceNonZeroUsize;
use std::num::NonZero;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// The assumed limit where the host's cannot be read.
const DEFAULT_LIMIT: usize = 65_530;

/// The number of mappings that a kernel may have in any case.
const LEAST: usize = 64;

/// The mappings of all kernels of the process. Relaxed: no other memory depends on it.
static USED: AtomicUsize = AtomicUsize::new(0);

/// Half of the host's limit; read once per process.
fn budget() -> usize {
    static BUDGET: OnceNonZeroUsize = OnceNonZeroUsize::new();
    let budget = BUDGET.get_or_init(|| {
        let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count");
        let limit = limit.ok().and_then(|text| text.trim().parse().ok());
        NonZero::new(limit.unwrap_or(DEFAULT_LIMIT) / 2).unwrap_or(NonZero::<usize>::MIN)
    });
    budget.get()
}

/// Called in a child of `fork(2)`, which has no kernel: sets the number to 0.
pub(super) fn forked() {
    USED.store(0, Relaxed);
}

/// The number of mappings of one kernel, subtracted from [`USED`] when dropped.
#[derive(Debug)]
pub(super) struct Count {
    own: usize,
    /// The total to which it is added.
    used: &'static AtomicUsize,
    /// The generation of the process that has the mappings.
    generation: u32,
}

impl Default for Count {
    fn default() -> Count {
        Count::of(&USED)
    }
}

impl Count {
    fn of(used: &'static AtomicUsize) -> Count {
        Count {
            own: 0,
            used,
            generation: generation(),
        }
    }

    /// Subtracts `before` and adds `after`.
    pub(super) fn change(&mut self, before: usize, after: usize) {
        self.own = self.own + after - before;
        self.used.fetch_add(after, Relaxed);
        self.used.fetch_sub(before, Relaxed);
    }

    pub(super) fn get(&self) -> usize {
        self.own
    }

    /// Whether `more` additional mappings would exceed the budget.
    pub(super) fn exceeds(&self, more: usize) -> bool {
        self.own + more > LEAST && self.used.load(Relaxed) + more > budget()
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        if self.generation == generation() {
            self.used.fetch_sub(self.own, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_given_back() {
        static TOTAL: AtomicUsize = AtomicUsize::new(0);
        let mut one = Count::of(&TOTAL);
        one.change(0, LEAST);
        one.change(LEAST, 10);
        assert_eq!(one.get(), 10);
        assert!(!one.exceeds(LEAST));
        let mut other = Count::of(&TOTAL);
        other.change(0, budget() - 10);
        assert!(one.exceeds(LEAST));
        assert!(!one.exceeds(LEAST - 10), "what every kernel has");
        drop(other);
        assert!(!one.exceeds(LEAST));
        drop(one);
        assert_eq!(TOTAL.load(Relaxed), 0);
    }
}
