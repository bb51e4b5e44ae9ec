//! The kernel log: the newest text is kept, all of it can be listened to.

use std::sync::{Mutex, PoisonError};

/// Bytes that are kept.
const CAPACITY: usize = 256 << 10;

/// Gets every piece of text as the kernel prints it.
///
/// It is called by the thread that runs the kernel, which waits for it; a call
/// into the same kernel from here fails.
pub type Listener = Box<dyn Fn(&[u8]) + Send + Sync>;

/// A kernel's log.
pub struct Log {
    text: Mutex<Vec<u8>>,
    listener: Option<Listener>,
}

impl Log {
    /// An empty log.
    pub fn new(listener: Option<Listener>) -> Log {
        Log {
            text: Mutex::new(Vec::new()),
            listener,
        }
    }

    /// Appends `text`, dropping the oldest lines when there are too many.
    pub fn write(&self, text: &[u8]) {
        {
            let mut kept = self.text.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend_from_slice(text);
            if kept.len() > CAPACITY {
                let cut = kept.len() - CAPACITY / 2;
                let line = kept[cut..].iter().position(|&b| b == b'\n');
                kept.drain(..cut + line.map_or(0, |at| at + 1));
            }
        }
        if let Some(listener) = &self.listener {
            listener(text);
        }
    }

    /// What is kept. Bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        let kept = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).into_owned()
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}
