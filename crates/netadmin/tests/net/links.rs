//! Interfaces, addresses, routes, rules, neighbours, sysctls.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use drupe::net::{Namespace, UdpSocket};
use drupe::{Cause, Errno, Kernel};
use drupe_netadmin::{
    Interface, InterfaceInfo, Neighbour, NetworkExt, NewLink, Prefix, Route, RouteKind, Rule, Tun,
    TunMode, netlink,
};

use crate::lab::{Outcome, bounded, join, kernel};

fn addresses(interface: &Interface) -> drupe::Result<Vec<String>> {
    let all = interface.addresses()?;
    Ok(all.iter().map(|a| a.prefix.to_string()).collect())
}

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
    assert_eq!(addresses(&lo)?, ["127.0.0.1/8", "::1/128"]);
    let error = network.link("eth0").unwrap_err();
    assert_eq!(error.errno(), Some(Errno::NODEV));
    lo.set_down()?;
    assert!(!lo.info()?.up);
    assert_eq!(lo.delete().unwrap_err().errno(), Some(Errno::OPNOTSUPP));
    Ok(())
}

#[test]
fn an_interface_is_what_it_is_set_to() -> Outcome {
    let kernel = kernel()?;
    let network = kernel.network()?;
    let dummy = network.create("dummy0", &NewLink::Dummy)?;
    let again = network.create("dummy0", &NewLink::Dummy).unwrap_err();
    assert_eq!(again.errno(), Some(Errno::EXIST));
    assert_eq!(
        again.to_string(),
        "create link dummy0: File exists (EEXIST)"
    );
    assert!(
        network
            .create("a-name-that-is-long", &NewLink::Dummy)
            .is_err()
    );
    for name in ["a\0b", &"x".repeat(70_000)] {
        assert!(network.link(name).is_err());
        assert!(dummy.rename(name).is_err());
    }
    dummy.set_mtu(1400)?;
    dummy.set_mac([2, 0, 0, 0, 0, 7])?;
    dummy.set_queue_len(77)?;
    dummy.rename("dummy7")?;
    dummy.set_up()?;
    let info = dummy.info()?;
    assert_eq!((&info.name[..], info.mtu, info.up), ("dummy7", 1400, true));
    assert_eq!(info.mac, [2, 0, 0, 0, 0, 7]);
    assert_eq!(info.kind.as_deref(), Some("dummy"));
    // The kernel says why.
    let kind = NewLink::Bridge {
        vlan_filtering: false,
        stp: false,
    };
    let bridge = network.create("br0", &kind)?;
    let error = bridge.set_mtu(1).unwrap_err();
    assert!(matches!(error.cause(), Cause::Netlink { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "set mtu: Invalid argument (EINVAL): mtu less than device minimum"
    );

    dummy.add_address("10.0.0.1/24")?;
    dummy.add_address("fd00::1/64")?;
    let twice = dummy.add_address("10.0.0.1/24").unwrap_err();
    assert_eq!(twice.errno(), Some(Errno::EXIST));
    let bad = dummy.add_address("10.0.0.1/33").unwrap_err();
    assert_eq!(
        bad.to_string(),
        "add address 10.0.0.1/33: Invalid argument (EINVAL)"
    );
    let all = addresses(&dummy)?;
    assert!(all.contains(&"10.0.0.1/24".into()) && all.contains(&"fd00::1/64".into()));
    // Usable at once.
    UdpSocket::bind(&kernel, "[fd00::1]:0")?;
    dummy.remove_address("10.0.0.1/24")?;
    assert!(!addresses(&dummy)?.contains(&"10.0.0.1/24".into()));
    dummy.delete()?;
    assert_eq!(dummy.info().unwrap_err().errno(), Some(Errno::NODEV));
    Ok(())
}

#[test]
fn every_kind_can_be_made() -> Outcome {
    let kernel = kernel()?;
    let network = kernel.network()?;
    let base = network.create("base", &NewLink::Dummy)?;
    base.set_up()?;
    let kinds = [
        (
            "veth",
            NewLink::Veth {
                peer: "peer",
                namespace: None,
            },
        ),
        (
            "bridge",
            NewLink::Bridge {
                vlan_filtering: true,
                stp: false,
            },
        ),
        (
            "vlan",
            NewLink::Vlan {
                parent: &base,
                id: 5,
            },
        ),
        (
            "vxlan",
            NewLink::Vxlan {
                id: 7,
                local: None,
                remote: Some(IpAddr::from([239, 0, 0, 1])),
                port: 4789,
                parent: Some(&base),
            },
        ),
        ("macvlan", NewLink::Macvlan { parent: &base }),
        ("wireguard", NewLink::WireGuard),
        ("vrf", NewLink::Vrf { table: 9 }),
        (
            "bond",
            NewLink::Bond {
                mode: drupe_netadmin::BondMode::ActiveBackup,
            },
        ),
        ("ifb", NewLink::Ifb),
        ("dummy", NewLink::Other("dummy")),
    ];
    for (name, kind) in &kinds {
        let link = network.create(name, kind)?;
        let info = link.info()?;
        assert_eq!(info.kind.as_deref(), Some(*name));
        if matches!(*name, "vlan" | "macvlan") {
            assert_eq!(info.parent, Some(base.index()));
        }
        link.set_up()?;
        link.delete()?;
    }
    let left: Vec<String> = network.links()?.into_iter().map(|link| link.name).collect();
    assert_eq!(left, ["lo", "base"]);
    let unknown = network.create("x", &NewLink::Other("no such kind"));
    assert_eq!(unknown.unwrap_err().errno(), Some(Errno::OPNOTSUPP));
    Ok(())
}

#[test]
fn parts_of_bridges_and_bonds() -> Outcome {
    let kernel = kernel()?;
    let network = kernel.network()?;
    let bridge = network.create(
        "br0",
        &NewLink::Bridge {
            vlan_filtering: false,
            stp: false,
        },
    )?;
    let part = network.create("part", &NewLink::Dummy)?;
    part.set_master(Some(&bridge))?;
    assert_eq!(part.info()?.master, Some(bridge.index()));
    part.set_master(None)?;
    assert_eq!(part.info()?.master, None);
    Ok(())
}

#[test]
fn routes_come_and_go() -> Outcome {
    let kernel = kernel()?;
    let network = kernel.network()?;
    let dummy = network.create("dummy0", &NewLink::Dummy)?;
    dummy.add_address("10.0.0.1/24")?;
    dummy.add_address("fd00::1/64")?;
    dummy.set_up()?;
    let routes = [
        Route::default_via([10, 0, 0, 254]),
        Route::to("10.9.0.0/16".parse()?)
            .via([10, 0, 0, 2])
            .metric(100),
        Route::to("10.10.0.0/16".parse()?)
            .device(&dummy)
            .table(1000)
            .mtu(1280),
        Route::to("10.11.0.0/16".parse()?)
            .via([10, 0, 0, 3])
            .source([10, 0, 0, 1])
            .congestion("bbr"),
        Route::to("10.12.0.0/16".parse()?).kind(RouteKind::Unreachable),
        Route::to("fd07::/16".parse()?)
            .via("fd00::2".parse::<IpAddr>()?)
            .metric(50),
    ];
    for route in &routes {
        network.add_route(route)?;
        let twice = network.add_route(route).unwrap_err();
        assert_eq!(twice.errno(), Some(Errno::EXIST), "{route:?}");
    }
    let all = network.routes()?;
    for route in &routes {
        let found = all.iter().any(|other| {
            let interface = route.interface.is_none() || other.interface == route.interface;
            (other.destination, other.gateway, other.table, other.kind)
                == (route.destination, route.gateway, route.table, route.kind)
                && (other.mtu, &other.congestion) == (route.mtu, &route.congestion)
                && (route.metric.is_none() || other.metric == route.metric)
                && (route.source.is_none() || other.source == route.source)
                && interface
        });
        assert!(found, "{route:?} is not among {all:#?}");
    }
    let taken = network.route_to([10, 9, 1, 1])?;
    assert_eq!(taken.gateway, Some([10, 0, 0, 2].into()));
    assert_eq!(taken.interface, Some(dummy.index()));
    assert_eq!(taken.source, Some([10, 0, 0, 1].into()));
    let error = network.route_to([10, 12, 1, 1]).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::HOSTUNREACH));
    network.replace_route(
        &Route::to("10.9.0.0/16".parse()?)
            .via([10, 0, 0, 9])
            .metric(100),
    )?;
    assert_eq!(
        network.route_to([10, 9, 1, 1])?.gateway,
        Some([10, 0, 0, 9].into())
    );
    for route in &routes[2..] {
        network.remove_route(route)?;
        let gone = network.remove_route(route).unwrap_err();
        assert_eq!(gone.errno(), Some(Errno::SRCH), "{route:?}");
    }
    let error = network
        .add_route(&Route::default_via([192, 0, 2, 1]).metric(9))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "add route 0.0.0.0/0: Network is unreachable (ENETUNREACH): Nexthop has invalid gateway"
    );
    Ok(())
}

