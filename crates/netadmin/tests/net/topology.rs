//! Networks of several namespaces: routers, bridges, tunnels.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use drupe::net::{Namespace, TcpListener, TcpStream, UdpSocket};
use drupe::{Errno, Kernel};
use drupe_netadmin::netlink::{self, Body};
use drupe_netadmin::{Interface, Netlink, NetworkExt, NewLink, Route, Rule};

use crate::lab::{Outcome, bounded, join, kernel, together, transfer};

/// Namespaces whose interfaces `eth0` are ports of one bridge of the kernel's
/// first namespace, with the addresses 10.0.0.1 and so on.
fn bridged(kernel: &Kernel, count: u8) -> drupe::Result<(Vec<Namespace>, Vec<Interface>)> {
    let network = kernel.network()?;
    let kind = NewLink::Bridge {
        vlan_filtering: false,
        stp: false,
    };
    let bridge = network.create("br0", &kind)?;
    bridge.set_up()?;
    let (mut namespaces, mut ports) = (Vec::new(), Vec::new());
    for number in 1..=count {
        let namespace = Namespace::new(kernel)?;
        let name = format!("port{number}");
        let kind = NewLink::Veth {
            peer: "eth0",
            namespace: Some(&namespace),
        };
        let port = network.create(&name, &kind)?;
        port.set_master(Some(&bridge))?;
        port.set_up()?;
        // What the kernel says to its own sockets comes by there.
        namespace.network()?.link("lo")?.set_up()?;
        let eth0 = namespace.network()?.link("eth0")?;
        eth0.add_address(&format!("10.0.0.{number}/24"))?;
        eth0.set_up()?;
        namespaces.push(namespace);
        ports.push(port);
    }
    Ok((namespaces, ports))
}

#[test]
fn through_a_router() -> Outcome {
    let kernel = kernel()?;
    let [client, router, server] = [(); 3].map(|()| Namespace::new(&kernel));
    let (client, router, server) = (client?, router?, server?);
    join(&client, &router, "east", ["10.1.0.1/24", "10.1.0.254/24"])?;
    join(&server, &router, "west", ["10.2.0.1/24", "10.2.0.254/24"])?;
    client
        .network()?
        .add_route(&Route::default_via([10, 1, 0, 254]))?;
    server
        .network()?
        .add_route(&Route::default_via([10, 2, 0, 254]))?;
    let address: SocketAddr = "10.2.0.1:80".parse()?;
    let connect = || {
        let timeout = Duration::from_secs(60);
        client.run(|| TcpStream::connect_timeout(&kernel, &address, timeout))
    };
    // It does not forward yet, and says nothing. A route that is refused does.
    let router = router.network()?;
    router.set_sysctl("net.ipv4.ip_forward", 1)?;
    assert_eq!(connect()?.unwrap_err().errno(), Some(Errno::CONNREFUSED));
    transfer(&client, &server, "10.2.0.1:80", 1 << 20)?;
    let unreachable = Route::to("10.2.0.1/32".parse()?).kind(drupe_netadmin::RouteKind::Prohibit);
    router.add_route(&unreachable)?;
    assert_eq!(connect()?.unwrap_err().errno(), Some(Errno::HOSTUNREACH));
    Ok(())
}

#[test]
fn through_a_router_over_ipv6() -> Outcome {
    let kernel = kernel()?;
    let [client, router, server] = [(); 3].map(|()| Namespace::new(&kernel));
    let (client, router, server) = (client?, router?, server?);
    join(&client, &router, "east", ["fd01::1/64", "fd01::ff/64"])?;
    join(&server, &router, "west", ["fd02::1/64", "fd02::ff/64"])?;
    let gateway = |text: &str| text.parse::<IpAddr>().map(Route::default_via);
    client.network()?.add_route(&gateway("fd01::ff")?)?;
    server.network()?.add_route(&gateway("fd02::ff")?)?;
    router
        .network()?
        .set_sysctl("net.ipv6.conf.all.forwarding", 1)?;
    transfer(&client, &server, "[fd02::1]:80", 1 << 20)?;
    Ok(())
}

