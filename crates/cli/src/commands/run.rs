//! `drupe run`: runs a program with the network of a kernel in this process.

use std::net::IpAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Error};
use clap::ArgMatches;
use drupe::Kernel;
use drupe_links::{LinkSpec, Opener};
use drupe_netadmin::{Config, Network, NetworkExt, Route};
use drupe_run::Program;

use crate::args::{DHCP, Global, Run};
use crate::output;

/// Bytes of the kernel's memory, which the sizes of TCP's buffers follow.
const MEMORY: usize = 256 << 20;

/// What a DHCP server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Our own exit codes, as env(1) and others have them.
const FAILED: u8 = 125;
const NOT_RUNNABLE: u8 = 126;
const NOT_FOUND: u8 = 127;
const USAGE: u8 = 2;

pub(crate) fn run(options: &Global, command: &Run, matches: &ArgMatches) -> ExitCode {
    let matches = matches.subcommand_matches("run").unwrap_or(matches);
    let links = match links(command, matches) {
        Ok(links) => links,
        Err(message) => {
            output::error(&message);
            return USAGE.into();
        }
    };
    let [program, arguments @ ..] = &command.program[..] else {
        output::error("there is no program to run");
        return USAGE.into();
    };
    let program = Program {
        program: program.clone(),
        arguments: arguments.to_vec(),
    };
    match drupe_run::run(&program, || boot(options, command, &links)) {
        Ok(status) => code(status),
        Err(error) => {
            output::error(&format!("{error:#}"));
            match error.downcast_ref() {
                Some(drupe_run::Error::NotFound { .. }) => NOT_FOUND,
                Some(drupe_run::Error::NotRunnable { .. }) => NOT_RUNNABLE,
                _ => FAILED,
            }
            .into()
        }
    }
}

/// As a shell has it.
fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    // Codes have 8 bits.
    ExitCode::from(code.unwrap_or(FAILED.into()) as u8)
}

/// A link and what is to be set of it.
struct Link<'a> {
    spec: &'a LinkSpec,
    addresses: Vec<&'a str>,
}

/// The links with the addresses that follow each.
fn links<'a>(command: &'a Run, matches: &ArgMatches) -> Result<Vec<Link<'a>>, String> {
    let places = |name| matches.indices_of(name).into_iter().flatten();
    let mut links: Vec<(usize, Link<'_>)> = places("link")
        .zip(&command.link)
        .map(|(place, spec)| {
            let addresses = Vec::new();
            (place, Link { spec, addresses })
        })
        .collect();
    for (place, address) in places("ip").zip(&command.ip) {
        let before = links.iter_mut().rev().find(|(link, _)| *link < place);
        let (_, link) = before.ok_or_else(|| {
            format!("--ip {address}: there is no --link before it that could have the address")
        })?;
        link.addresses.push(address);
    }
    Ok(links.into_iter().map(|(_, link)| link).collect())
}

/// A kernel with all its interfaces.
fn boot(options: &Global, command: &Run, links: &[Link<'_>]) -> Result<Kernel, Error> {
    let mut kernel = Kernel::builder().memory(options.memory.unwrap_or(MEMORY));
    if options.kernel_log {
        kernel = kernel.kernel_log(|text| {
            // There is nobody to tell if this fails.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), text);
        });
    }
    let kernel = kernel.boot()?;
    let network = kernel.network()?;
    network.link("lo")?.set_up()?;
    for (key, value) in &command.sysctl {
        network
            .set_sysctl(key, value)
            .with_context(|| format!("--sysctl {key}={value}"))?;
    }
    let mut opener = Opener::new();
    for link in links {
        let opened = opener.open(link.spec)?;
        let attached = kernel.add_link(opened)?;
        let interface = network.link_by_index(attached.index());
        let name = interface.name()?;
        for address in &link.addresses {
            let config = match *address {
                DHCP => Config::dhcp().timeout(PATIENCE),
                address => Config::new().address(address),
            };
            let configured = network.configure(&name, &config);
            configured.with_context(|| format!("--ip {address}"))?;
        }
        // Also one without an address.
        interface.set_up()?;
    }
    for gateway in &command.gateway {
        route(&network, *gateway).with_context(|| format!("--gateway {gateway}"))?;
    }
    Ok(kernel)
}

fn route(network: &Network, gateway: IpAddr) -> drupe::Result<()> {
    network.add_route(&Route::default_via(gateway))
}
