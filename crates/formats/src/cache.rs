//! [`Cache`]: a bounded cache of parts of tables and of decompressed data.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A bounded cache, which is cleared when it is full. For sequential reads that is as
/// good as a better policy.
pub(crate) struct Cache<T: ?Sized> {
    entries: Mutex<HashMap<u64, Arc<T>>>,
    most: usize,
}

impl<T: ?Sized> Cache<T> {
    /// A cache of `most` entries.
    pub(crate) fn new(most: usize) -> Cache<T> {
        Cache {
            entries: Mutex::default(),
            most,
        }
    }

    /// The entry `key`, which is loaded if it is not cached. Threads do not wait for each
    /// other, and may load the same entry.
    pub(crate) fn get(
        &self,
        key: u64,
        load: impl FnOnce() -> io::Result<Arc<T>>,
    ) -> io::Result<Arc<T>> {
        if let Some(entry) = self.entries().get(&key) {
            return Ok(Arc::clone(entry));
        }
        let entry = load()?;
        let mut entries = self.entries();
        if entries.len() >= self.most {
            entries.clear();
        }
        entries.insert(key, Arc::clone(&entry));
        Ok(entry)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<u64, Arc<T>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_once_and_forgets_what_is_too_much() {
        let cache = Cache::new(2);
        let get = |key, value| *cache.get(key, || Ok(Arc::new(value))).unwrap();
        assert_eq!((get(1, 10), get(2, 20)), (10, 20));
        assert_eq!((get(1, 11), get(2, 21)), (10, 20));
        assert_eq!((get(3, 30), get(1, 12)), (30, 12));
        let failed = cache.get(4, || Err(io::ErrorKind::Other.into()));
        assert!(failed.is_err());
        assert_eq!(get(4, 40), 40);
    }
}