#[test]
fn a_bridge_is_a_switch() -> Outcome {
    let kernel = kernel()?;
    let (namespaces, ports) = bridged(&kernel, 3)?;
    for (from, to, address) in [
        (0, 1, "10.0.0.2:80"),
        (1, 2, "10.0.0.3:80"),
        (2, 0, "10.0.0.1:80"),
    ] {
        transfer(&namespaces[from], &namespaces[to], address, 100_000)?;
    }
    let before = ports[2].info()?.tx_packets;
    transfer(&namespaces[0], &namespaces[1], "10.0.0.2:81", 1 << 20)?;
    // It knows by now who is where: the third port has seen little of that.
    let seen = ports[2].info()?.tx_packets - before;
    assert!(
        seen < 20,
        "{seen} packets went to a port that was not asked"
    );
    // Out of the bridge, and out of reach.
    ports[1].set_master(None)?;
    namespaces[0]
        .network()?
        .set_sysctl("net.ipv4.neigh.eth0.retrans_time_ms", 10)?;
    namespaces[0].network()?.link("eth0")?.set_down()?;
    namespaces[0].network()?.link("eth0")?.set_up()?;
    let connect = || TcpStream::connect(&kernel, "10.0.0.2:82");
    let error = namespaces[0].run(|| bounded(connect))?.unwrap_err();
    assert_eq!(error.errno(), Some(Errno::HOSTUNREACH));
    Ok(())
}

#[test]
fn vlans_on_one_wire() -> Outcome {
    let kernel = kernel()?;
    let (one, other) = (Namespace::new(&kernel)?, Namespace::new(&kernel)?);
    join(&one, &other, "eth0", ["10.0.0.1/24", "10.0.0.2/24"])?;
    let vlan = |namespace: &Namespace, id, address: &str| -> drupe::Result<Interface> {
        let network = namespace.network()?;
        let parent = network.link("eth0")?;
        let kind = NewLink::Vlan {
            parent: &parent,
            id,
        };
        let vlan = network.create(&format!("eth0.{id}"), &kind)?;
        vlan.add_address(address)?;
        vlan.set_up()?;
        Ok(vlan)
    };
    vlan(&one, 5, "10.5.0.1/24")?;
    let far = vlan(&other, 5, "10.5.0.2/24")?;
    vlan(&one, 6, "10.6.0.1/24")?;
    vlan(&other, 6, "10.6.0.2/24")?;
    transfer(&one, &other, "10.5.0.2:80", 100_000)?;
    transfer(&one, &other, "10.6.0.2:80", 100_000)?;
    assert!(far.info()?.rx_bytes >= 100_000);
    Ok(())
}

#[test]
fn vxlan_over_a_routed_network() -> Outcome {
    let kernel = kernel()?;
    let (one, other) = (Namespace::new(&kernel)?, Namespace::new(&kernel)?);
    join(&one, &other, "eth0", ["10.0.0.1/24", "10.0.0.2/24"])?;
    let ends = [
        (&one, [10, 0, 0, 1], [10, 0, 0, 2]),
        (&other, [10, 0, 0, 2], [10, 0, 0, 1]),
    ];
    for (number, (namespace, local, remote)) in ends.into_iter().enumerate() {
        let kind = NewLink::Vxlan {
            id: 4242,
            local: Some(local.into()),
            remote: Some(remote.into()),
            port: 4789,
            parent: None,
        };
        let vxlan = namespace.network()?.create("vx0", &kind)?;
        vxlan.add_address(&format!("192.168.0.{}/24", number + 1))?;
        vxlan.set_up()?;
    }
    transfer(&one, &other, "192.168.0.2:80", 1 << 20)?;
    let carried = other.network()?.link("vx0")?.info()?.rx_bytes;
    assert!(carried >= 1 << 20, "{carried}");
    Ok(())
}

#[test]
fn two_uplinks_and_a_policy() -> Outcome {
    let kernel = kernel()?;
    let (one, other) = (Namespace::new(&kernel)?, Namespace::new(&kernel)?);
    join(&one, &other, "a", ["10.1.0.1/24", "10.1.0.2/24"])?;
    join(&one, &other, "b", ["10.2.0.1/24", "10.2.0.2/24"])?;
    let far = other.network()?.create("far", &NewLink::Dummy)?;
    far.add_address("10.99.0.1/32")?;
    far.set_up()?;
    let network = one.network()?;
    network.add_route(&Route::default_via([10, 1, 0, 2]))?;
    network.add_route(&Route::default_via([10, 2, 0, 2]).table(7))?;
    network.add_rule(&Rule::table(7).mark(1))?;
    let receiver = other.run(|| UdpSocket::bind(&kernel, "10.99.0.1:9"))??;
    let mut bytes = [0; 8];
    for (mark, source) in [(0, [10, 1, 0, 1]), (1, [10, 2, 0, 1])] {
        let sender = one.run(|| UdpSocket::bind(&kernel, "0.0.0.0:0"))??;
        sender.as_socket().set_mark(mark)?;
        sender.send_to(b"x", receiver.local_addr()?)?;
        let (_, from) = bounded(|| receiver.recv_from(&mut bytes))?;
        assert_eq!(from.ip(), IpAddr::from(source));
    }
    Ok(())
}

