//! Helpers of the tests, some of them shared with the tests of sockets.

#[path = "../../../drupe/tests/net/lab.rs"]
mod base;

pub(crate) use base::{Outcome, bounded, kernel, pattern, together};

use std::error::Error;
use std::io::{Read, Write};
use std::net::SocketAddr;

use drupe::net::{Namespace, TcpListener, TcpStream};
use drupe_netadmin::{Interface, NetworkExt, NewLink};

/// Joins two namespaces by a pair of interfaces of one name, with an address
/// each, which are up; and their loopbacks too.
pub(crate) fn join(
    one: &Namespace,
    other: &Namespace,
    name: &str,
    addresses: [&str; 2],
) -> drupe::Result<[Interface; 2]> {
    let kind = NewLink::Veth {
        peer: name,
        namespace: Some(other),
    };
    let here = one.network()?.create(name, &kind)?;
    let there = other.network()?.link(name)?;
    for (interface, address) in [(&here, addresses[0]), (&there, addresses[1])] {
        interface.network().link("lo")?.set_up()?;
        interface.add_address(address)?;
        interface.set_up()?;
    }
    Ok([here, there])
}

/// Sends `len` bytes from one namespace to an address of another one, maybe of
/// another kernel, and back;
/// what the client's connection looked like at the end.
pub(crate) fn transfer(
    from: &Namespace,
    to: &Namespace,
    address: &str,
    len: usize,
) -> Result<TcpStream, Box<dyn Error>> {
    let (client_kernel, server_kernel) = (from.kernel(), to.kernel());
    let address: SocketAddr = address.parse()?;
    let listener = to.run(|| TcpListener::bind(&server_kernel, address))??;
    let data = pattern(len);
    let client = || -> std::io::Result<TcpStream> {
        let mut stream = from.run(|| TcpStream::connect(&client_kernel, address))??;
        stream.write_all(&data)?;
        let mut back = vec![0; data.len()];
        stream.read_exact(&mut back)?;
        assert!(back == data, "damaged on its way back");
        Ok(stream)
    };
    let server = || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        let mut got = vec![0; len];
        stream.read_exact(&mut got)?;
        stream.write_all(&got)
    };
    let (stream, served) = together(client, server);
    served?;
    Ok(stream?)
}
