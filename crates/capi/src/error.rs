//! What C asks of an error: `drupe_error_code` and its like.

use std::ffi::{c_char, c_int};

use crate::border;
use crate::failure::Failure;

/// The number of an error; 0 of NULL.
///
/// # Safety
/// `error` is NULL, or an error that was not freed.
#[unsafe(no_mangle)]
unsafe extern "C" fn drupe_error_code(error: *const Failure) -> c_int {
    // SAFETY: the caller's.
    unsafe { error.as_ref() }.map_or(0, Failure::code)
}

/// The message of an error; empty of NULL.
///
/// # Safety
/// As for `drupe_error_code`.
#[unsafe(no_mangle)]
unsafe extern "C" fn drupe_error_message(error: *const Failure) -> *const c_char {
    // SAFETY: the caller's.
    let error = unsafe { error.as_ref() };
    error.map_or(c"".as_ptr(), |error| error.message().as_ptr())
}

/// Frees an error.
///
/// # Safety
/// `error` is NULL, or an error that nobody uses any more.
#[unsafe(no_mangle)]
unsafe extern "C" fn drupe_error_free(error: *mut Failure) {
    // SAFETY: the caller's.
    unsafe { border::free(error) }
}
