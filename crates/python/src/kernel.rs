//! `Kernel`: a running kernel.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::{Failure, value};
use crate::gate::{self, call, long};
use crate::handle::{Handle, Held};

/// A running kernel.
#[pyclass(frozen, module = "drupe._drupe")]
pub(crate) struct Kernel(Handle<drupe::Kernel>);

impl Kernel {
    pub(crate) fn new(kernel: drupe::Kernel) -> Kernel {
        Kernel(Handle::new(kernel))
    }

    pub(crate) fn get(&self) -> PyResult<Held<drupe::Kernel>> {
        let kernel = self.0.get();
        kernel.ok_or_else(|| value("the kernel has been closed"))
    }
}

/// Settings of a kernel.
pub(crate) fn builder(
    memory: Option<usize>,
    command_line: Option<&str>,
    cold_boot: bool,
    log: Option<Py<PyAny>>,
) -> drupe::Builder {
    let mut builder = drupe::Kernel::builder();
    if let Some(memory) = memory {
        builder = builder.memory(memory);
    }
    if let Some(text) = command_line {
        builder = builder.command_line(text);
    }
    if cold_boot {
        builder = builder.cold_boot();
    }
    if let Some(log) = log {
        builder = builder.kernel_log(move |text| {
            gate::python(|py| {
                let told = log.call1(py, (PyBytes::new(py, text),));
                // There is nobody to be told of it.
                if let Err(error) = told {
                    error.write_unraisable(py, Some(log.bind(py)));
                }
            });
        });
    }
    builder
}

#[pymethods]
impl Kernel {
    #[staticmethod]
    #[pyo3(signature = (memory=None, command_line=None, cold_boot=false, log=None))]
    fn boot(
        py: Python<'_>,
        memory: Option<usize>,
        command_line: Option<&str>,
        cold_boot: bool,
        log: Option<Py<PyAny>>,
    ) -> PyResult<Kernel> {
        let builder = builder(memory, command_line, cold_boot, log);
        let kernel = long(py, || {}, move |_| Ok(builder.boot()?))?;
        Ok(Kernel::new(kernel))
    }

    /// Halts it now, whoever has a handle.
    fn halt(&self, py: Python<'_>) -> PyResult<()> {
        let kernel = self.get()?;
        long(py, || {}, move |_| Ok(kernel.halt()?))
    }

    /// Lets go of this handle.
    fn close(&self) {
        drop(self.0.take());
    }

    fn log(&self, py: Python<'_>) -> PyResult<String> {
        let kernel = self.get()?;
        // Who writes to the log may wait for the GIL.
        Ok(py.detach(|| kernel.log()))
    }

    /// The contents of a file of the kernel's own tree: `/proc`, `/sys`.
    fn read_file<'py>(&self, py: Python<'py>, path: &str) -> PyResult<Bound<'py, PyBytes>> {
        let kernel = self.get()?;
        let text = call(py, || {
            let mut text = Vec::new();
            kernel.open(path, libc::O_RDONLY)?.read_to_end(&mut text)?;
            Ok(text)
        })?;
        Ok(PyBytes::new(py, &text))
    }

    fn mount_virtual(
        &self,
        py: Python<'_>,
        fstype: String,
        options: String,
    ) -> PyResult<crate::mount::Mount> {
        let kernel = self.get()?;
        let mount = long(
            py,
            || {},
            move |caller| {
                caller.calls(&kernel);
                let options = drupe::MountOptions::new().options(&options);
                kernel
                    .mount_virtual(&fstype, options)
                    .map_err(Failure::from)
            },
        )?;
        Ok(crate::mount::Mount::new(mount))
    }

    fn __repr__(&self) -> String {
        match self.get() {
            Ok(kernel) => format!("<drupe {:?}>", *kernel),
            Err(_) => "<drupe Kernel, closed>".to_owned(),
        }
    }
}