#[test]
fn rules_choose_tables() -> Outcome {
    let kernel = kernel()?;
    let network = kernel.network()?;
    let (one, other) = (
        network.create("one", &NewLink::Dummy)?,
        network.create("other", &NewLink::Dummy)?,
    );
    for (interface, address) in [(&one, "10.0.1.1/24"), (&other, "10.0.2.1/24")] {
        interface.add_address(address)?;
        interface.set_up()?;
    }
    network.add_route(&Route::default_via([10, 0, 1, 254]))?;
    network.add_route(&Route::default_via([10, 0, 2, 254]).table(100))?;
    let marked = Rule::table(100).mark(7).priority(50);
    let from = Rule::table(100)
        .from("10.0.2.0/24".parse::<Prefix>()?)
        .priority(60);
    let six = Rule::table(200)
        .to("fd00::/8".parse::<Prefix>()?)
        .priority(70);
    let input = Rule::table(100)
        .input("one")
        .output("other")
        .priority(80)
        .v6();
    for rule in [&marked, &from, &six, &input] {
        network.add_rule(rule)?;
        assert_eq!(
            network.add_rule(rule).unwrap_err().errno(),
            Some(Errno::EXIST)
        );
    }
    let rules = network.rules()?;
    for rule in [&marked, &from, &six, &input] {
        assert!(rules.contains(rule), "{rule:?} is not among {rules:#?}");
    }
    // Where does a socket's packet leave?
    let source = |mark: u32| -> Result<IpAddr, drupe::Error> {
        let socket = UdpSocket::bind(&kernel, "0.0.0.0:0")?;
        socket.as_socket().set_mark(mark)?;
        socket.connect("192.0.2.1:9")?;
        Ok(socket.local_addr()?.ip())
    };
    assert_eq!(source(0)?, IpAddr::from([10, 0, 1, 1]));
    assert_eq!(source(7)?, IpAddr::from([10, 0, 2, 1]));
    network.remove_rule(&marked)?;
    assert_eq!(source(7)?, IpAddr::from([10, 0, 1, 1]));
    assert_eq!(
        network.remove_rule(&marked).unwrap_err().errno(),
        Some(Errno::NOENT)
    );
    Ok(())
}

