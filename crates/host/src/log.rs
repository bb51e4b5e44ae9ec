//! [`Log`]: a kernel's log, its newest 256 KiB, and the listener that gets all of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many bytes are kept.
const CAPACITY: usize = 256 << 10;

/// Called with every piece of text as the kernel prints it.
///
/// The thread that runs the kernel calls it, and the kernel waits meanwhile. A call from
/// it into the same kernel fails.
pub type Listener = Box<dyn Fn(&[u8]) + Send + Sync>;

/// The newest text, and the number of bytes written in all.
#[derive(Default)]
struct KeptText {
    text: Vec<u8>,
    /// Bytes written so far.
    written: u64,
}

/// A kernel's log.
pub struct Log {
    kept: Mutex<KeptText>,
    listener: Option<Listener>,
}

impl Log {
    /// An empty log.
    pub fn new(listener: Option<Listener>) -> Log {
        Log {
            kept: Mutex::default(),
            listener,
        }
    }

    /// Appends `text`, dropping the oldest lines when there are too many.
    pub fn write(&self, text: &[u8]) {
        {
            let mut kept = self.kept();
            kept.written += text.len() as u64;
            let kept = &mut kept.text;
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

    /// The text that is kept. Bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        self.text_since(0)
    }

    /// Bytes written so far, for [`Log::text_since`].
    pub fn written(&self) -> u64 {
        self.kept().written
    }

    /// The kept text that was written after the first `mark` bytes.
    pub fn text_since(&self, mark: u64) -> String {
        let kept = self.kept();
        let new = kept.written.saturating_sub(mark);
        let start = (kept.text.len() as u64).saturating_sub(new);
        String::from_utf8_lossy(&kept.text[start as usize..]).into_owned()
    }

    fn kept(&self) -> MutexGuard<'_, KeptText> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_is_new() {
        let log = Log::new(None);
        log.write(b"one\n");
        let mark = log.written();
        assert_eq!(log.text_since(mark), "");
        log.write(b"two\n");
        assert_eq!(log.text_since(mark), "two\n");
        assert_eq!(log.text(), "one\ntwo\n");
        // What is dropped meanwhile is missing.
        log.write(&b"a line that fills\n".repeat(CAPACITY / 10));
        assert!(log.text().starts_with("a line"));
        assert_eq!(log.text_since(mark), log.text());
    }
}
