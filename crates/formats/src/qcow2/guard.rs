//! [`Guard`]: contains panics of the crate `imago` on damaged images.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use rustix::io::Errno;

/// A value that is written out when dropped. After a panic it is not, since its state is
/// unknown.
pub(super) struct Guard<T> {
    /// Locked for writing by calls that must run alone. `None` only while this is
    /// dropped.
    inner: RwLock<Option<T>>,
    /// Set after a panic: every later call is an I/O error.
    broken: AtomicBool,
}

impl<T> Guard<T> {
    pub(super) fn new(inner: T) -> Guard<T> {
        Guard {
            inner: RwLock::new(Some(inner)),
            broken: AtomicBool::new(false),
        }
    }

    /// Makes a call that may run concurrently with others.
    pub(super) fn shared<R>(&self, call: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        self.call(inner.as_ref(), call)
    }

    /// Makes a call that must run alone.
    pub(super) fn exclusive<R>(&self, call: impl FnOnce(&mut T) -> io::Result<R>) -> io::Result<R> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        self.call(inner.as_mut(), call)
    }

    fn call<T2, R>(
        &self,
        inner: Option<T2>,
        call: impl FnOnce(T2) -> io::Result<R>,
    ) -> io::Result<R> {
        let broken = self.broken.load(Ordering::Acquire);
        let Some(inner) = inner.filter(|_| !broken) else {
            return Err(Errno::IO.into());
        };
        match catch(|| call(inner)) {
            Some(result) => result.map_err(plain),
            None => {
                self.broken.store(true, Ordering::Release);
                Err(Errno::IO.into())
            }
        }
    }
}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        let inner = self.inner.get_mut().unwrap_or_else(PoisonError::into_inner);
        match *self.broken.get_mut() {
            true => std::mem::forget(inner.take()),
            false => {
                catch(|| drop(inner.take()));
            }
        }
    }
}

/// Calls a function; `None` if it panics.
pub(super) fn catch<R>(call: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

/// Reduces an error to an errno value, for the kernel.
fn plain(error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() {
        return error;
    }
    let errno = match error.kind() {
        io::ErrorKind::Unsupported => Errno::OPNOTSUPP,
        io::ErrorKind::StorageFull => Errno::NOSPC,
        io::ErrorKind::QuotaExceeded => Errno::DQUOT,
        _ => Errno::IO,
    };
    errno.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets its flag when dropped.
    struct Flag<'a>(&'a AtomicBool);

    impl Drop for Flag<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn panics(_: &Flag<'_>) -> io::Result<()> {
        panic!("as a damaged image might make it");
    }

    #[test]
    fn a_panic_is_an_io_error_and_the_last_call() {
        let dropped = AtomicBool::new(false);
        let guard = Guard::new(Flag(&dropped));
        guard.shared(|_| Ok(())).unwrap();
        let errno = |result: io::Result<()>| result.unwrap_err().raw_os_error();
        assert_eq!(errno(guard.shared(panics)), Some(5));
        assert_eq!(errno(guard.shared(|_| Ok(()))), Some(5));
        assert_eq!(errno(guard.exclusive(|_| Ok(()))), Some(5));
        drop(guard);
        assert!(!dropped.load(Ordering::Relaxed), "it was written out");
        drop(Guard::new(Flag(&dropped)));
        assert!(dropped.load(Ordering::Relaxed));
    }

    #[test]
    fn errors_keep_their_meaning() {
        let code = |kind| plain(io::Error::new(kind, "text")).raw_os_error();
        assert_eq!(code(io::ErrorKind::StorageFull), Some(28));
        assert_eq!(code(io::ErrorKind::Unsupported), Some(95));
        assert_eq!(code(io::ErrorKind::InvalidData), Some(5));
        assert_eq!(plain(Errno::FBIG.into()).raw_os_error(), Some(27));
    }
}
