//! The DHCP client, against a server of a few lines.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use drupe::net::{Domain, Namespace, Protocol, Socket, Type, UdpSocket};
use drupe::{Cause, Errno, Kernel};
use drupe_netadmin::{Config, Lease, NetworkExt, NewLink};

use crate::lab::{Outcome, bounded, kernel, together, transfer};

/// Two namespaces: a client's with `eth0` down, a server's with 10.0.0.1.
fn network(kernel: &Kernel) -> drupe::Result<(Namespace, Namespace)> {
    let (client, server) = (Namespace::new(kernel)?, Namespace::new(kernel)?);
    let kind = NewLink::Veth {
        peer: "eth0",
        namespace: Some(&server),
    };
    client.network()?.create("eth0", &kind)?;
    let eth0 = server.network()?.link("eth0")?;
    eth0.add_address("10.0.0.1/24")?;
    eth0.set_up()?;
    Ok((client, server))
}

pub(crate) struct Server {
    socket: UdpSocket,
    /// The first so many REQUESTs are refused.
    refuse: usize,
    /// The first so many messages are not heard.
    deaf: usize,
}

impl Server {
    pub(crate) fn new(kernel: &Kernel, namespace: &Namespace) -> drupe::Result<Server> {
        let socket = namespace.run(|| UdpSocket::bind(kernel, "0.0.0.0:67"))??;
        socket.set_broadcast(true)?;
        socket.as_socket().bind_device(Some("eth0"))?;
        Ok(Server {
            socket,
            refuse: 0,
            deaf: 0,
        })
    }

    /// Answers until it has given an address: what kinds of messages came.
    pub(crate) fn serve(mut self) -> drupe::Result<Vec<u8>> {
        let mut kinds = Vec::new();
        loop {
            let mut message = [0; 1500];
            let (len, from) = self.socket.recv_from(&mut message)?;
            assert_eq!(from, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 68)));
            assert!(len >= 300 && message[0] == 1);
            // The first option.
            assert_eq!(message[240..242], [53, 1]);
            let kind = message[242];
            kinds.push(kind);
            if self.deaf > 0 {
                self.deaf -= 1;
                continue;
            }
            let refused = kind == 3 && self.refuse > 0;
            self.refuse -= usize::from(refused);
            let answer = match (kind, refused) {
                (1, _) => 2,
                (3, false) => 5,
                (3, true) => 6,
                other => panic!("unexpected {other:?}"),
            };
            let mut reply = message[..240].to_vec();
            reply[0] = 2;
            reply[16..20].copy_from_slice(&[10, 0, 0, 77]);
            reply.extend([53, 1, answer, 54, 4, 10, 0, 0, 1, 51, 4, 0, 0, 2, 88]);
            reply.extend([1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 1]);
            reply.extend([6, 4, 10, 0, 0, 53, 26, 2, 5, 0, 15, 4]);
            reply.extend(b"test");
            reply.push(255);
            self.socket.send_to(&reply, "255.255.255.255:68")?;
            if answer == 5 {
                return Ok(kinds);
            }
        }
    }
}

pub(crate) fn check(client: &Namespace, lease: &Lease) -> Outcome {
    assert_eq!(lease.address.to_string(), "10.0.0.77/24");
    assert_eq!(lease.server, Ipv4Addr::new(10, 0, 0, 1));
    assert_eq!(lease.routers, [Ipv4Addr::new(10, 0, 0, 1)]);
    assert_eq!(lease.dns, [Ipv4Addr::new(10, 0, 0, 53)]);
    assert_eq!(lease.domain.as_deref(), Some("test"));
    assert_eq!(lease.lifetime, Some(Duration::from_secs(600)));
    let network = client.network()?;
    let eth0 = network.link("eth0")?;
    let address = eth0
        .addresses()?
        .into_iter()
        .find(|a| a.prefix == lease.address);
    assert!(address.ok_or("no address")?.dynamic);
    assert_eq!(eth0.info()?.mtu, 1280);
    let route = network.route_to([192, 0, 2, 1])?;
    assert_eq!(route.gateway, Some([10, 0, 0, 1].into()));
    Ok(())
}

#[test]
fn a_server_gives_an_address() -> Outcome {
    let kernel = kernel()?;
    let (client, server) = network(&kernel)?;
    let configure = || client.network()?.configure("eth0", &Config::dhcp());
    let serving = Server::new(&kernel, &server)?;
    let (lease, served) = together(configure, || serving.serve());
    assert_eq!(served?, [1, 3]);
    check(&client, &lease?.ok_or("no lease")?)?;
    transfer(&client, &server, "10.0.0.1:80", 100_000)?;
    // Again: the same address, prolonged.
    let serving = Server::new(&kernel, &server)?;
    let (lease, served) = together(configure, || serving.serve());
    served?;
    check(&client, &lease?.ok_or("no lease")?)?;
    assert_eq!(
        client
            .network()?
            .link("eth0")?
            .addresses()?
            .iter()
            .filter(|a| a.dynamic)
            .count(),
        1
    );
    Ok(())
}