#[test]
fn neighbours_by_hand() -> Outcome {
    let kernel = kernel()?;
    let network = kernel.network()?;
    let dummy = network.create("dummy0", &NewLink::Dummy)?;
    dummy.add_address("10.0.0.1/24")?;
    dummy.set_up()?;
    let neighbour = Neighbour::permanent(dummy.index(), [10, 0, 0, 2], [2, 0, 0, 0, 0, 2]);
    network.set_neighbour(&neighbour)?;
    assert!(network.neighbours()?.contains(&neighbour));
    network.remove_neighbour(&neighbour)?;
    assert!(!network.neighbours()?.contains(&neighbour));
    Ok(())
}

#[test]
fn sysctls_are_each_namespaces_own() -> Outcome {
    let kernel = kernel()?;
    let network = kernel.network()?;
    let other = Namespace::new(&kernel)?.network()?;
    assert_eq!(network.sysctl("net.ipv4.tcp_congestion_control")?, "cubic");
    other.set_sysctl("net.ipv4.tcp_congestion_control", "bbr")?;
    assert_eq!(other.sysctl("net.ipv4.tcp_congestion_control")?, "bbr");
    assert_eq!(network.sysctl("net.ipv4.tcp_congestion_control")?, "cubic");
    network.set_sysctl("net.ipv4.ip_forward", 1)?;
    assert_eq!(network.sysctl("net.ipv4.ip_forward")?, "1");
    let error = network.sysctl("net.ipv4.none_such").unwrap_err();
    assert_eq!(
        error.to_string(),
        "sysctl net.ipv4.none_such: No such file or directory (ENOENT)"
    );
    assert!(network.set_sysctl("net.ipv4.ip_forward", "much").is_err());
    assert!(network.sysctl("net.//.//.kcore").is_err());
    Ok(())
}

