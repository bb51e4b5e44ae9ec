//! [`Umask`]: the user's file mode creation mask, which a copy applies itself: the
//! kernel of the images has none.

use rustix::fs::Mode;
use rustix::process::umask;

/// Holds the process's umask at zero, so that modes are what the program says; when it is
/// dropped, the umask is what it was. It is the whole process's: other threads should make
/// no files meanwhile.
#[derive(Debug)]
pub struct Umask {
    /// What the umask was, and a copy applies.
    pub bits: u32,
}

impl Umask {
    /// Sets the umask to zero.
    pub fn take() -> Umask {
        Umask {
            bits: umask(Mode::empty()).as_raw_mode(),
        }
    }

    /// What it is.
    pub fn get() -> u32 {
        Umask::take().bits
    }
}

impl Drop for Umask {
    fn drop(&mut self) {
        umask(Mode::from_raw_mode(self.bits));
    }
}
