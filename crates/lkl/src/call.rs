//! System calls: `lkl_syscall`, and the ones that the library makes itself.

use std::ffi::{CStr, c_int, c_long};

use drupe::{Cause, Kernel};

use crate::border::{Errno, Result};
use crate::error::errno;
use crate::{host_ops, state};

/// `AT_FDCWD`.
pub(crate) const HERE: c_int = libc::AT_FDCWD;

export! {
    fn lkl_syscall(no: c_long, params: *const c_long) -> c_long {
        let kernel = state::kernel()?;
        let number = usize::try_from(no).map_err(|_| Errno::of(libc::ENOSYS))?;
        let mut words = [0; 6];
        if !params.is_null() {
            // SAFETY: six words, as the header says; those that the call does not use may
            // have any value.
            words = unsafe { params.cast::<[usize; 6]>().read() };
        }
        // SAFETY: what the arguments point to is the caller's to answer for.
        Ok(unsafe { call(&kernel, number, words) }?.cast_signed() as c_long)
    }
}

/// Makes a system call.
///
/// # Safety
/// Memory that the arguments point to must be valid for what the call does with it.
pub(crate) unsafe fn call(kernel: &Kernel, number: usize, words: [usize; 6]) -> Result<usize> {
    // SAFETY: the caller's. No descriptor is owned by anybody but the program.
    let result = unsafe { kernel.syscall(number, words) };
    result.map_err(|error| {
        if let Cause::Dead(report) = error.cause() {
            host_ops::panic(report);
        }
        errno(&error)
    })
}

/// An argument of a system call.
pub(crate) trait Word {
    fn word(&self) -> usize;
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Word for $type {
            fn word(&self) -> usize {
                *self as usize
            }
        }
    )*};
}

numbers!(c_int, u32, u64, usize);

impl Word for &CStr {
    fn word(&self) -> usize {
        self.as_ptr().addr()
    }
}

impl<T> Word for &mut [T] {
    fn word(&self) -> usize {
        self.as_ptr().addr()
    }
}

impl<T> Word for &[T] {
    fn word(&self) -> usize {
        self.as_ptr().addr()
    }
}

/// A system call of the running kernel's: its number, and its arguments, which are numbers,
/// texts and slices whose lengths are arguments too.
macro_rules! sys {
    ($number:ident $(, $argument:expr)* $(,)?) => {
        match $crate::state::kernel() {
            Ok(kernel) => {
                let mut words = [0_usize; 6];
                let given = [$($crate::call::Word::word(&$argument)),*];
                words[..given.len()].copy_from_slice(&given);
                // SAFETY: the arguments are alive until the call returns, and as large as
                // the call is told.
                unsafe { $crate::call::call(&kernel, drupe::nr::$number, words) }
            }
            Err(errno) => Err(errno),
        }
    };
}
pub(crate) use sys;

/// A descriptor of the kernel's, closed when this goes.
pub(crate) struct Descriptor(pub(crate) c_int);

impl Descriptor {
    /// Opens a file.
    pub(crate) fn open(path: &CStr, flags: c_int) -> Result<Descriptor> {
        sys!(OPENAT, HERE, path, flags, 0).map(|fd| Descriptor(fd as c_int))
    }

    /// Reads once; the bytes read.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        let len = buffer.len();
        sys!(READ, self.0, buffer, len)
    }

    /// Writes once; the bytes written.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<usize> {
        sys!(WRITE, self.0, bytes, bytes.len())
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // Nothing was written that could be lost.
        let _ = sys!(CLOSE, self.0);
    }
}
