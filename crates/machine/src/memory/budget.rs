//! How many of the mappings that a process may have are a kernel's.
//!
//! The host has a limit on their number (`vm.max_map_count`, 65,530 by default),
//! and beyond it refuses the program its own `mmap(2)`, too. So the kernels of a
//! process keep to half of it, together: who would exceed that lets go of what can
//! be mapped again (`mirror.rs`).

use crate::generation::generation;
use once_cell::race::OnceNonZeroUsize;
use std::num::NonZero;
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
    static BUDGET: OnceNonZeroUsize = OnceNonZeroUsize::new();
    let budget = BUDGET.get_or_init(|| {
        let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count");
        let limit = limit.ok().and_then(|text| text.trim().parse().ok());
        NonZero::new(limit.unwrap_or(DEFAULT_LIMIT) / 2).unwrap_or(NonZero::<usize>::MIN)
    });
    budget.get()
}

/// In a child of `fork(2)`, which has none of the kernels.
pub(super) fn forked() {
    USED.store(0, Relaxed);
}

/// The mappings of one kernel, counted; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Count {
    own: usize,
    /// Of all that share the budget.
    used: &'static AtomicUsize,
    /// Of the process whose mappings they are.
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

    /// It is `before` less and `after` more.
    pub(super) fn change(&mut self, before: usize, after: usize) {
        self.own = self.own + after - before;
        self.used.fetch_add(after, Relaxed);
        self.used.fetch_sub(before, Relaxed);
    }

    pub(super) fn get(&self) -> usize {
        self.own
    }

    /// Whether `more` are too many.
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
