//! Links of kernels, and what arranges their networks.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use drupe_links::{LinkSpec, Opener};
use drupe_netadmin::{AttachedLinkExt, Config, NetworkExt, Prefix, Route};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::error::{Failure, value};
use crate::gate::{call, long};
use crate::kernel::Kernel;

/// What opens links: it has the switches of this process by their names. Only locked with
/// the GIL: a child of fork(2) would find it locked for ever otherwise.
static OPENER: Mutex<Option<Opener>> = Mutex::new(None);

/// A cable between two kernels; the names of its ends.
#[pyfunction]
pub(crate) fn link_pair(
    py: Python<'_>,
    one: &Kernel,
    other: &Kernel,
    mtu: u32,
) -> PyResult<(String, String)> {
    if !(68..=65_521).contains(&mtu) {
        return Err(value(format!(
            "an MTU of {mtu} bytes; it can be 68 to 65521"
        )));
    }
    let (one, other) = (one.get()?, other.get()?);
    long(
        py,
        || {},
        move |_| {
            let (one_end, other_end) = drupe_links::pair(mtu);
            let one = one.add_link(one_end)?;
            let other = match other.add_link(other_end) {
                Ok(other) => other,
                Err(error) => {
                    // The error of the other one is the one to tell.
                    let _ = one.remove();
                    return Err(error.into());
                }
            };
            Ok((one.interface()?.name()?, other.interface()?.name()?))
        },
    )
}

/// A link to the host or the process, as `drupe run --link` names it; its name.
#[pyfunction]
pub(crate) fn add_link(py: Python<'_>, kernel: &Kernel, link: &str) -> PyResult<String> {
    let kernel = kernel.get()?;
    let spec = link.parse::<LinkSpec>();
    let spec = spec.map_err(|error| value(error.to_string()))?;
    let link = {
        let mut opener = OPENER.lock().unwrap_or_else(PoisonError::into_inner);
        opener.get_or_insert_with(Opener::new).open(&spec)
    };
    let link = link.map_err(|error| Failure::from(error).raise(py))?;
    long(
        py,
        || {},
        move |_| Ok(kernel.add_link(link)?.interface()?.name()?),
    )
}

/// Sets up an interface; the address that a DHCP server has given.
#[pyfunction]
#[pyo3(signature = (kernel, interface, addresses, gateways, dhcp, mtu, timeout))]
#[allow(clippy::too_many_arguments)]
pub(crate) fn configure(
    py: Python<'_>,
    kernel: &Kernel,
    interface: String,
    addresses: Vec<String>,
    gateways: Vec<IpAddr>,
    dhcp: bool,
    mtu: Option<u32>,
    timeout: f64,
) -> PyResult<Option<String>> {
    let kernel = kernel.get()?;
    let mut config = if dhcp { Config::dhcp() } else { Config::new() };
    for address in &addresses {
        config = config.address(address);
    }
    for gateway in gateways {
        config = config.gateway(gateway);
    }
    if let Some(mtu) = mtu {
        config = config.mtu(mtu);
    }
    let timeout = Duration::try_from_secs_f64(timeout);
    config = config.timeout(timeout.map_err(|_| value("timeout is a number of seconds"))?);
    long(
        py,
        || {},
        move |caller| {
            caller.calls(&kernel);
            let network = kernel.network()?;
            let lease = network.configure(&interface, &config)?;
            Ok(lease.map(|lease| lease.address.to_string()))
        },
    )
}

#[pyfunction]
pub(crate) fn set_up(py: Python<'_>, kernel: &Kernel, interface: &str, up: bool) -> PyResult<()> {
    let kernel = kernel.get()?;
    call(py, || {
        let link = kernel.network()?.link(interface)?;
        match up {
            true => link.set_up(),
            false => link.set_down(),
        }
    })
}

#[pyfunction]
pub(crate) fn add_route(
    py: Python<'_>,
    kernel: &Kernel,
    destination: &str,
    gateway: IpAddr,
) -> PyResult<()> {
    let kernel = kernel.get()?;
    let destination = destination.parse::<Prefix>();
    let destination = destination.map_err(|error| Failure::from(error).raise(py))?;
    let route = Route::to(destination).via(gateway);
    call(py, || kernel.network()?.add_route(&route))
}

#[pyfunction]
pub(crate) fn sysctl(py: Python<'_>, kernel: &Kernel, name: &str) -> PyResult<String> {
    let kernel = kernel.get()?;
    call(py, || kernel.network()?.sysctl(name))
}

#[pyfunction]
pub(crate) fn set_sysctl(py: Python<'_>, kernel: &Kernel, name: &str, value: &str) -> PyResult<()> {
    let kernel = kernel.get()?;
    call(py, || kernel.network()?.set_sysctl(name, value))
}

/// The interfaces, a list of dicts.
#[pyfunction]
pub(crate) fn interfaces<'py>(py: Python<'py>, kernel: &Kernel) -> PyResult<Bound<'py, PyList>> {
    let kernel = kernel.get()?;
    let (links, addresses) = call(py, || {
        let network = kernel.network()?;
        Ok((network.links()?, network.addresses()?))
    })?;
    let all = PyList::empty(py);
    for link in links {
        let dict = PyDict::new(py);
        dict.set_item("index", link.index)?;
        dict.set_item("name", link.name)?;
        let mac: Vec<String> = link.mac.iter().map(|byte| format!("{byte:02x}")).collect();
        dict.set_item("mac", mac.join(":"))?;
        dict.set_item("mtu", link.mtu)?;
        dict.set_item("up", link.up)?;
        dict.set_item("carrier", link.carrier)?;
        let own = addresses
            .iter()
            .filter(|address| address.interface == link.index);
        let own: Vec<String> = own.map(|address| address.prefix.to_string()).collect();
        dict.set_item("addresses", own)?;
        all.append(dict)?;
    }
    Ok(all)
}
