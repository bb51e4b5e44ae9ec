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
    get(&address, &host, &mut io::stdout())
}

fn get(address: &str, host: &str, to: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let passt = Passt::spawn(&PasstOptions::default())?;
    let kernel = Kernel::builder().link(passt, Config::dhcp()).boot()?;
    kernel
        .network()?
        .set_sysctl("net.ipv4.tcp_congestion_control", "bbr")?;

    let mut stream = TcpStream::connect(&kernel, address)?;
    write!(stream, "GET / HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    io::copy(&mut stream, to)?;
    Ok(())
}

/// From a server of the host, which is 10.0.2.2 by that link.
#[test]
fn gets_a_page_of_the_host() -> Result<(), Box<dyn Error>> {
    use std::io::BufRead;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = format!("10.0.2.2:{}", listener.local_addr()?.port());
    let server = std::thread::spawn(move || -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        // All of the request: what is left unread resets the connection.
        let mut lines = io::BufReader::new(&stream).lines();
        while lines
            .next()
            .transpose()?
            .is_some_and(|line| !line.is_empty())
        {}
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello")
    });
    let mut page = Vec::new();
    get(&address, "localhost", &mut page)?;
    server.join().expect("it does not panic")?;
    assert!(page.ends_with(b"hello"), "{page:?}");
    Ok(())
}