#[test]
fn a_vrf_has_routes_of_its_own() -> Outcome {
    let kernel = kernel()?;
    let (one, other) = (Namespace::new(&kernel)?, Namespace::new(&kernel)?);
    let [here, _] = join(&one, &other, "eth0", ["10.0.0.1/24", "10.0.0.2/24"])?;
    let network = one.network()?;
    let vrf = network.create("red", &NewLink::Vrf { table: 10 })?;
    vrf.set_up()?;
    here.set_master(Some(&vrf))?;
    let outside = one.run(|| TcpStream::connect(&kernel, "10.0.0.2:80"))?;
    assert_eq!(outside.unwrap_err().errno(), Some(Errno::NETUNREACH));
    let inside = one.run(|| UdpSocket::bind(&kernel, "0.0.0.0:0"))??;
    inside.as_socket().bind_device(Some("red"))?;
    let receiver = other.run(|| UdpSocket::bind(&kernel, "10.0.0.2:9"))??;
    inside.send_to(b"through the VRF", "10.0.0.2:9")?;
    let mut bytes = [0; 32];
    assert_eq!(bounded(|| receiver.recv(&mut bytes))?, 15);
    Ok(())
}

#[test]
fn many_namespaces() -> Outcome {
    let kernel = Kernel::builder().memory(256 << 20).boot()?;
    let (namespaces, _ports) = bridged(&kernel, 50)?;
    transfer(&namespaces[0], &namespaces[49], "10.0.0.50:80", 10_000)?;
    Ok(())
}

/// nftables over netlink: a table, a chain behind routing, and a rule that
/// masquerades.
fn masquerade(router: &Namespace) -> drupe::Result<Netlink> {
    const NFTABLES: u16 = 10;
    let kernel = router.kernel();
    let netlink = router.run(|| Netlink::new(&kernel, libc::NETLINK_NETFILTER))??;
    // struct nfgenmsg of IPv4.
    let body = || Body::new(&[2, 0, 0, 0]);
    let (mut table, mut chain, mut rule) = (body(), body(), body());
    table.put_str(1, "nat");
    chain.put_str(1, "nat").put_str(3, "out").put_str(7, "nat");
    // NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC.
    chain.nest(4, |hook| {
        hook.put(1, &4u32.to_be_bytes())
            .put(2, &100u32.to_be_bytes());
    });
    rule.put_str(1, "nat").put_str(2, "out");
    rule.nest(4, |expressions| {
        expressions.nest(1, |expression| {
            expression.put_str(1, "masq");
        });
    });
    let message = |kind: u16, body| (NFTABLES << 8 | kind, netlink::CREATE, body);
    let append = (
        NFTABLES << 8 | 6,
        netlink::CREATE | netlink::APPEND,
        rule.clone(),
    );
    netlink.batch(NFTABLES, &[message(0, table), message(3, chain), append])?;
    // All or nothing: this is no chain.
    let mut nowhere = body();
    nowhere.put_str(1, "nat").put_str(2, "nowhere");
    let twice = [message(6, rule), message(6, nowhere)];
    let error = netlink.batch(NFTABLES, &twice).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::NOENT), "{error}");
    Ok(netlink)
}

#[test]
fn addresses_are_translated() -> Outcome {
    let kernel = kernel()?;
    let [client, router, server] = [(); 3].map(|()| Namespace::new(&kernel));
    let (client, router, server) = (client?, router?, server?);
    join(&client, &router, "in", ["192.168.0.2/24", "192.168.0.1/24"])?;
    join(&server, &router, "out", ["10.0.0.2/24", "10.0.0.1/24"])?;
    client
        .network()?
        .add_route(&Route::default_via([192, 168, 0, 1]))?;
    router.network()?.set_sysctl("net.ipv4.ip_forward", 1)?;
    // The server has no way back to the client's own address.
    let netlink = masquerade(&router)?;
    let listener = server.run(|| TcpListener::bind(&kernel, "10.0.0.2:80"))??;
    let connect = || client.run(|| TcpStream::connect(&kernel, "10.0.0.2:80"));
    let (_client, accepted) = together(connect, || listener.accept());
    let (_server, from) = accepted?;
    assert_eq!(from.ip(), IpAddr::from([10, 0, 0, 1]));
    transfer(&client, &server, "10.0.0.2:81", 1 << 20)?;
    // Of the batch that failed, nothing is there: one rule.
    let rules = netlink.dump(10 << 8 | 7, &Body::new(&[2, 0, 0, 0]))?;
    assert_eq!(rules.len(), 1);
    Ok(())
}
