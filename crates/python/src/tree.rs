//! Trees of files: copied into images and out of them, archived to any object that has
//! `write`, extracted from any that has `read`.

use std::ffi::OsString;
use std::io::{self, PipeWriter, Read, Write};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use drupe_tree::{
    ArchiveOptions, Compression, CopyOptions, ExtractOptions, ImageLocation, Interrupt, Location,
    Outcome, Progress, Umask,
};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::buffer::Buffer;
use crate::error::{Failure, Name};
use crate::gate::{Caller, long};
use crate::mount::Mount;

/// Bytes that are read from a stream at once.
const CHUNK: usize = 1 << 20;

/// What errors call an archive.
const ARCHIVE: &str = "the archive";

/// Held by whoever has set the process's umask: two at a time would not find it again.
static UMASK: Mutex<()> = Mutex::new(());

/// Gives the calling thread, which is one of ours, a umask that is not the process's.
/// `false`: a sandbox forbids it.
fn own_umask() -> bool {
    // SAFETY: it makes a copy of what the thread shares with others: umask, root and
    // working directory. Nobody relies on them being shared with this thread.
    unsafe { libc::unshare(libc::CLONE_FS) == 0 }
}

/// A umask that is not the process's: what a copy into an image takes off modes, which is
/// nothing.
fn no_umask() -> ManuallyDrop<Umask> {
    // Not dropped: that would set the process's.
    ManuallyDrop::new(Umask { bits: 0 })
}

/// A file in an image, as errors name it: by its path.
fn in_image(mount: &drupe::Mount, path: &Path, label: &str) -> ImageLocation {
    ImageLocation {
        mount: mount.clone(),
        label: label.to_owned(),
        path: Path::new("/").join(path),
    }
}

/// What ends work early: a flag, and a pipe for who waits.
struct Cancel {
    interrupt: Interrupt,
    come: Arc<PipeWriter>,
}

impl Cancel {
    fn new(py: Python<'_>) -> PyResult<Cancel> {
        let (reader, writer) =
            io::pipe().map_err(|error| Failure::host("pipe", error).raise(py))?;
        Ok(Cancel {
            interrupt: Interrupt::new(Arc::default(), reader),
            come: Arc::new(writer),
        })
    }

    fn function(&self) -> impl Fn() + Send + 'static {
        let (flag, come) = (self.interrupt.flag(), Arc::clone(&self.come));
        move || {
            // Once is enough: the pipe never fills.
            if !flag.swap(true, Ordering::Relaxed) {
                // Nobody waits if nobody reads.
                let _ = (&*come).write_all(b"!");
            }
        }
    }
}

/// Remembers what could not be done.
#[derive(Default)]
struct Listener {
    problems: Mutex<Vec<String>>,
}

/// What could not be done, and what was warned of.
type Told = Vec<String>;