#[test]
fn tun_and_tap_are_read_and_written() -> Outcome {
    let kernel = kernel()?;
    let network = kernel.network()?;
    let tun = network.tun("tun%d", TunMode::Ip)?;
    assert_eq!(tun.interface().name()?, "tun0");
    tun.interface().add_address("10.0.0.1/24")?;
    network.set_sysctl("net.ipv6.conf.tun0.disable_ipv6", 1)?;
    tun.interface().set_up()?;
    let socket = UdpSocket::bind(&kernel, "10.0.0.1:1000")?;
    socket.send_to(b"ping", "10.0.0.2:2000")?;
    let mut packet = vec![0; 100];
    let len = bounded(|| tun.recv(&mut packet))?;
    assert_eq!((len, &packet[28..32]), (32, b"ping".as_slice()));
    // The answer: addresses and ports change places, sums stay the same.
    let (mut answer, len) = (packet[..len].to_vec(), 4);
    answer[12..16].copy_from_slice(&packet[16..20]);
    answer[16..20].copy_from_slice(&packet[12..16]);
    answer[20..22].copy_from_slice(&packet[22..24]);
    answer[22..24].copy_from_slice(&packet[20..22]);
    tun.send(&answer)?;
    let mut bytes = [0; 8];
    let (got, from) = bounded(|| socket.recv_from(&mut bytes))?;
    assert_eq!((got, &bytes[..4]), (len, b"ping".as_slice()));
    assert_eq!(from, "10.0.0.2:2000".parse()?);
    let poll = drupe::net::Poll::new(&kernel)?;
    let interest = drupe::net::Interest::READABLE;
    poll.add(&tun, interest, drupe::net::Token(7))?;
    let mut events = drupe::net::Events::with_capacity(1);
    poll.wait(&mut events, Some(Duration::ZERO))?;
    assert!(events.is_empty());
    socket.send_to(b"more", "10.0.0.2:2000")?;
    bounded(|| poll.wait(&mut events, None))?;
    assert_eq!(events.len(), 1);
    tun.recv(&mut packet)?;
    tun.set_nonblocking(true)?;
    assert_eq!(
        tun.recv(&mut bytes).unwrap_err().errno(),
        Some(Errno::AGAIN)
    );
    drop(tun);
    assert!(network.link("tun0").is_err());

    let tap: Tun = network.tun("tap0", TunMode::Ethernet)?;
    assert_eq!(tap.interface().info()?.mac.len(), 6);
    let name = network.tun("a-name-that-is-long", TunMode::Ip);
    assert_eq!(name.unwrap_err().errno(), Some(Errno::INVAL));
    Ok(())
}

