//! The network of a kernel: links, interfaces, addresses, routes, sysctls.

use std::ffi::c_char;

use drupe::Kernel;
use drupe_links::Tap;
use drupe_netadmin::{NetworkExt, Prefix, Route};

use crate::border::{Out, c_memory};
use crate::failure::Failure;

/// Ethernet's.
const MTU: u32 = 1500;

export! {
    fn drupe_link_pair(
        one: &Kernel,
        other: &Kernel,
        mtu: u32,
        one_index: Option<Out<u32>>,
        other_index: Option<Out<u32>>,
    ) -> status {
        let mtu = if mtu == 0 { MTU } else { mtu };
        if !(68..=65_521).contains(&mtu) {
            return Err(Failure::argument(format!("an MTU of {mtu} bytes; 68 to 65521 can be")));
        }
        let (one_end, other_end) = drupe_links::pair(mtu);
        let one_link = one.add_link(one_end)?;
        let other_link = match other.add_link(other_end) {
            Ok(link) => link,
            Err(error) => {
                // The error of the other one is the one to tell.
                let _ = one_link.remove();
                return Err(error.into());
            }
        };
        if let Some(index) = one_index {
            index.put(one_link.index());
        }
        if let Some(index) = other_index {
            index.put(other_link.index());
        }
        Ok(())
    }

    fn drupe_link_tap(kernel: &Kernel, name: Option<&str>, index: Option<Out<u32>>) -> status {
        let link = kernel.add_link(Tap::open(name)?)?;
        if let Some(index) = index {
            index.put(link.index());
        }
        Ok(())
    }

    fn drupe_interface_up(kernel: &Kernel, name: &str) -> status {
        Ok(kernel.network()?.link(name)?.set_up()?)
    }

    fn drupe_interface_down(kernel: &Kernel, name: &str) -> status {
        Ok(kernel.network()?.link(name)?.set_down()?)
    }

    fn drupe_interface_add_address(kernel: &Kernel, name: &str, address: &str) -> status {
        Ok(kernel.network()?.link(name)?.add_address(address)?)
    }

    fn drupe_route_add(kernel: &Kernel, destination: &str, gateway: &str) -> status {
        let destination: Prefix = destination.parse()?;
        let gateway: Prefix = gateway.parse()?;
        let route = Route::to(destination).via(gateway.address);
        Ok(kernel.network()?.add_route(&route)?)
    }

    fn drupe_sysctl_get(kernel: &Kernel, name: &str, value: Out<*mut c_char>) -> status {
        value.put(c_memory(kernel.network()?.sysctl(name)?.as_bytes())?);
        Ok(())
    }

    fn drupe_sysctl_set(kernel: &Kernel, name: &str, value: &str) -> status {
        Ok(kernel.network()?.set_sysctl(name, value)?)
    }
}