impl Listener {
    fn tell(&self, text: String) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        // Who has millions of them needs no more.
        if problems.len() < 1000 {
            problems.push(text);
        }
    }

    fn finish(self, done: drupe_tree::Result<Outcome>) -> Result<(u64, Told), Failure> {
        let outcome = done?;
        let told = self.problems.into_inner();
        Ok((outcome.errors, told.unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Progress for Listener {
    fn error(&self, error: &drupe_tree::Error) {
        self.tell(error.to_string());
    }
}

fn copy_tree(
    py: Python<'_>,
    from: Location,
    to: Location,
    archive: bool,
    host: bool,
) -> PyResult<(u64, Told)> {
    let cancel = Cancel::new(py)?;
    let interrupt = cancel.interrupt.clone();
    long(py, cancel.function(), move |_| {
        let how = CopyOptions {
            recursive: true,
            archive,
            ..CopyOptions::default()
        };
        let listener = Listener::default();
        let done = match host {
            true => {
                let _one =
                    (!own_umask()).then(|| UMASK.lock().unwrap_or_else(PoisonError::into_inner));
                let umask = Umask::take();
                drupe_tree::copy(&[from], &to, &how, &umask, &interrupt, &listener)
            }
            false => drupe_tree::copy(&[from], &to, &how, &no_umask(), &interrupt, &listener),
        };
        listener.finish(done)
    })
}

/// Copies a file or a tree of the host's into an image.
#[pyfunction]
pub(crate) fn copy_in(
    py: Python<'_>,
    host: Name,
    mount: &Mount,
    path: Name,
    label: &str,
    archive: bool,
) -> PyResult<(u64, Told)> {
    let to = Location::Image(in_image(&*mount.get()?, &path.0, label));
    copy_tree(py, Location::Host(host.0), to, archive, false)
}

/// Copies a file or a tree of an image's to the host.
#[pyfunction]
pub(crate) fn copy_out(
    py: Python<'_>,
    mount: &Mount,
    path: Name,
    label: &str,
    host: Name,
    archive: bool,
) -> PyResult<(u64, Told)> {
    let from = Location::Image(in_image(&*mount.get()?, &path.0, label));
    copy_tree(py, from, Location::Host(host.0), archive, true)
}

/// Copies a file or a tree from an image to another one, or within one.
#[pyfunction]
pub(crate) fn copy(
    py: Python<'_>,
    from: (PyRef<'_, Mount>, Name, String),
    to: (PyRef<'_, Mount>, Name, String),
    archive: bool,
) -> PyResult<(u64, Told)> {
    let [from, to] = [from, to].map(|(mount, path, label)| {
        let mount = mount.get()?;
        PyResult::Ok(Location::Image(in_image(&mount, &path.0, &label)))
    });
    copy_tree(py, from?, to?, archive, false)
}

/// A Python object that is read from or written to in the thread that waits for the work.
struct Stream<T> {
    object: Arc<Py<PyAny>>,
    caller: Caller<T>,
    /// What was read and not used yet.
    rest: Vec<u8>,
    at: usize,
}

impl<T> Stream<T> {
    fn new(object: Py<PyAny>, caller: &Caller<T>) -> Stream<T> {
        Stream {
            object: Arc::new(object),
            caller: caller.clone(),
            rest: Vec::new(),
            at: 0,
        }
    }
}

/// The stream has failed: its exception is what the caller gets.
fn failed() -> io::Error {
    io::Error::other("the stream has failed")
}

impl<T: Send + 'static> Read for Stream<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.at == self.rest.len() {
            let object = Arc::clone(&self.object);
            let read = self.caller.ask(move |py| {
                let read = object.bind(py).call_method1("read", (CHUNK,))?;
                match read.cast::<PyBytes>() {
                    Ok(bytes) => Ok(bytes.as_bytes().to_vec()),
                    // A memoryview, a bytearray.
                    Err(_) => {
                        let buffer = Buffer::read(&read)?;
                        // SAFETY: `buffer` lives.
                        Ok(unsafe { buffer.bytes().get() }.to_vec())
                    }
                }
            });
            self.rest = read.ok_or_else(failed)?;
            self.at = 0;
        }
        let rest = &self.rest[self.at..];
        let len = rest.len().min(bytes.len());
        bytes[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Ok(len)
    }
}

impl<T: Send + 'static> Write for Stream<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let object = Arc::clone(&self.object);
        let (own, len) = (bytes.to_vec(), bytes.len());
        let written = self.caller.ask(move |py| {
            let mut rest = &own[..];
            while !rest.is_empty() {
                let bytes = PyBytes::new(py, rest);
                let written = object.bind(py).call_method1("write", (bytes,))?;
                // Buffered streams take all; some say nothing.
                let written = match written.is_none() {
                    true => rest.len(),
                    false => written.extract::<usize>()?.clamp(1, rest.len()),
                };
                rest = &rest[written..];
            }
            Ok(())
        });
        written.ok_or_else(failed).map(|()| len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes an archive of a directory.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
pub(crate) fn tar(
    py: Python<'_>,
    mount: &Mount,
    path: Name,
    label: &str,
    stream: &Bound<'_, PyAny>,
    compression: &str,
    numeric_owner: bool,
    exclude: Vec<OsString>,
) -> PyResult<(u64, Told)> {
    let compression = match compression {
        "" => Compression::None,
        "gz" => Compression::Gzip,
        "zst" => Compression::Zstd,
        "xz" => Compression::Xz,
        other => {
            let text = format!("compression is {other:?}; it can be \"\", \"gz\", \"xz\", \"zst\"");
            return Err(crate::error::value(text));
        }
    };
    let cancel = Cancel::new(py)?;
    let interrupt = cancel.interrupt.clone();
    let from = in_image(&*mount.get()?, &path.0, label);
    let object = stream.clone().unbind();
    long(py, cancel.function(), move |caller| {
        let how = ArchiveOptions {
            compression,
            numeric_owner,
            exclude,
            ..ArchiveOptions::default()
        };
        let listener = Listener::default();
        let output = Stream::new(object, caller);
        let done = drupe_tree::archive(&from, &how, output, ARCHIVE, &interrupt, &listener);
        // None: there was nothing to put into one, as has been told.
        listener.finish(done.map(|done| done.unwrap_or(Outcome { errors: 1 })))
    })
}

/// Extracts an archive into a directory.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
pub(crate) fn untar(
    py: Python<'_>,
    mount: &Mount,
    path: Name,
    label: &str,
    stream: &Bound<'_, PyAny>,
    numeric_owner: bool,
    strip_components: usize,
    exclude: Vec<OsString>,
) -> PyResult<(u64, Told)> {
    let cancel = Cancel::new(py)?;
    let interrupt = cancel.interrupt.clone();
    let to = in_image(&*mount.get()?, &path.0, label);
    let object = stream.clone().unbind();
    long(py, cancel.function(), move |caller| {
        let how = ExtractOptions {
            names: !numeric_owner,
            strip_components,
            exclude,
            ..ExtractOptions::default()
        };
        let listener = Listener::default();
        let input = Stream::new(object, caller);
        let umask = no_umask();
        let done = drupe_tree::extract(input, ARCHIVE, &to, &how, &umask, &interrupt, &listener);
        listener.finish(done)
    })
}
