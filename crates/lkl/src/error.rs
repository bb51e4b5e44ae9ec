//! Errors: those of the library become LKL's numbers, and these become texts.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_int};
use std::sync::LazyLock;

use drupe::{Cause, Error};

use crate::border::{Errno, text};
use crate::host_ops;

/// The texts of all errors. Never freed: programs keep pointers to them.
static TEXTS: LazyLock<BTreeMap<c_int, CString>> = LazyLock::new(|| {
    let known = (1..4096).filter_map(|number| {
        let errno = nix::errno::Errno::from_raw(number);
        let text = match errno {
            nix::errno::Errno::UnknownErrno => return None,
            errno => errno.desc(),
        };
        Some((number, CString::new(text).unwrap_or_default()))
    });
    known
        .chain([
            (0, c"Success".to_owned()),
            (-1, c"Unknown error".to_owned()),
        ])
        .collect()
});

/// An error of the library's as one of LKL's.
pub(crate) fn errno(error: &Error) -> Errno {
    Errno::of(match error.cause() {
        Cause::Errno(errno) | Cause::Mount { errno, .. } | Cause::Netlink { errno, .. } => {
            errno.raw_os_error()
        }
        Cause::Dead(_) => libc::ENOTRECOVERABLE,
        Cause::Halted => libc::ENXIO,
        Cause::Reentered => libc::EDEADLK,
        Cause::TimedOut => libc::ETIME,
        Cause::Forked => libc::ECHILD,
        Cause::Host(error) => error.raw_os_error().unwrap_or(libc::EIO),
        _ => libc::EIO,
    })
}

export! {
    fn lkl_strerror(err: c_int) -> *mut c_char {
        let text = TEXTS.get(&err.saturating_abs());
        let unknown = || TEXTS.get(&-1);
        Ok(text.or_else(unknown).map_or(c"".as_ptr(), |text| text.as_ptr()).cast_mut())
    }

    fn lkl_perror(msg: *const c_char, err: c_int) {
        // SAFETY: a text of the caller's.
        let message = unsafe { text(msg) }?;
        // SAFETY: it takes any number, and returns a text.
        let meaning = unsafe { text(lkl_strerror(err)) }?;
        let mut line = message.to_bytes().to_vec();
        line.extend_from_slice(b": ");
        line.extend_from_slice(meaning.to_bytes());
        line.push(b'\n');
        host_ops::print(&line);
        Ok(())
    }
}
