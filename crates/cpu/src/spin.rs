//! How long to spin before sleeping: as long as it has paid lately.

use crate::sync::{AtomicU32, Ordering::Relaxed, spin_loop};

/// Never give up spinning for good: this many looks find out that it pays again.
const MIN: u32 = 8;

/// A limit that follows what is waited for: up when it comes while spinning,
/// down when it does not.
///
/// Any thread changes the limit, with Relaxed: a lost update costs nothing but
/// a few looks.
#[derive(Debug)]
pub struct Spin {
    limit: AtomicU32,
    max: u32,
}

impl Spin {
    /// Spins for at most `max` looks; 0: never (a host with one processor).
    pub fn new(max: u32) -> Spin {
        Spin {
            limit: AtomicU32::new(max),
            max,
        }
    }

    /// Looks until `look` finds something, or spinning does not pay.
    pub fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        if self.max == 0 {
            return look();
        }
        let limit = self.limit.load(Relaxed);
        for _ in 0..limit {
            if let Some(found) = look() {
                let more = (limit + limit / 4 + 1).min(self.max);
                self.limit.store(more, Relaxed);
                return Some(found);
            }
            spin_loop();
        }
        self.limit
            .store((limit - limit / 8).max(MIN.min(self.max)), Relaxed);
        None
    }
}
