//! `drupe._drupe`: what the Python package `drupe` is made of. Its documentation is that
//! of the package (`python/drupe`, `docs/python.md`); what stands here is how a call
//! crosses the border: [`gate`] lets go of the GIL and ends calls on Ctrl-C, [`error`]
//! makes exceptions. Each other file has a class, or the functions of one subject.

use pyo3::prelude::*;

mod buffer;
mod disk;
mod error;
mod file;
mod gate;
mod handle;
mod kernel;
mod mount;
mod network;
mod object;
mod open;
mod partition;
mod poll;
mod socket;
mod stat;
mod tree;
mod volumes;

/// The native part of `drupe`.
#[pymodule(name = "_drupe")]
mod native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::{
        disk::Disk,
        file::File,
        gate::set_deadline,
        kernel::Kernel,
        mount::Mount,
        network::{
            add_link, add_route, configure, interfaces, link_pair, set_sysctl, set_up, sysctl,
        },
        open::open,
        partition::Partition,
        poll::Poll,
        socket::Socket,
        tree::{copy, copy_in, copy_out, tar, untar},
        volumes::volumes,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("LINUX_VERSION", drupe::LINUX_VERSION)
    }
}
