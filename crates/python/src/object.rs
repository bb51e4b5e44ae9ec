//! [`ObjectDisk`]: a Python object as a disk: what has `seek` and `read`, perhaps `write`.

use std::io::{self, IoSlice, IoSliceMut};
use std::sync::{Mutex, PoisonError};

use drupe::{BlockDevice, Geometry};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::gate;

/// A disk whose bytes a Python object has.
///
/// Its lock is taken first and the GIL second: a thread of Python that has the GIL never
/// waits for the lock.
pub(crate) struct ObjectDisk {
    object: Py<PyAny>,
    geometry: Geometry,
    /// Its position is one request's at a time.
    one: Mutex<()>,
}

impl ObjectDisk {
    pub(crate) fn new(
        object: &Bound<'_, PyAny>,
        read_only: bool,
        block_size: Option<u32>,
    ) -> PyResult<ObjectDisk> {
        const SEEK_END: i32 = 2;
        let size: u64 = object.call_method1("seek", (0, SEEK_END))?.extract()?;
        Ok(ObjectDisk {
            object: object.clone().unbind(),
            geometry: Geometry {
                size: size & !u64::from(block_size.unwrap_or(512).max(512) - 1),
                block_size: block_size.unwrap_or(512),
                read_only,
                discard: false,
            },
            one: Mutex::default(),
        })
    }

    /// Calls Python. An exception is an error of the disk; one without errno is shown.
    fn with<T>(&self, f: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T>) -> io::Result<T> {
        let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        let done = gate::python(|py| {
            let object = self.object.bind(py);
            f(object).map_err(|error| {
                let errno = error.value(py).getattr("errno");
                match errno.and_then(|errno| errno.extract::<i32>()) {
                    Ok(errno @ 1..4096) => errno,
                    _ => {
                        error.write_unraisable(py, Some(object));
                        libc::EIO
                    }
                }
            })
        });
        match done {
            Some(done) => done.map_err(io::Error::from_raw_os_error),
            // The interpreter ends.
            None => Err(io::Error::from_raw_os_error(libc::EIO)),
        }
    }
}

/// Fills `buffer` from where the object is.
fn fill(object: &Bound<'_, PyAny>, buffer: &mut [u8]) -> PyResult<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        let read = object.call_method1("read", (buffer.len() - filled,))?;
        let bytes: &[u8] = read.cast::<PyBytes>()?.as_bytes();
        if bytes.is_empty() || bytes.len() > buffer.len() - filled {
            let text = "the disk's read() returned another number of bytes than asked for";
            return Err(pyo3::exceptions::PyOSError::new_err((libc::EIO, text)));
        }
        buffer[filled..filled + bytes.len()].copy_from_slice(bytes);
        filled += bytes.len();
    }
    Ok(())
}

impl BlockDevice for ObjectDisk {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        self.with(|object| {
            object.call_method1("seek", (offset,))?;
            buffers
                .iter_mut()
                .try_for_each(|buffer| fill(object, buffer))
        })
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64, durable: bool) -> io::Result<()> {
        self.with(|object| {
            object.call_method1("seek", (offset,))?;
            for buffer in buffers {
                let mut rest = &**buffer;
                while !rest.is_empty() {
                    let bytes = PyBytes::new(object.py(), rest);
                    let written: usize = object.call_method1("write", (bytes,))?.extract()?;
                    rest = &rest[written.clamp(1, rest.len())..];
                }
            }
            Ok(())
        })?;
        match durable {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&self) -> io::Result<()> {
        self.with(|object| match object.hasattr("flush")? {
            true => object.call_method0("flush").map(drop),
            false => Ok(()),
        })
    }

    fn discard(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP))
    }

    fn write_zeroes(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP))
    }
}
