//! Interfaces, addresses, routes, rules, neighbours and namespaces.

use drupe::{Errno, Kernel};

use crate::lab::Outcome;

#[test]
fn a_fresh_kernel_has_lo_down() -> Outcome {
    let kernel = Kernel::boot()?;
    let network = kernel.network()?;
    let links = network.links()?;
    let names: Vec<&str> = links.iter().map(|link| &link.name[..]).collect();
    assert_eq!(names, ["lo"]);
    assert!(!links[0].up);
    let lo = network.link("lo")?;
    assert_eq!(lo.index(), 1);
    lo.set_up()?;
    assert!(lo.info()?.up);
    let addresses = lo.addresses()?;
    let addresses: Vec<String> = addresses.iter().map(|a| a.prefix.to_string()).collect();
    assert_eq!(addresses, ["127.0.0.1/8", "::1/128"]);
    let error = network.link("eth0").unwrap_err();
    assert_eq!(error.errno(), Some(Errno::NODEV));
    lo.set_down()?;
    assert!(!lo.info()?.up);
    assert_eq!(lo.delete().unwrap_err().errno(), Some(Errno::OPNOTSUPP));
    Ok(())
}
