//! [`Unwritten`]: decides when to sync an image whose clock stands still
//! (`SOURCE_DATE_EPOCH`).

/// Counts written bytes. If too many are unsynced, the kernel slows writers down with
/// timed sleeps, which never end with a clock that stands still.
#[derive(Debug, Default)]
pub(crate) struct Unwritten(u64);

/// Unsynced bytes for which no kernel slows writers down.
const MOST_UNWRITTEN: u64 = 4 << 20;

impl Unwritten {
    /// Adds bytes; returns whether to sync now.
    pub(crate) fn add(&mut self, bytes: u64) -> bool {
        self.0 += bytes;
        let due = self.0 >= MOST_UNWRITTEN;
        if due {
            self.0 = 0;
        }
        due
    }
}
