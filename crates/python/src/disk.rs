//! `Disk`: a disk of a kernel's; and what a disk can be made of.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use drupe::AttachedDisk;
use pyo3::prelude::*;

use crate::error::{Failure, Name, value};
use crate::gate::{call, long};
use crate::handle::{Handle, Held};
use crate::kernel::Kernel;
use crate::object::ObjectDisk;
use crate::partition::Partition;

/// What may be done to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing is written.
    Read,
    /// What is written is in the image.
    Write,
    /// What is written is kept in memory.
    Copy,
}

impl FromPyObject<'_, '_> for Mode {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Mode> {
        let text: String = object.extract()?;
        match text.as_str() {
            "r" => Ok(Mode::Read),
            "r+" => Ok(Mode::Write),
            "c" => Ok(Mode::Copy),
            _ => Err(value(format!(
                "mode is {text:?}; it can be \"r\" (read), \"r+\" (write too), \
                 or \"c\" (what is written is kept in memory)"
            ))),
        }
    }
}

/// How to open an image.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) mode: Mode,
    pub(crate) format: Option<String>,
    pub(crate) backing: bool,
    pub(crate) block_size: Option<u32>,
}

/// What a disk is made of.
pub(crate) enum Source {
    File(Name),
    Uri(String),
    Object(ObjectDisk),
}

impl Source {
    /// What Python names: a path, the address of a network disk, or an object with `seek`
    /// and `read`.
    pub(crate) fn of(object: &Bound<'_, PyAny>, options: &Options) -> PyResult<Source> {
        if let Ok(text) = object.extract::<String>()
            && drupe::is_uri(&text)
        {
            return Ok(Source::Uri(text));
        }
        if object.hasattr("seek")? && object.hasattr("read")? {
            let read_only = options.mode == Mode::Read;
            if options.mode == Mode::Copy {
                return Err(value("mode \"c\" is for images that are files"));
            }
            let disk = ObjectDisk::new(object, read_only, options.block_size)?;
            return Ok(Source::Object(disk));
        }
        Ok(Source::File(object.extract()?))
    }

    /// Opens it.
    pub(crate) fn open(
        self,
        options: &Options,
        given_up: &Arc<AtomicBool>,
    ) -> Result<drupe::Disk, Failure> {
        let mut how = drupe::Disk::options()
            .read_only(options.mode == Mode::Read)
            .copy_on_write(options.mode == Mode::Copy)
            .backing(options.backing)
            .given_up(Arc::clone(given_up));
        if let Some(name) = &options.format {
            let format = name.parse();
            how = how.format(format.map_err(|text| Failure::new("", libc::EINVAL, text))?);
        }
        if let Some(bytes) = options.block_size {
            how = how.block_size(bytes);
        }
        match self {
            Source::File(Name(path)) => how.open(&path).map_err(|error| {
                let failure = Failure::from(error);
                failure.at(path)
            }),
            Source::Uri(uri) => Ok(how.open_uri(&uri)?),
            Source::Object(object) => Ok(drupe::Disk::new(object)),
        }
    }
}

/// A disk of a kernel's.
#[pyclass(frozen, module = "drupe._drupe")]
pub(crate) struct Disk(Handle<AttachedDisk>);

impl Disk {
    pub(crate) fn new(disk: AttachedDisk) -> Disk {
        Disk(Handle::new(disk))
    }

    pub(crate) fn get(&self) -> PyResult<Held<AttachedDisk>> {
        self.0
            .get()
            .ok_or_else(|| value("the disk has been closed"))
    }
}

#[pymethods]
impl Disk {
    /// Adds a disk to a kernel.
    #[staticmethod]
    #[pyo3(signature = (kernel, source, mode, format=None, backing=false, block_size=None))]
    fn add(
        py: Python<'_>,
        kernel: &Kernel,
        source: &Bound<'_, PyAny>,
        mode: Mode,
        format: Option<String>,
        backing: bool,
        block_size: Option<u32>,
    ) -> PyResult<Disk> {
        let options = Options {
            mode,
            format,
            backing,
            block_size,
        };
        let source = Source::of(source, &options)?;
        let kernel = kernel.get()?;
        let given_up = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&given_up);
        let cancel = move || flag.store(true, Ordering::Relaxed);
        let disk = long(py, cancel, move |caller| {
            caller.calls(&kernel);
            let disk = source.open(&options, &given_up)?;
            Ok(kernel.add_disk(disk)?)
        })?;
        Ok(Disk::new(disk))
    }

    #[getter]
    fn name(&self) -> PyResult<String> {
        Ok(self.get()?.name().to_owned())
    }

    #[getter]
    fn size(&self) -> PyResult<u64> {
        Ok(self.get()?.size())
    }

    #[getter]
    fn block_size(&self) -> PyResult<u32> {
        Ok(self.get()?.block_size())
    }

    #[getter]
    fn format(&self) -> PyResult<Option<&'static str>> {
        Ok(self.get()?.format().map(drupe::Format::name))
    }

    #[getter]
    fn read_only(&self) -> PyResult<bool> {
        Ok(self.get()?.is_read_only())
    }

    /// What is damaged of its partition table.
    fn damage(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let disk = self.get()?;
        let damage = call(py, || disk.table_damage())?;
        Ok(damage.map(|damage| damage.to_string()))
    }

    /// What somebody else has done to it since it was opened.
    fn harm(&self) -> PyResult<Option<String>> {
        Ok(self.get()?.harm().map(|harm| harm.to_string()))
    }

    fn whole(&self) -> PyResult<Partition> {
        Ok(Partition::new(self.get()?.whole()))
    }

    fn partitions(&self, py: Python<'_>) -> PyResult<Vec<Partition>> {
        let disk = self.get()?;
        let all = call(py, || disk.partitions())?;
        Ok(all.into_iter().map(Partition::new).collect())
    }

    fn partition(&self, py: Python<'_>, number: u32) -> PyResult<Partition> {
        let disk = self.get()?;
        Ok(Partition::new(call(py, || disk.partition(number))?))
    }

    /// Removes it; says what could not be written.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        match self.0.take() {
            Some(disk) => long(
                py,
                || {},
                move |_| {
                    let own = AttachedDisk::clone(&disk);
                    drop(disk);
                    Ok(own.remove()?)
                },
            ),
            None => Ok(()),
        }
    }
}
