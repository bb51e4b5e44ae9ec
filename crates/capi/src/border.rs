//! The border between C and Rust: arguments become Rust's, results and errors become C's,
//! and no panic crosses.
//!
//! `unsafe` that only trusts the caller to keep what `drupe.h` asks of him is here, in
//! [`Argument`] and [`Out`], and not in each function.

use std::any::Any;
use std::cell::Cell;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr::NonNull;
use std::time::Instant;

use crate::failure::{Failure, Result};

/// Where a function leaves its error: NULL if the caller does not want it.
pub(crate) type ErrorOut = *mut *mut Failure;

thread_local! {
    /// When calls of this thread are to be over (`drupe_deadline_set`).
    pub(crate) static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// What C passes to a function, and Rust gets.
pub(crate) trait Argument: Sized {
    /// As C passes it.
    type C;

    /// # Safety
    /// `value` is valid for as long as the call lasts, as `drupe.h` says of its argument
    /// `name`; only NULL is checked.
    unsafe fn from_c(value: Self::C, name: &'static str) -> Result<Self>;
}

macro_rules! as_they_are {
    ($($type:ty),*) => {$(
        impl Argument for $type {
            type C = $type;

            unsafe fn from_c(value: $type, _: &'static str) -> Result<$type> {
                Ok(value)
            }
        }
    )*};
}

as_they_are!(c_int, u32, i64, u64, usize, *const c_void, *mut c_void);

/// A type that C has pointers to: an opaque one.
pub(crate) trait Handle {}

/// `drupe.h` promises that any thread may use a handle, several at the same time too.
pub(crate) const fn any_thread<T: Send + Sync>() {}

impl<T: Handle> Argument for &T {
    type C = *const T;

    unsafe fn from_c(value: *const T, name: &'static str) -> Result<Self> {
        // SAFETY: NULL, or a handle that is not freed before the call returns.
        unsafe { value.as_ref() }.ok_or_else(|| Failure::null(name))
    }
}

impl<T: Handle> Argument for Option<&T> {
    type C = *const T;

    unsafe fn from_c(value: *const T, _: &'static str) -> Result<Self> {
        // SAFETY: NULL, or a handle that is not freed before the call returns.
        Ok(unsafe { value.as_ref() })
    }
}

/// A handle that the call takes: it is freed in any case.
pub(crate) struct Owned<T>(pub(crate) T);

impl<T: Handle> Argument for Owned<T> {
    type C = *mut T;

    unsafe fn from_c(value: *mut T, name: &'static str) -> Result<Self> {
        match value.is_null() {
            true => Err(Failure::null(name)),
            // SAFETY: a handle, made by `handle`, that nobody uses any more.
            false => Ok(Owned(*unsafe { Box::from_raw(value) })),
        }
    }
}

impl Argument for &CStr {
    type C = *const c_char;

    unsafe fn from_c(value: *const c_char, name: &'static str) -> Result<Self> {
        match value.is_null() {
            true => Err(Failure::null(name)),
            // SAFETY: a string with a NUL at its end.
            false => Ok(unsafe { CStr::from_ptr(value) }),
        }
    }
}

impl Argument for &Path {
    type C = *const c_char;

    unsafe fn from_c(value: *const c_char, name: &'static str) -> Result<Self> {
        // SAFETY: the caller's.
        let text = unsafe { <&CStr>::from_c(value, name) }?;
        Ok(Path::new(OsStr::from_bytes(text.to_bytes())))
    }
}

impl Argument for &str {
    type C = *const c_char;

    unsafe fn from_c(value: *const c_char, name: &'static str) -> Result<Self> {
        // SAFETY: the caller's.
        let text = unsafe { <&CStr>::from_c(value, name) }?;
        utf8(text, name)
    }
}

impl Argument for Option<&str> {
    type C = *const c_char;

    unsafe fn from_c(value: *const c_char, name: &'static str) -> Result<Self> {
        match value.is_null() {
            true => Ok(None),
            // SAFETY: the caller's.
            false => unsafe { <&str>::from_c(value, name) }.map(Some),
        }
    }
}

fn utf8<'a>(text: &'a CStr, name: &'static str) -> Result<&'a str> {
    text.to_str()
        .map_err(|_| Failure::argument(format!("`{name}` is not UTF-8")))
}

/// The text of a member of an options structure; NULL is `None`.
///
/// # Safety
/// `value` is NULL or a string with a NUL at its end, and stays so for `'a`.
pub(crate) unsafe fn member<'a>(
    value: *const c_char,
    name: &'static str,
) -> Result<Option<&'a str>> {
    // SAFETY: the caller's.
    unsafe { Option::<&str>::from_c(value, name) }
}