#[test]
fn requests_of_ones_own() -> Outcome {
    let kernel = kernel()?;
    // What sockets are there: struct inet_diag_req_v2 of TCP in all states.
    let _listener = drupe::net::TcpListener::bind(&kernel, "127.0.0.1:4321")?;
    let diagnosis = netlink::Netlink::new(&kernel, libc::NETLINK_SOCK_DIAG)?;
    let mut request = [0; 56];
    request[..2].copy_from_slice(&[libc::AF_INET as u8, libc::IPPROTO_TCP as u8]);
    request[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
    let sockets = diagnosis.dump(20, &netlink::Body::new(&request))?;
    let ports: Vec<u16> = sockets
        .iter()
        .map(|socket| u16::from_be_bytes([socket.payload[4], socket.payload[5]]))
        .collect();
    assert_eq!(ports, [4321]);
    let generic = netlink::Netlink::new(&kernel, libc::NETLINK_GENERIC)?;
    assert!(generic.family("wireguard")? > 16);
    let error = generic.family("none such").unwrap_err();
    assert_eq!(error.errno(), Some(Errno::NOENT));
    Ok(())
}

#[test]
fn news_of_interfaces() -> Outcome {
    let kernel = kernel()?;
    let network = kernel.network()?;
    let news = netlink::Netlink::new(&kernel, libc::NETLINK_ROUTE)?;
    news.join(libc::RTNLGRP_LINK)?;
    network.create("dummy0", &NewLink::Dummy)?;
    let messages = bounded(|| news.receive())?;
    assert_eq!(messages[0].kind, libc::RTM_NEWLINK);
    let attributes = netlink::Attributes::behind(16, &messages[0].payload);
    let name = attributes.clone().find(libc::IFLA_IFNAME);
    assert_eq!(name.ok_or("no name")?.text(), "dummy0");
    Ok(())
}

#[test]
fn the_same_name_in_two_namespaces() -> Outcome {
    let kernel = kernel()?;
    let network = kernel.network()?;
    let (one, other) = (Namespace::new(&kernel)?, Namespace::new(&kernel)?);
    join(&one, &other, "eth0", ["10.0.0.1/24", "10.0.0.2/24"])?;
    assert!(network.link("eth0").is_err());
    // A thread is where it was, whatever happens inside.
    let panicked = catch_unwind(AssertUnwindSafe(|| one.run(|| panic!("expected"))));
    assert!(panicked.is_err());
    assert_eq!(kernel.network()?.links()?.len(), 1);
    // Nested, and sockets that stay.
    let socket = one.run(|| {
        other
            .run(|| assert_eq!(kernel.network().unwrap().links().unwrap().len(), 2))
            .unwrap();
        UdpSocket::bind(&kernel, "10.0.0.1:0")
    })??;
    assert!(UdpSocket::bind(&kernel, "10.0.0.1:0").is_err());
    let receiver = other.run(|| UdpSocket::bind(&kernel, "10.0.0.2:0"))??;
    socket.send_to(b"across", receiver.local_addr()?)?;
    let mut bytes = [0; 8];
    assert_eq!(bounded(|| receiver.recv(&mut bytes))?, 6);
    // An interface moves, and its peer stays.
    let moved = one.network()?.link("eth0")?;
    moved.rename("moved")?;
    let moved = moved.set_namespace(network.namespace())?;
    assert_eq!(moved.name()?, "moved");
    assert!(!moved.info()?.up);
    assert_eq!(network.links()?.len(), 2);
    assert!(one.network()?.link("moved").is_err());
    Ok(())
}

#[test]
fn counters_count() -> Outcome {
    let kernel = kernel()?;
    let lo = kernel.network()?.link("lo")?;
    let socket = UdpSocket::bind(&kernel, "127.0.0.1:0")?;
    let before = lo.info()?;
    for _ in 0..10 {
        socket.send_to(&[0; 100], socket.local_addr()?)?;
    }
    let after: InterfaceInfo = lo.info()?;
    assert_eq!(after.tx_packets - before.tx_packets, 10);
    assert!(after.rx_bytes - before.rx_bytes >= 1280);
    Ok(())
}

#[test]
fn a_namespace_ends_with_its_last_handle() -> Outcome {
    let kernel = kernel()?;
    let network = kernel.network()?;
    let namespace = Namespace::new(&kernel)?;
    let kind = NewLink::Veth {
        peer: "peer",
        namespace: Some(&namespace),
    };
    let here = network.create("here", &kind)?;
    assert!(namespace.network()?.link("peer").is_ok());
    drop(namespace);
    // The kernel cleans up on its own time: the pair goes with the namespace.
    let end = Instant::now() + Duration::from_secs(60);
    while here.info().is_ok() {
        assert!(Instant::now() < end, "the namespace is still there");
        std::thread::yield_now();
    }
    Ok(())
}
