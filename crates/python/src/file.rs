//! `File`: an open file, without a buffer of its own: `drupe.RawFile` is the Python class
//! over it.

use std::fs::Permissions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::buffer::{Buffer, fill_bytes};
use crate::error::{of_io, value};
use crate::gate::call;
use crate::handle::{Handle, Held};
use crate::stat::{Stat, stat};

/// Bytes that are read or written in one call at most: between two, signals are looked
/// for.
const CHUNK: usize = 32 << 20;

/// An open file.
#[pyclass(frozen, module = "drupe._drupe")]
pub(crate) struct File(Handle<drupe::File>);

impl File {
    pub(crate) fn new(file: drupe::File) -> File {
        File(Handle::new(file))
    }

    pub(crate) fn get(&self) -> PyResult<Held<drupe::File>> {
        self.0
            .get()
            .ok_or_else(|| value("I/O operation on closed file"))
    }
}

#[pymethods]
impl File {
    fn readinto(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<usize> {
        let file = self.get()?;
        let buffer = Buffer::write(buffer)?;
        let bytes = buffer.bytes();
        call(py, || {
            // SAFETY: `buffer` lives, and was asked for to be written to.
            let bytes = unsafe { bytes.get_mut() };
            let len = bytes.len().min(CHUNK);
            let read = (&*file).read(&mut bytes[..len]);
            read.map_err(|error| of_io("read", error))
        })
    }

    /// Reads at an offset into a buffer, as much as there is.
    fn pread_into(
        &self,
        py: Python<'_>,
        buffer: &Bound<'_, PyAny>,
        offset: u64,
    ) -> PyResult<usize> {
        let file = self.get()?;
        let buffer = Buffer::write(buffer)?;
        let bytes = buffer.bytes();
        call(py, || {
            // SAFETY: as in `readinto`.
            let bytes = unsafe { bytes.get_mut() };
            let len = bytes.len().min(CHUNK);
            file.read_at(&mut bytes[..len], offset)
        })
    }

    /// The rest of it, from its position on.
    pub(crate) fn readall<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let file = self.get()?;
        let left = call(py, || {
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                return Ok(0);
            }
            let at = (&*file).stream_position();
            let at = at.map_err(|error| of_io("seek", error))?;
            Ok(metadata.len().saturating_sub(at))
        })?;
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let start = fill_bytes(py, left, |room| {
            let mut filled = 0;
            loop {
                let read = call(py, || {
                    // SAFETY: `fill_bytes` holds it, and nobody else has it.
                    let bytes = unsafe { room.get_mut() };
                    let end = bytes.len().min(filled + CHUNK);
                    let read = (&*file).read(&mut bytes[filled..end]);
                    read.map_err(|error| of_io("read", error))
                })?;
                filled += read;
                if read == 0 || filled == left {
                    return Ok(filled);
                }
            }
        })?;
        // What has no size, or has grown.
        let mut more = Vec::new();
        loop {
            let read = call(py, || {
                let len = more.len();
                more.resize(len + (64 << 10), 0);
                let read = (&*file).read(&mut more[len..]);
                more.truncate(len + *read.as_ref().unwrap_or(&0));
                read.map_err(|error| of_io("read", error))
            })?;
            if read == 0 {
                break;
            }
        }
        match more.is_empty() {
            true => Ok(start),
            false => Ok(PyBytes::new(py, &[start.as_bytes(), &more].concat())),
        }
    }

    fn write(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<usize> {
        let file = self.get()?;
        let buffer = Buffer::read(buffer)?;
        let bytes = buffer.bytes();
        call(py, || {
            // SAFETY: `buffer` lives.
            let bytes = unsafe { bytes.get() };
            let len = bytes.len().min(CHUNK);
            let written = (&*file).write(&bytes[..len]);
            written.map_err(|error| of_io("write", error))
        })
    }

    fn pwrite(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>, offset: u64) -> PyResult<usize> {
        let file = self.get()?;
        let buffer = Buffer::read(buffer)?;
        let bytes = buffer.bytes();
        call(py, || {
            // SAFETY: `buffer` lives.
            let bytes = unsafe { bytes.get() };
            let len = bytes.len().min(CHUNK);
            file.write_at(&bytes[..len], offset)
        })
    }

    fn seek(&self, py: Python<'_>, offset: i64, whence: i32) -> PyResult<u64> {
        let file = self.get()?;
        let to = match (whence, u64::try_from(offset)) {
            (0, Ok(offset)) => SeekFrom::Start(offset),
            (0, Err(_)) => return Err(value(format!("negative seek position {offset}"))),
            (1, _) => SeekFrom::Current(offset),
            (2, _) => SeekFrom::End(offset),
            _ => {
                return Err(value(format!(
                    "invalid whence ({whence}, should be 0, 1 or 2)"
                )));
            }
        };
        call(py, || {
            (&*file).seek(to).map_err(|error| of_io("seek", error))
        })
    }

    fn truncate(&self, py: Python<'_>, len: u64) -> PyResult<()> {
        let file = self.get()?;
        call(py, || file.set_len(len))
    }

    fn sync(&self, py: Python<'_>, data_only: bool) -> PyResult<()> {
        let file = self.get()?;
        call(py, || match data_only {
            true => file.sync_data(),
            false => file.sync_all(),
        })
    }

    fn stat(&self, py: Python<'_>) -> PyResult<Stat> {
        let file = self.get()?;
        Ok(stat(&call(py, || file.metadata())?))
    }

    fn chmod(&self, py: Python<'_>, mode: u32) -> PyResult<()> {
        let file = self.get()?;
        call(py, || {
            file.set_permissions(Permissions::from_mode(mode & 0o7777))
        })
    }

    fn allocate(&self, py: Python<'_>, offset: u64, len: u64) -> PyResult<()> {
        let file = self.get()?;
        call(py, || file.allocate(offset, len))
    }

    fn punch_hole(&self, py: Python<'_>, offset: u64, len: u64) -> PyResult<()> {
        let file = self.get()?;
        call(py, || file.punch_hole(offset, len))
    }

    /// Its number in the kernel: no descriptor of this process.
    fn kernel_fd(&self) -> PyResult<i32> {
        Ok(self.get()?.raw_fd())
    }

    fn close(&self) {
        drop(self.0.take());
    }
}