/// The bytes that a call reads.
///
/// # Safety
/// There are `len` bytes at `start`, and nobody changes them during `'a`; or `start` is
/// NULL.
pub(crate) unsafe fn bytes<'a>(
    start: *const c_void,
    len: usize,
    name: &'static str,
) -> Result<&'a [u8]> {
    match (start.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Failure::null(name)),
        (false, len) if len > isize::MAX as usize => Err(too_long(name)),
        // SAFETY: the caller's; bytes of C's have no invalid values.
        (false, len) => Ok(unsafe { std::slice::from_raw_parts(start.cast(), len) }),
    }
}

/// The bytes that a call fills.
///
/// # Safety
/// There are `len` bytes at `start`, and nobody else uses them during `'a`; or `start` is
/// NULL.
pub(crate) unsafe fn bytes_mut<'a>(
    start: *mut c_void,
    len: usize,
    name: &'static str,
) -> Result<&'a mut [u8]> {
    match (start.is_null(), len) {
        (_, 0) => Ok(&mut []),
        (true, _) => Err(Failure::null(name)),
        (false, len) if len > isize::MAX as usize => Err(too_long(name)),
        // SAFETY: the caller's; bytes of C's have no invalid values.
        (false, len) => Ok(unsafe { std::slice::from_raw_parts_mut(start.cast(), len) }),
    }
}

fn too_long(name: &'static str) -> Failure {
    Failure::argument(format!("the length of `{name}` is that of no object"))
}

/// Where a result goes, when there is one.
///
/// # Invariants
/// A `T` can be written there, while the call lasts.
pub(crate) struct Out<T>(NonNull<T>);

impl<T> Argument for Out<T> {
    type C = *mut T;

    unsafe fn from_c(value: *mut T, name: &'static str) -> Result<Self> {
        // INVARIANT: a pointer to a variable of the caller's.
        NonNull::new(value)
            .map(Out)
            .ok_or_else(|| Failure::null(name))
    }
}

impl<T> Out<T> {
    pub(crate) fn put(self, value: T) {
        // SAFETY: the type's invariant.
        unsafe { self.0.write(value) }
    }
}

impl<T> Argument for Option<Out<T>> {
    type C = *mut T;

    unsafe fn from_c(value: *mut T, _: &'static str) -> Result<Self> {
        // INVARIANT: a pointer to a variable of the caller's.
        Ok(NonNull::new(value).map(Out))
    }
}

/// A structure of options, whose first member is its size in bytes.
///
/// # Safety
/// The type is `repr(C)`, all its bytes may be zero, and its first member is a `usize`.
pub(crate) unsafe trait Options: Copy {}

/// Options as the caller has set them; NULL: all zero.
pub(crate) struct Given<T>(pub(crate) T);

impl<T: Options> Argument for Given<T> {
    type C = *const T;

