//! The host's network for a kernel, without privileges: passt, an address by
//! DHCP, and a page by TCP of the kernel's own, with BBR.
//!
//! `cargo run --example passt -- ADDRESS:PORT [HOST]`

use std::error::Error;
use std::io::{self, Write};

use drupe::Kernel;
use drupe::net::TcpStream;
use drupe_links::{Passt, PasstOptions};
use drupe_netadmin::{BuilderExt, Config, NetworkExt};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("say from where: ADDRESS:PORT")?;
    let host = arguments.next().unwrap_or_else(|| address.clone());

    let passt = Passt::spawn(&PasstOptions::default())?;
    let kernel = Kernel::builder().link(passt, Config::dhcp()).boot()?;
    kernel
        .network()?
        .set_sysctl("net.ipv4.tcp_congestion_control", "bbr")?;

    let mut stream = TcpStream::connect(&kernel, address)?;
    write!(stream, "GET / HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    io::copy(&mut stream, &mut io::stdout())?;
    Ok(())
}
