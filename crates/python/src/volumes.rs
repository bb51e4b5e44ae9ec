//! All that is on some disks; and passphrases, which a function of Python's may give.

use drupe::{AttachedDisk, Volume};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use zeroize::Zeroizing;

use crate::disk::Disk;
use crate::error::{Failure, value};
use crate::gate::{Caller, long};
use crate::kernel::Kernel;
use crate::partition::{Partition, probed};

/// Where passphrases are from.
pub(crate) enum Passphrase {
    None,
    /// The same for all.
    Bytes(Zeroizing<Vec<u8>>),
    /// A function that is asked with the name of a volume, and how many were wrong.
    Function(Py<PyAny>),
}

impl Passphrase {
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Passphrase> {
        if object.is_none() {
            return Ok(Passphrase::None);
        }
        if object.is_callable() {
            return Ok(Passphrase::Function(object.clone().unbind()));
        }
        Ok(Passphrase::Bytes(bytes(object)?))
    }

    /// The passphrase of a volume, after so many that were wrong.
    pub(crate) fn get<T: Send + 'static>(
        &self,
        caller: &Caller<T>,
        volume: &str,
        wrong: usize,
    ) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            Passphrase::None => None,
            Passphrase::Bytes(bytes) => (wrong == 0).then(|| bytes.clone()),
            Passphrase::Function(function) => {
                let volume = volume.to_owned();
                let asked = caller.ask({
                    // A reference of its own is made with the GIL.
                    let function = Python::attach(|py| function.clone_ref(py));
                    move |py| {
                        let answer = function.bind(py).call1((volume, wrong))?;
                        match answer.is_none() {
                            true => Ok(None),
                            false => bytes(&answer).map(Some),
                        }
                    }
                });
                asked.flatten()
            }
        }
    }
}

/// A passphrase, as text or bytes.
fn bytes(object: &Bound<'_, PyAny>) -> PyResult<Zeroizing<Vec<u8>>> {
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Zeroizing::new(text.to_str()?.as_bytes().to_vec()));
    }
    match object.cast::<PyBytes>() {
        Ok(bytes) => Ok(Zeroizing::new(bytes.as_bytes().to_vec())),
        Err(_) => Err(value(
            "a passphrase is a str, bytes, or a function that returns one",
        )),
    }
}

/// Finds all that is on some disks; a list of dicts.
#[pyfunction]
pub(crate) fn volumes<'py>(
    py: Python<'py>,
    kernel: &Kernel,
    disks: Vec<PyRef<'py, Disk>>,
    passphrase: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyList>> {
    let kernel = kernel.get()?;
    let disks = disks
        .iter()
        .map(|disk| Ok(AttachedDisk::clone(&*disk.get()?)));
    let disks: Vec<_> = disks.collect::<PyResult<_>>()?;
    let passphrase = Passphrase::of(passphrase)?;
    let found = long(
        py,
        || {},
        move |caller| {
            caller.calls(&kernel);
            let mut ask = |volume: &Volume, wrong| passphrase.get(caller, volume.id(), wrong);
            Ok(kernel.volumes(&disks, &mut ask)?)
        },
    )?;
    let all = PyList::empty(py);
    for volume in found.iter() {
        let dict = PyDict::new(py);
        let kind = format!("{:?}", volume.kind()).to_lowercase();
        dict.set_item("id", volume.id())?;
        dict.set_item("kind", kind)?;
        dict.set_item("disk", volume.disk())?;
        dict.set_item("parents", volume.parents())?;
        let on = volume.found().map(|found| probed(py, found)).transpose()?;
        dict.set_item("found", on)?;
        let trouble = volume.trouble().map(|error| error.cause().to_string());
        dict.set_item("trouble", trouble)?;
        dict.set_item("partition", Partition::new(volume.partition().clone()))?;
        all.append(dict)?;
    }
    Ok(all)
}

/// What is wrong with a volume, as an error of the library's.
pub(crate) fn trouble(volume: &Volume) -> Option<Failure> {
    let error = volume.trouble()?;
    Some(Failure::of_cause(error.cause()))
}
