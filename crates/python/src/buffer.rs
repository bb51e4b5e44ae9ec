//! Memory of Python's objects, read and written without the GIL, where it is.

use std::slice;

use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyBufferError, PyMemoryError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Bytes that may go into a closure without the GIL.
///
/// # Invariants
/// `len` bytes at `start` stay where they are as long as what they were taken of:
/// a [`Buffer`] or the object of [`fill_bytes`].
#[derive(Clone, Copy)]
pub(crate) struct Bytes {
    start: *mut u8,
    len: usize,
}

// SAFETY: no thread owns memory; see `get` and `get_mut` for who may use it.
unsafe impl Send for Bytes {}
// SAFETY: as above.
unsafe impl Sync for Bytes {}

impl Bytes {
    /// The bytes.
    ///
    /// # Safety
    /// What they were taken of is alive. Other threads of Python may write to them at the
    /// same time, as with any function that lets go of the GIL: then they are read as any
    /// mixture, by a system call, and by nothing that decides on them.
    pub(crate) unsafe fn get<'a>(self) -> &'a [u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: the invariant, and the caller's.
        unsafe { slice::from_raw_parts(self.start, self.len) }
    }

    /// The bytes, to be filled.
    ///
    /// # Safety
    /// As for [`Bytes::get`]; and the buffer was asked for to be written to.
    pub(crate) unsafe fn get_mut<'a>(self) -> &'a mut [u8] {
        if self.len == 0 {
            return &mut [];
        }
        // SAFETY: the invariant, and the caller's.
        unsafe { slice::from_raw_parts_mut(self.start, self.len) }
    }
}

/// The memory of an object, in one piece, held where it is.
pub(crate) struct Buffer {
    buffer: PyUntypedBuffer,
}

impl Buffer {
    /// To be read.
    pub(crate) fn read(object: &Bound<'_, PyAny>) -> PyResult<Buffer> {
        let buffer = PyUntypedBuffer::get(object)?;
        match buffer.is_c_contiguous() {
            true => Ok(Buffer { buffer }),
            false => Err(PyBufferError::new_err("the buffer is not in one piece")),
        }
    }

    /// To be filled.
    pub(crate) fn write(object: &Bound<'_, PyAny>) -> PyResult<Buffer> {
        let buffer = Buffer::read(object)?;
        match buffer.buffer.readonly() {
            false => Ok(buffer),
            true => Err(PyBufferError::new_err("the buffer is read-only")),
        }
    }

    pub(crate) fn bytes(&self) -> Bytes {
        // INVARIANT: an exported buffer is not moved before it is released.
        Bytes {
            start: self.buffer.buf_ptr().cast(),
            len: self.buffer.len_bytes(),
        }
    }
}

/// A `bytes` object of `len` bytes that `fill` writes, which says how many they are; no
/// zeroes are written first. Bytes that it does not fill are cut off.
pub(crate) fn fill_bytes<'py>(
    py: Python<'py>,
    len: usize,
    fill: impl FnOnce(Bytes) -> PyResult<usize>,
) -> PyResult<Bound<'py, PyBytes>> {
    let wanted = ffi::Py_ssize_t::try_from(len);
    let wanted = wanted.map_err(|_| PyMemoryError::new_err("too many bytes"))?;
    // SAFETY: NULL asks for an object whose bytes are not set; the result is a new
    // reference, or NULL with an exception.
    let object = unsafe {
        let object = ffi::PyBytes_FromStringAndSize(std::ptr::null(), wanted);
        Bound::from_owned_ptr_or_err(py, object)?
    };
    // SAFETY: it is a `bytes` object.
    let start = unsafe { ffi::PyBytes_AsString(object.as_ptr()) };
    // INVARIANT: the memory of a `bytes` object stays where it is; nobody else has it yet.
    let room = Bytes {
        start: start.cast(),
        len,
    };
    let filled = fill(room)?;
    if filled < len {
        // SAFETY: `filled` of them have been written.
        let bytes = unsafe { room.get() };
        return Ok(PyBytes::new(py, &bytes[..filled]));
    }
    Ok(object.cast_into::<PyBytes>()?)
}
