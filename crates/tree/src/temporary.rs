//! [`make_temporary`]: the names that successors of files have until they are complete.

use std::ffi::{OsStr, OsString};

/// Makes something beside what it will replace, as `.drupe-0` or the first number that is
/// free. `is_taken`: the name has something already, which a command left that was
/// killed, or makes at this moment.
///
/// # Errors
///
/// Those of `make` that are not about a name that is taken.
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