    unsafe fn from_c(value: *const T, name: &'static str) -> Result<Self> {
        let room = size_of::<T>();
        // SAFETY: all bytes of such a type may be zero.
        let mut options: T = unsafe { std::mem::zeroed() };
        if value.is_null() {
            return Ok(Given(options));
        }
        // SAFETY: the first member is the size of the whole, which is there.
        let size = unsafe { value.cast::<usize>().read() };
        if size < size_of::<usize>() || size > 4096 {
            let message = format!("`{name}`: its size is {size}; DRUPE_INIT sets it");
            return Err(Failure::argument(message));
        }
        let all: *const u8 = value.cast();
        // SAFETY: `size` bytes are there.
        let beyond = unsafe { std::slice::from_raw_parts(all, size) };
        if beyond.iter().skip(room).any(|&byte| byte != 0) {
            let message = format!(
                "`{name}` has options that this library does not know: \
                 the program was compiled with a newer drupe.h"
            );
            return Err(Failure::argument(message));
        }
        // SAFETY: both have so many bytes; what an older header does not have stays zero.
        unsafe {
            (&raw mut options)
                .cast::<u8>()
                .copy_from(all, size.min(room))
        };
        Ok(Given(options))
    }
}

/// Refuses bits that have no meaning.
pub(crate) fn check_flags(flags: u32, known: u32) -> Result<()> {
    match flags & !known {
        0 => Ok(()),
        unknown => Err(Failure::argument(format!(
            "flags {unknown:#x} have no meaning here, where {known:#x} are possible"
        ))),
    }
}

/// Memory for C, which `drupe_free` frees: the bytes, and a NUL behind them.
pub(crate) fn c_memory(bytes: &[u8]) -> Result<*mut c_char> {
    // SAFETY: any size will do.
    let memory: *mut u8 = unsafe { libc::malloc(bytes.len() + 1) }.cast();
    if memory.is_null() {
        return Err(Failure::errno(libc::ENOMEM, "malloc"));
    }
    // SAFETY: there is room for one byte more.
    unsafe {
        memory.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        memory.add(bytes.len()).write(0);
    }
    Ok(memory.cast())
}

/// What C gave for a callback of its own.
#[derive(Clone, Copy)]
pub(crate) struct UserData(pub(crate) *mut c_void);

// SAFETY: it is not used here, and callbacks are documented to run in any thread.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    pub(crate) fn get(self) -> *mut c_void {
        self.0
    }
}

/// Runs a function with its thread's deadline, and makes an error of a panic.
fn guard<T>(name: &'static str, f: impl FnOnce() -> Result<T>) -> Result<T> {
    let call = || match DEADLINE.get() {
        Some(deadline) => drupe::with_deadline(deadline, f),
        None => f(),
    };
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|panic| Err(panicked(name, &*panic)))
        .map_err(|failure| failure.of(name))
}

fn panicked(name: &'static str, panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(|text| &text[..]));
    Failure::panic(name, text.unwrap_or("a panic"))
}

/// # Safety
/// `error` is NULL, or a pointer can be written there.
unsafe fn hand_over(error: ErrorOut, failure: Failure) {
    if !error.is_null() {
        // SAFETY: the caller's.
        unsafe { error.write(Box::into_raw(Box::new(failure))) }
    }
}

/// A function that returns 0, or -1 and an error.
///
/// # Safety
/// `error` is NULL, or a pointer can be written there.
pub(crate) unsafe fn status(
    name: &'static str,
    error: ErrorOut,
    f: impl FnOnce() -> Result<()>,
) -> c_int {
    // SAFETY: the caller's.
    unsafe { number(name, error, || f().map(|()| 0)) }
}

/// A function that returns a number, or -1 and an error.
///
/// # Safety
/// `error` is NULL, or a pointer can be written there.
pub(crate) unsafe fn number(
    name: &'static str,
    error: ErrorOut,
    f: impl FnOnce() -> Result<c_int>,
) -> c_int {
    match guard(name, f) {
        Ok(number) => number,
        Err(failure) => {
            // SAFETY: the caller's.
            unsafe { hand_over(error, failure) };
            -1
        }
    }
}

/// A function that returns a handle, or NULL and an error.
///
/// # Safety
/// `error` is NULL, or a pointer can be written there.
pub(crate) unsafe fn handle<T: Handle>(
    name: &'static str,
    error: ErrorOut,
    f: impl FnOnce() -> Result<T>,
) -> *mut T {
    match guard(name, || f().map(Box::new)) {
        Ok(handle) => Box::into_raw(handle),
        Err(failure) => {
            // SAFETY: the caller's.
            unsafe { hand_over(error, failure) };
            std::ptr::null_mut()
        }
    }
}

