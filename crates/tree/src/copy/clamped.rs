//! [`Clamped`]: notices times that the target's filesystem cannot have. The kernel takes
//! the nearest one that it can, without an error.

use std::ops::RangeInclusive;

use super::traits::Settable;
use crate::Progress;
use crate::error::Result;
use crate::time::Time;

/// Seconds of the times that each filesystem has: 1980 (vfat) to 2037 (ext3), less a day
/// for time zones. Others are compared with what became of them.
const ORDINARY: RangeInclusive<i64> = 315_619_200..=2_145_830_400;

/// How many seconds a time may be rounded by: two on vfat.
const ROUNDED: u64 = 2;

/// The files whose times of modification were changed.
#[derive(Debug)]
pub(crate) struct Clamped {
    /// Seconds that the target is known to have.
    kept: RangeInclusive<i64>,
    /// The current file is one.
    is_current: bool,
    count: u64,
    first: Option<String>,
}

impl Default for Clamped {
    fn default() -> Clamped {
        Clamped {
            kept: ORDINARY,
            is_current: false,
            count: 0,
            first: None,
        }
    }
}

impl Clamped {
    /// Looks what became of a time that was set.
    pub(crate) fn look(&mut self, file: &impl Settable, modified: Time) -> Result<()> {
        let wanted = modified.seconds;
        if self.kept.contains(&wanted) {
            return Ok(());
        }
        let found = file.modified()?.seconds;
        self.is_current = found.abs_diff(wanted) > ROUNDED;
        if !self.is_current {
            let (start, end) = (*self.kept.start(), *self.kept.end());
            self.kept = start.min(wanted)..=end.max(wanted);
        }
        Ok(())
    }

    /// Counts the current file if it is one.
    pub(crate) fn count(&mut self, shown: impl FnOnce() -> String) {
        if std::mem::take(&mut self.is_current) {
            self.count += 1;
            self.first.get_or_insert_with(shown);
        }
    }

    /// Reports the count as a warning.
    pub(crate) fn warn(&self, progress: &dyn Progress) {
        let Some(first) = &self.first else {
            return;
        };
        let files = match self.count {
            1 => format!("the modification time of {first}"),
            2 => format!("the modification times of {first} and of another file"),
            count => format!(
                "the modification times of {first} and of {} other files",
                count - 1
            ),
        };
        progress.warning(&format!(
            "the target's filesystem cannot store {files}: the nearest time that it can is set"
        ));
    }
}
