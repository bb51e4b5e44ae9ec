//! What the tests have in common.

use std::error::Error;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use drupe::Kernel;
use drupe::net::{Interface, Namespace, NewLink, TcpListener, TcpStream};

pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// A kernel whose loopback interface is up.
pub(crate) fn kernel() -> drupe::Result<Kernel> {
    let kernel = Kernel::boot()?;
    kernel.network()?.link("lo")?.set_up()?;
    Ok(kernel)
}

/// Runs `f` with a deadline that only a kernel that hangs exceeds.
pub(crate) fn bounded<T>(f: impl FnOnce() -> T) -> T {
    drupe::with_deadline(Instant::now() + Duration::from_secs(60), f)
}

/// Two sides at once, each bounded.
pub(crate) fn together<A, B: Send>(
    here: impl FnOnce() -> A,
    there: impl FnOnce() -> B + Send,
) -> (A, B) {
    thread::scope(|scope| {
        let there = scope.spawn(|| bounded(there));
        let here = bounded(here);
        (here, there.join().expect("the other side panicked"))
    })
}

/// Bytes that tell when any of them is lost or out of place.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    let word = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    let mut bytes: Vec<u8> = (0..len as u64 / 8 + 1).flat_map(word).collect();
    bytes.truncate(len);
    bytes
}

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