/// Frees a handle.
///
/// # Safety
/// `value` is NULL, or a handle of this library's that nobody uses or frees any more.
pub(crate) unsafe fn free<T>(value: *mut T) {
    if value.is_null() {
        return;
    }
    // SAFETY: made by `handle`, and freed once.
    let value = unsafe { Box::from_raw(value) };
    // What cannot be told is lost: C has functions that tell.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(value)));
}

/// Functions of C: their arguments by name, and what is returned: `status` (0 or -1),
/// `number` (or -1), `handle<T>` (or NULL). The last argument is always where the error
/// goes.
macro_rules! export {
    ($(
        $(#[$meta:meta])*
        fn $name:ident($($argument:ident: $type:ty),* $(,)?)
            -> $kind:ident $(<$handle:ty>)? $body:block
    )*) => {$(
        $(#[$meta])*
        ///
        /// # Safety
        /// The arguments are as `drupe.h` says.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            $($argument: <$type as $crate::border::Argument>::C,)*
            error: $crate::border::ErrorOut,
        ) -> export!(@$kind $($handle)?) {
            let call = || {
                $(
                    // SAFETY: the caller keeps what `drupe.h` asks of him: what he passes
                    // is valid until the call returns. NULL is found out.
                    let $argument = unsafe {
                        <$type as $crate::border::Argument>::from_c(
                            $argument,
                            stringify!($argument),
                        )
                    }?;
                )*
                $body
            };
            // SAFETY: `error` is NULL or points to a variable, as `drupe.h` says.
            unsafe { $crate::border::$kind(stringify!($name), error, call) }
        }
    )*};
    (@status) => { std::ffi::c_int };
    (@number) => { std::ffi::c_int };
    (@handle $handle:ty) => { *mut $handle };
}

/// Types that C has handles to, and the functions that free them.
macro_rules! handles {
    ($($type:ty => $free:ident;)*) => {$(
        impl $crate::border::Handle for $type {}

        const _: () = $crate::border::any_thread::<$type>();

        /// Frees a handle.
        ///
        /// # Safety
        /// It is NULL, or a handle that nobody uses any more.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $free(value: *mut $type) {
            // SAFETY: the caller's.
            unsafe { $crate::border::free(value) }
        }
    )*};
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    /// The message of an error that a function has left.
    fn message(error: *mut Failure) -> String {
        // SAFETY: an error that was just handed over.
        let error = unsafe { Box::from_raw(error) };
        format!("{error:?}")
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let mut error = ptr::null_mut();
        // SAFETY: there is room for an error.
        let status = unsafe { status("drupe_test", &mut error, || panic!("number {}", 7)) };
        assert_eq!(status, -1);
        let message = message(error);
        assert!(message.contains("drupe_test"), "{message}");
        assert!(message.contains("number 7"), "{message}");
        // SAFETY: nobody wants the error.
        unsafe { number("drupe_test", ptr::null_mut(), || panic!()) };
    }

    #[test]
    fn a_panic_of_a_destructor_ends_nothing() {
        struct Panics;
        impl Drop for Panics {
            fn drop(&mut self) {
                panic!("in a destructor");
            }
        }
        // SAFETY: it was made by a box.
        unsafe { free(Box::into_raw(Box::new(Panics))) };
    }

    #[test]
    fn lengths_without_bytes_are_none() {
        // SAFETY: nothing is there, and nothing is looked at.
        unsafe {
            assert_eq!(bytes(ptr::null(), 0, "x").expect("none"), b"");
            assert!(bytes(ptr::null(), 1, "x").is_err());
            assert!(bytes(ptr::dangling(), usize::MAX, "x").is_err());
            assert!(bytes_mut(ptr::dangling_mut(), usize::MAX, "x").is_err());
        }
    }
}
