//! nftables: packets that are accepted, dropped and translated.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use drupe::net::{Namespace, TcpListener, TcpStream, UdpSocket};
use drupe::{Cause, Errno, Kernel};
use drupe_netadmin::{FilterHook, FilterRule, NetworkExt, Route};

use crate::lab::{Outcome, join, kernel, together, transfer};

/// A client, a router that forwards, a server, which has no way back to the
/// client's own address, 192.168.0.2.
fn routed(kernel: &Kernel) -> drupe::Result<[Namespace; 3]> {
    let client = Namespace::new(kernel)?;
    let (router, server) = (Namespace::new(kernel)?, Namespace::new(kernel)?);
    join(&client, &router, "in", ["192.168.0.2/24", "192.168.0.1/24"])?;
    join(&server, &router, "out", ["10.0.0.2/24", "10.0.0.1/24"])?;
    client
        .network()?
        .add_route(&Route::default_via([192, 168, 0, 1]))?;
    router.network()?.set_sysctl("net.ipv4.ip_forward", 1)?;
    Ok([client, router, server])
}

/// For who is not answered at all.
const SOON: Duration = Duration::from_millis(100);

/// How a connection that is given up after some time fares.
fn connect(from: &Namespace, address: &str, timeout: Duration) -> Result<(), drupe::Error> {
    let address: SocketAddr = address.parse().unwrap();
    let kernel = from.kernel();
    from.run(|| TcpStream::connect_timeout(&kernel, &address, timeout))?
        .map(drop)
}

#[test]
fn a_router_that_masquerades_and_redirects() -> Outcome {
    let kernel = kernel()?;
    let [client, router, server] = routed(&kernel)?;
    let network = router.network()?;
    let masquerade = FilterRule::at(FilterHook::Postrouting)
        .to_interface("out")
        .from("192.168.0.0/16".parse()?)
        .masquerade();
    let redirect = FilterRule::at(FilterHook::Prerouting)
        .from_interface("out")
        .to("10.0.0.1".parse::<IpAddr>()?.into())
        .tcp(8080)
        .redirect_to("192.168.0.2:80".parse()?);
    network.set_filter("nat", &[masquerade, redirect])?;

    let listener = server.run(|| TcpListener::bind(&kernel, "10.0.0.2:80"))??;
    let call = || client.run(|| TcpStream::connect(&kernel, "10.0.0.2:80"));
    let (_client, accepted) = together(call, || listener.accept());
    assert_eq!(accepted?.1.ip(), IpAddr::from([10, 0, 0, 1]));
    transfer(&client, &server, "10.0.0.2:81", 1 << 20)?;
    // The other way: the router's port is the client's.
    let listener = client.run(|| TcpListener::bind(&kernel, "192.168.0.2:80"))??;
    let call = || server.run(|| TcpStream::connect(&kernel, "10.0.0.1:8080"));
    let (called, accepted) = together(call, || listener.accept());
    called??;
    assert_eq!(accepted?.1.ip(), IpAddr::from([10, 0, 0, 2]));

    network.remove_filter("nat")?;
    let gone = network.remove_filter("nat").unwrap_err();
    assert_eq!(gone.errno(), Some(Errno::NOENT));
    assert_eq!(gone.path(), Some("nat".as_ref()));
    Ok(())
}

#[test]
fn what_passes_and_what_does_not() -> Outcome {
    let kernel = kernel()?;
    let (one, other) = (Namespace::new(&kernel)?, Namespace::new(&kernel)?);
    join(&one, &other, "eth0", ["10.0.0.1/24", "10.0.0.2/24"])?;
    join(&one, &other, "six", ["fd00::1/64", "fd00::2/64"])?;
    let network = other.network()?;
    let at = || FilterRule::at(FilterHook::Input);
    let rules = [
        at().established().accept(),
        at().tcp(80).from("10.0.0.0/28".parse()?).accept(),
        at().tcp(80)
            .from("fd00::1".parse::<IpAddr>()?.into())
            .accept(),
        at().tcp(81).drop(),
        at().udp(82).reject(),
        at().from_interface("six")
            .transport(libc::IPPROTO_TCP)
            .reject(),
    ];
    network.set_filter("gate", &rules)?;
    transfer(&one, &other, "10.0.0.2:80", 100_000)?;
    transfer(&one, &other, "[fd00::2]:80", 100_000)?;
    let dropped = connect(&one, "10.0.0.2:81", SOON).unwrap_err();
    assert!(matches!(dropped.cause(), Cause::TimedOut), "{dropped}");
    // ICMP says so while the call has the socket; the second SYN, after a
    // second, gets the answer.
    let refused = connect(&one, "[fd00::2]:83", Duration::from_secs(60)).unwrap_err();
    assert_eq!(refused.errno(), Some(Errno::CONNREFUSED));
    let socket = one.run(|| UdpSocket::bind(&kernel, "10.0.0.1:0"))??;
    socket.connect("10.0.0.2:82")?;
    socket.send(b"x")?;
    let refused = crate::lab::bounded(|| socket.recv(&mut [0; 8])).unwrap_err();
    assert_eq!(refused.errno(), Some(Errno::CONNREFUSED));
    // Answers pass, whatever is asked for is not let in.
    transfer(&other, &one, "10.0.0.1:90", 100_000)?;
    // Of the rules of that name only the new ones are left.
    network.set_filter("gate", &[at().tcp(80).drop()])?;
    let dropped = connect(&one, "10.0.0.2:80", SOON).unwrap_err();
    assert!(matches!(dropped.cause(), Cause::TimedOut), "{dropped}");
    transfer(&one, &other, "10.0.0.2:81", 100_000)?;
    Ok(())
}

#[test]
fn all_or_nothing() -> Outcome {
    let kernel = kernel()?;
    let network = kernel.network()?;
    let drop = FilterRule::at(FilterHook::Output).mark(7).udp(9).drop();
    network.set_filter("table", std::slice::from_ref(&drop))?;
    let socket = UdpSocket::bind(&kernel, "127.0.0.1:0")?;
    socket.as_socket().set_mark(7)?;
    let blocked = || socket.send_to(b"x", "127.0.0.1:9").is_err();
    assert!(blocked());
    // Nothing can be masqueraded there.
    let wrong = FilterRule::at(FilterHook::Input).masquerade();
    assert!(network.set_filter("table", &[wrong]).is_err());
    assert!(blocked());
    assert!(network.set_filter("a\0b", &[]).is_err());
    network.set_filter("table", &[])?;
    assert!(!blocked());
    Ok(())
}
