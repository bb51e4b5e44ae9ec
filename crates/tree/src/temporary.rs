//! [`make_temporary`]: temporary names of files that will replace others.

use std::ffi::{OsStr, OsString};

/// Calls `make` with `.drupe-0`, then with the next numbers while `is_taken` says of its
/// error that the name is taken, by a running command or one that was killed.
///
/// # Errors
///
/// Other errors of `make`.
pub fn make_temporary<T, E>(
    is_taken: impl Fn(&E) -> bool,
    mut make: impl FnMut(&OsStr) -> Result<T, E>,
) -> Result<(OsString, T), E> {
    let mut number = 0u32;
    loop {
        let name = OsString::from(format!(".drupe-{number}"));
        match make(&name) {
            Err(error) if is_taken(&error) => number += 1,
            made => return Ok((name, made?)),
        }
    }
}
