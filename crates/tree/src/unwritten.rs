//! [`Unwritten`]: when to write out what was written on a clock that stands still.

/// Counts what is written on a clock that stands still: writers of more than a
/// part of the kernel's memory would be held back for a time.
#[derive(Debug, Default)]
pub(crate) struct Unwritten(u64);

/// Bytes that no kernel holds back.
const MOST_UNWRITTEN: u64 = 4 << 20;

impl Unwritten {
    /// So many bytes more; whether it is time to write them out.
    pub(crate) fn add(&mut self, bytes: u64) -> bool {
        self.0 += bytes;
        let due = self.0 >= MOST_UNWRITTEN;
        if due {
            self.0 = 0;
        }
        due
    }
}
