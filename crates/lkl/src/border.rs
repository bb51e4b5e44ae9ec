//! The border to C: functions of LKL's interface, from which no panic gets out.

use std::any::Any;
use std::ffi::{CStr, c_char, c_int, c_long};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A negative number of an error, as LKL's functions return it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) c_int);

pub(crate) type Result<T, E = Errno> = std::result::Result<T, E>;

impl Errno {
    /// Of a number of errno, which is positive.
    pub(crate) const fn of(errno: c_int) -> Errno {
        Errno(-errno)
    }

    /// Of an error of the host.
    pub(crate) fn host(error: &std::io::Error) -> Errno {
        Errno::of(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

/// What a function returns to C.
pub(crate) trait Returned {
    /// The result of a function that has failed.
    fn failed(errno: Errno) -> Self;
}

impl Returned for c_int {
    fn failed(errno: Errno) -> c_int {
        errno.0
    }
}

impl Returned for c_long {
    fn failed(errno: Errno) -> c_long {
        errno.0.into()
    }
}

impl<T> Returned for *mut T {
    fn failed(_: Errno) -> *mut T {
        std::ptr::null_mut()
    }
}

impl Returned for () {
    fn failed(_: Errno) {}
}

/// Runs a function of C's. A panic is a bug of the library: it is told, and is EIO. `errno`
/// stays as it was, on which programs rely: in LKL other threads make the host's calls.
pub(crate) fn guard<T: Returned>(name: &str, f: impl FnOnce() -> Result<T>) -> T {
    // SAFETY: the calling thread's errno.
    let errno = unsafe { libc::__errno_location().read() };
    let returned = unsaved(name, f);
    // SAFETY: as above.
    unsafe { libc::__errno_location().write(errno) };
    returned
}

fn unsaved<T: Returned>(name: &str, f: impl FnOnce() -> Result<T>) -> T {
    let result = catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        complain(&format!("{name}: a bug of liblkl: {}", message(&*panic)));
        Err(Errno::of(libc::EIO))
    });
    result.unwrap_or_else(T::failed)
}

fn message(panic: &dyn Any) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let string = panic.downcast_ref::<String>().map(String::as_str);
    text.or(string).unwrap_or("a panic")
}

/// Prints what LKL's interface has no other way to tell.
pub(crate) fn complain(text: &str) {
    // There is nobody to tell that standard error is closed.
    let _ = writeln!(std::io::stderr(), "liblkl: {text}");
}

/// A text of C's. NULL is EFAULT, as for a system call.
///
/// # Safety
/// `text` is NULL, or ends with a NUL and stays as it is for `'a`.
pub(crate) unsafe fn text<'a>(text: *const c_char) -> Result<&'a CStr> {
    match text.is_null() {
        true => Err(Errno::of(libc::EFAULT)),
        // SAFETY: the caller's.
        false => Ok(unsafe { CStr::from_ptr(text) }),
    }
}

/// The same as UTF-8, which names of interfaces and the like are; others are EINVAL.
///
/// # Safety
/// As for [`text`].
pub(crate) unsafe fn utf8<'a>(given: *const c_char) -> Result<&'a str> {
    // SAFETY: the caller's.
    let text = unsafe { text(given) }?;
    text.to_str().map_err(|_| Errno::of(libc::EINVAL))
}

/// Functions of C's, which return what they would in LKL, or fail with an [`Errno`].
macro_rules! export {
    ($(
        $(#[$meta:meta])*
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $returned:ty)? $body:block
    )*) => {$(
        $(#[$meta])*
        ///
        /// # Safety
        /// The arguments are as the headers say.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name($($argument: $type),*) $(-> $returned)? {
            $crate::border::guard(stringify!($name), || $body)
        }
    )*};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errno_stays() {
        let errno = || std::io::Error::last_os_error().raw_os_error();
        // SAFETY: this thread's errno, and a descriptor that cannot be.
        unsafe { libc::__errno_location().write(libc::EDOM) };
        guard::<c_int>("lkl_test", || {
            // SAFETY: there is no such descriptor.
            unsafe { libc::close(-1) };
            assert_eq!(errno(), Some(libc::EBADF));
            Ok(0)
        });
        assert_eq!(errno(), Some(libc::EDOM));
    }

    #[test]
    fn a_panic_is_an_error() {
        assert_eq!(
            guard::<c_int>("lkl_test", || panic!("number {}", 7)),
            -libc::EIO
        );
        assert!(guard::<*mut u8>("lkl_test", || panic!()).is_null());
        assert_eq!(guard::<c_long>("lkl_test", || Ok(7)), 7);
    }
}