#[test]
fn a_server_that_refuses_and_one_that_is_hard_of_hearing() -> Outcome {
    let kernel = kernel()?;
    let (client, server) = network(&kernel)?;
    let configure = || client.network()?.configure("eth0", &Config::dhcp());
    let serving = Server {
        refuse: 1,
        deaf: 1,
        ..Server::new(&kernel, &server)?
    };
    let (lease, served) = together(configure, || serving.serve());
    // The first one is repeated; after the refusal, all again.
    assert_eq!(served?, [1, 1, 3, 1, 3]);
    check(&client, &lease?.ok_or("no lease")?)
}

#[test]
fn nobody_answers() -> Outcome {
    let kernel = kernel()?;
    let (client, _server) = network(&kernel)?;
    let (start, time) = (Instant::now(), Duration::from_millis(100));
    let config = Config::dhcp().timeout(time);
    let error = bounded(|| client.network()?.configure("eth0", &config)).unwrap_err();
    assert!(matches!(error.cause(), Cause::TimedOut), "{error}");
    assert_eq!(error.operation(), "dhcp");
    assert!(start.elapsed() >= time);
    // Of an interface that is no Ethernet.
    let network = client.network()?;
    let tun = network.tun("tun0", drupe_netadmin::TunMode::Ip)?;
    let error = network.configure("tun0", &config).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::AFNOSUPPORT));
    drop(tun);
    Ok(())
}

#[test]
fn by_hand() -> Outcome {
    let kernel = kernel()?;
    let (client, server) = network(&kernel)?;
    let config = Config::new()
        .address("10.0.0.2/24")
        .address("fd00::2/64")
        .gateway([10, 0, 0, 1])
        .mtu(1400);
    for _ in 0..2 {
        // The second time, all is there already.
        assert_eq!(client.network()?.configure("eth0", &config)?, None);
    }
    transfer(&client, &server, "10.0.0.1:80", 100_000)?;
    let network = client.network()?;
    assert_eq!(network.link("eth0")?.info()?.mtu, 1400);
    assert_eq!(
        network.route_to([192, 0, 2, 1])?.gateway,
        Some([10, 0, 0, 1].into())
    );
    Ok(())
}

/// A router advertises a network, and the kernel takes an address there.
#[test]
fn ipv6_by_a_router() -> Outcome {
    let kernel = kernel()?;
    let (client, router) = network(&kernel)?;
    // Nobody else is there to have these addresses.
    for (namespace, dad) in [(&client, "default"), (&client, "eth0"), (&router, "eth0")] {
        let network = namespace.network()?;
        network.set_sysctl(&format!("net.ipv6.conf.{dad}.accept_dad"), 0)?;
    }
    // Its own address of the link is to be without that question, too.
    let eth0 = router.network()?.link("eth0")?;
    eth0.set_down()?;
    eth0.set_up()?;
    client.network()?.configure("eth0", &Config::new())?;
    let raw = |namespace: &Namespace| {
        let icmp = Some(Protocol::ICMPV6);
        namespace.run(|| Socket::new(&kernel, Domain::IPV6, Type::RAW, icmp))
    };
    let socket = raw(&router)??;
    socket.set_multicast_hops_v6(255)?;
    socket.set_multicast_if_v6(eth0.index())?;
    // RFC 4861: hops, flags, lifetime of the router, two timers; then the
    // network, on this link and for addresses, valid for an hour.
    let mut advertisement = vec![134, 0, 0, 0, 64, 0, 0x07, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    advertisement.extend([3, 4, 64, 0xc0, 0, 0, 14, 16, 0, 0, 14, 16, 0, 0, 0, 0]);
    advertisement.extend("fd00:7::".parse::<Ipv6Addr>()?.octets());
    let all: SocketAddr = "[ff02::1]:0".parse()?;
    let network = client.network()?;
    let end = Instant::now() + Duration::from_secs(60);
    let address = loop {
        // Until both ends have their own addresses of the link.
        let _ = socket.send_to(&advertisement, all);
        let found = network
            .link("eth0")?
            .addresses()?
            .into_iter()
            .find(|address| address.prefix.to_string().starts_with("fd00:7::"));
        match found {
            Some(address) => break address,
            None => assert!(Instant::now() < end, "no address"),
        }
        std::thread::yield_now();
    };
    assert_eq!(address.prefix.len, 64);
    assert!(address.dynamic);
    let route = network.route_to("fd99::1".parse::<Ipv6Addr>()?)?;
    assert!(matches!(route.gateway, Some(IpAddr::V6(router)) if router.is_unicast_link_local()));
    Ok(())
}
