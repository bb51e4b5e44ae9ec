//! `Partition`: a block device of a kernel's: a partition, a whole disk, a volume.

use drupe::MountOptions;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::value;
use crate::gate::{call, long};
use crate::handle::{Handle, Held};
use crate::mount::Mount;

/// A block device of a kernel's.
#[pyclass(frozen, module = "drupe._drupe")]
pub(crate) struct Partition(Handle<drupe::Partition>);

impl Partition {
    pub(crate) fn new(partition: drupe::Partition) -> Partition {
        Partition(Handle::new(partition))
    }

    pub(crate) fn get(&self) -> PyResult<Held<drupe::Partition>> {
        self.0
            .get()
            .ok_or_else(|| value("the partition has been closed"))
    }
}

#[pymethods]
impl Partition {
    #[getter]
    fn number(&self) -> PyResult<Option<u32>> {
        Ok(self.get()?.number())
    }

    #[getter]
    fn name(&self) -> PyResult<String> {
        Ok(self.get()?.name().to_owned())
    }

    #[getter]
    fn start(&self) -> PyResult<u64> {
        Ok(self.get()?.start())
    }

    #[getter]
    fn size(&self) -> PyResult<u64> {
        Ok(self.get()?.size())
    }

    #[getter]
    fn read_only(&self) -> PyResult<bool> {
        Ok(self.get()?.is_read_only())
    }

    /// What its table says of it.
    fn entry<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let partition = self.get()?;
        let Some(info) = call(py, || partition.info())? else {
            return Ok(None);
        };
        let entry = PyDict::new(py);
        entry.set_item("table", info.table)?;
        entry.set_item("kind", info.kind)?;
        entry.set_item("kind_name", info.kind_name)?;
        entry.set_item("name", info.name)?;
        entry.set_item("uuid", info.uuid)?;
        Ok(Some(entry))
    }

    /// What is on it.
    fn probe<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let partition = self.get()?;
        let found = call(py, || partition.probe())?;
        found.map(|found| probed(py, &found)).transpose()
    }

    fn unlock(&self, py: Python<'_>, passphrase: Vec<u8>) -> PyResult<Partition> {
        let partition = self.get()?;
        let passphrase = zeroize::Zeroizing::new(passphrase);
        let unlocked = long(py, || {}, move |_| Ok(partition.unlock(&passphrase)?))?;
        Ok(Partition::new(unlocked))
    }

    /// Mounts what is on it; `devices`: names of others that it is on as well.
    fn mount(
        &self,
        py: Python<'_>,
        read_only: bool,
        fstype: Option<String>,
        options: String,
        devices: Vec<String>,
    ) -> PyResult<Mount> {
        let partition = self.get()?;
        let how = mount_options(read_only, fstype.as_deref(), &options, &devices);
        let mount = long(py, || {}, move |_| Ok(partition.mount(how)?))?;
        Ok(Mount::new(mount))
    }
}

pub(crate) fn mount_options(
    read_only: bool,
    fstype: Option<&str>,
    options: &str,
    devices: &[String],
) -> MountOptions {
    let mut how = MountOptions::new().options(options);
    if read_only {
        how = how.read_only(true);
    }
    if let Some(fstype) = fstype {
        how = how.fstype(fstype);
    }
    for device in devices {
        how = how.device(device);
    }
    how
}

/// What is on a block device, as Python has it.
pub(crate) fn probed<'py>(
    py: Python<'py>,
    found: &drupe::probe::Probe,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("type", found.kind)?;
    dict.set_item("label", &found.label)?;
    dict.set_item("uuid", &found.uuid)?;
    dict.set_item("size", found.size)?;
    dict.set_item("mountable", found.driver.is_some())?;
    Ok(dict)
}
