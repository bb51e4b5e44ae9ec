//! [`Umask`]: the user's umask, which a copy applies itself, since the images' kernel has
//! none.

use rustix::fs::Mode;
use rustix::process::umask;

/// Sets the process's umask to zero, so that modes of new files are exact, and restores
/// it when dropped. It is the whole process's: other threads should make no files
/// meanwhile.
#[derive(Debug)]
pub struct Umask {
    /// The previous umask, which a copy applies.
    pub bits: u32,
}

impl Umask {
    /// Sets the umask to zero.
    pub fn take() -> Umask {
        Umask {
            bits: umask(Mode::empty()).as_raw_mode(),
        }
    }

    /// The current umask.
    pub fn get() -> u32 {
        Umask::take().bits
    }
}

impl Drop for Umask {
    fn drop(&mut self) {
        umask(Mode::from_raw_mode(self.bits));
    }
}
