//! Networks of several kernels, joined by links.

use std::time::Duration;

use drupe::net::Namespace;
use drupe::{Errno, Kernel};
use drupe_links::{Passt, PasstOptions, pair};
use drupe_netadmin::{AttachedLinkExt, BuilderExt, Config, NetworkExt, NewLink, Route};
use drupe_testing::skipped;

use crate::dhcp::{Server, check};
use crate::lab::{Outcome, bounded, kernel, together, transfer};

#[test]
fn one_kernel_gives_the_other_an_address() -> Outcome {
    let (client, server) = (kernel()?, kernel()?);
    let (one, other) = pair(1500);
    let link = client.add_link(one)?;
    assert_eq!(link.interface()?.name()?, "eth0");
    let there = server.add_link(other)?.interface()?;
    there.add_address("10.0.0.1/24")?;
    there.set_up()?;
    let (here, there) = (Namespace::current(&client)?, Namespace::current(&server)?);
    let serving = Server::new(&server, &there)?;
    let configure = || client.network()?.configure("eth0", &Config::dhcp());
    let (lease, served) = together(configure, || serving.serve());
    served?;
    check(&here, &lease?.ok_or("no lease")?)?;
    transfer(&here, &there, "10.0.0.1:80", 4 << 20)?;
    // The interface goes, with its addresses and routes.
    link.remove()?;
    let error = client.network()?.link("eth0").unwrap_err();
    assert_eq!(error.errno(), Some(Errno::NODEV));
    let route = client.network()?.route_to([10, 0, 0, 1]).unwrap_err();
    assert_eq!(route.errno(), Some(Errno::NETUNREACH));
    Ok(())
}

#[test]
fn configured_before_they_boot() -> Outcome {
    let (one, other) = pair(1500);
    let config = |number: u8| Config::new().address(&format!("10.0.0.{number}/24"));
    let left = Kernel::builder().link(one, config(1)).boot()?;
    let right = Kernel::builder().link(other, config(2)).boot()?;
    assert!(left.network()?.link("lo")?.info()?.up);
    let ends = (Namespace::current(&left)?, Namespace::current(&right)?);
    transfer(&ends.0, &ends.1, "10.0.0.2:80", 1 << 20)?;
    // Nobody answers there: a kernel without its network is none.
    let (one, _silent) = pair(1500);
    let config = Config::dhcp().timeout(Duration::from_millis(50));
    let error = Kernel::builder().link(one, config).boot().err();
    let error = error.ok_or("it has booted")?;
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "{error}");
    Ok(())
}

/// A namespace of one kernel, its router, the other kernel.
#[test]
fn a_namespace_behind_a_link() -> Outcome {
    let (left, right) = (kernel()?, kernel()?);
    let (one, other) = pair(1500);
    let config = |number: u8| Config::new().address(&format!("10.0.0.{number}/24"));
    left.add_link(one)?;
    left.network()?.configure("eth0", &config(1))?;
    right.add_link(other)?;
    right.network()?.configure("eth0", &config(2))?;

    let inner = Namespace::new(&left)?;
    let kind = NewLink::Veth {
        peer: "eth0",
        namespace: Some(&inner),
    };
    left.network()?.create("inner", &kind)?;
    let network = left.network()?;
    network.configure("inner", &Config::new().address("10.1.0.1/24"))?;
    network.set_sysctl("net.ipv4.ip_forward", 1)?;
    let config = Config::new().address("10.1.0.2/24").gateway([10, 1, 0, 1]);
    inner.network()?.configure("eth0", &config)?;
    let back = Route::to("10.1.0.0/24".parse()?).via([10, 0, 0, 1]);
    right.network()?.add_route(&back)?;
    transfer(&inner, &Namespace::current(&right)?, "10.0.0.2:80", 1 << 20)?;
    Ok(())
}

/// The DHCP server of passt, if that is installed and has a network to stand
/// for.
#[test]
fn passt_gives_an_address() -> Outcome {
    let passt = match Passt::spawn(&PasstOptions::default()) {
        Ok(passt) => passt,
        Err(error) => {
            skipped(error);
            return Ok(());
        }
    };
    let kernel = kernel()?;
    kernel.add_link(passt)?;
    let network = kernel.network()?;
    let configured = bounded(|| network.configure("eth0", &Config::dhcp()))?;
    let lease = configured.ok_or("no lease")?;
    let eth0 = network.link("eth0")?;
    let addresses = eth0.addresses()?;
    assert!(
        addresses
            .iter()
            .any(|address| address.prefix == lease.address)
    );
    let elsewhere = [203, 0, 113, 1];
    let route = network.route_to(elsewhere)?;
    assert_eq!(route.interface, Some(eth0.index()));
    assert!(route.gateway.is_some());
    println!("{lease:?}");
    Ok(())
}
