//! [`Umask`]: the user's file mode creation mask, which the commands apply
//! themselves: the kernel of the images has none.

use rustix::fs::Mode;
use rustix::process::umask;

/// Holds the process's umask at zero, so that modes are what the program says;
/// dropped, it puts the user's back.
#[derive(Debug)]
pub(crate) struct Umask {
    pub(crate) bits: u32,
}

impl Umask {
    pub(crate) fn take() -> Umask {
        Umask {
            bits: umask(Mode::empty()).as_raw_mode(),
        }
    }

    /// What it is.
    pub(crate) fn get() -> u32 {
        Umask::take().bits
    }
}

impl Drop for Umask {
    fn drop(&mut self) {
        umask(Mode::from_raw_mode(self.bits));
    }
}
