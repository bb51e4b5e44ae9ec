//! Kernels at a switch in the process.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use drupe_host::link::Offloads;
use drupe_links::{PortOptions, Station, Switch, SwitchOptions, pair};

use crate::kernel::{Net, Socket, at, transfer};

/// A connection between two kernels.
fn connected(near: &Net, far: &Net, host: u8) -> (Socket, Socket) {
    let listener = far.listen(at(host, 7)).unwrap();
    let client = near.connect(at(host, 7)).unwrap();
    (client, listener.accept().unwrap())
}

#[test]
fn a_hundred_megabytes_each_way() {
    let switch = Switch::new();
    let [near, far] = [1, 2].map(|host| Net::new(switch.port(PortOptions::default()), host));
    let (client, server) = connected(&near, &far, 2);
    transfer(&client, &server, 100 << 20);
    // Both at once.
    thread::scope(|scope| {
        scope.spawn(|| transfer(&client, &server, 50 << 20));
        scope.spawn(|| transfer(&server, &client, 50 << 20));
    });
    client.end().unwrap();
    assert_eq!((&server).read(&mut [0]).unwrap(), 0);
}

#[test]
fn the_same_over_a_pair_with_large_frames() {
    let (a, b) = pair(65_521);
    let (near, far) = (Net::new(a, 1), Net::new(b, 2));
    let (client, server) = connected(&near, &far, 2);
    transfer(&server, &client, 100 << 20);
}

/// A cable that loses, doubles, delays and reorders frames: TCP makes up for it.
#[test]
fn a_hundred_megabytes_over_a_bad_cable() {
    let options = SwitchOptions {
        offloads: Offloads::default(),
        ..SwitchOptions::default()
    };
    let switch = Switch::with(options);
    let bad = PortOptions {
        loss: 0.005,
        duplicate: 0.01,
        reorder: 0.02,
        reorder_delay: Duration::from_micros(300),
        seed: 42,
        ..PortOptions::default()
    };
    let near = Net::new(switch.port(PortOptions::default()), 1);
    let far = Net::new(switch.port(bad), 2);
    let (client, server) = connected(&near, &far, 2);
    let start = Instant::now();
    transfer(&client, &server, 100 << 20);
    println!("100 MiB over a bad cable in {:?}", start.elapsed());
}

#[test]
fn datagrams_take_as_long_as_the_cable() {
    let switch = Switch::new();
    let slow = PortOptions {
        delay: Duration::from_millis(20),
        ..PortOptions::default()
    };
    let [near, far] = [1, 2].map(|host| Net::new(switch.port(slow.clone()), host));
    let server = far.bind(libc::SOCK_DGRAM, at(2, 7)).unwrap();
    let client = near.bind(libc::SOCK_DGRAM, at(1, 9)).unwrap();
    // ARP takes its time too.
    for least in [160, 80, 80] {
        let start = Instant::now();
        client.send_to(b"there", at(2, 7)).unwrap();
        assert_eq!(server.receive().unwrap(), b"there");
        server.send_to(b"and back", at(1, 9)).unwrap();
        assert_eq!(client.receive().unwrap(), b"and back");
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(least), "{took:?}");
    }
}

/// Large datagrams are cut by whoever is at the end of the offloads, and put
/// together again.
#[test]
fn datagrams_of_all_sizes() {
    for offloads in [Offloads::default(), SwitchOptions::default().offloads] {
        let switch = Switch::with(SwitchOptions {
            offloads,
            ..SwitchOptions::default()
        });
        let [near, far] = [1, 2].map(|host| Net::new(switch.port(PortOptions::default()), host));
        let server = far.bind(libc::SOCK_DGRAM, at(2, 7)).unwrap();
        let client = near.bind(libc::SOCK_DGRAM, at(1, 9)).unwrap();
        for len in [0, 1, 17, 1472, 1473, 9001, 65_507] {
            let datagram: Vec<u8> = (0..len).map(|i| (i * 7 + i / 256) as u8).collect();
            client.send_to(&datagram, at(2, 7)).unwrap();
            assert!(server.receive().unwrap() == datagram, "{len} bytes");
        }
        // One call, many datagrams (UDP_SEGMENT).
        let size = 1000_i32.to_ne_bytes();
        client
            .option(libc::SOL_UDP, libc::UDP_SEGMENT, &size)
            .unwrap();
        let datagrams: Vec<u8> = (0..30_500).map(|i| (i / 1000) as u8).collect();
        client.send_to(&datagrams, at(2, 7)).unwrap();
        for (i, expected) in datagrams.chunks(1000).enumerate() {
            assert!(server.receive().unwrap() == expected, "datagram {i}");
        }
    }
}

/// Kernels come and go in the middle of traffic of others.
#[test]
fn kernels_come_and_go() {
    let switch = Switch::new();
    let [a, b] = [1, 2].map(|host| Net::new(switch.port(PortOptions::default()), host));
    let (client, server) = connected(&a, &b, 2);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..5 {
                let c = Net::new(switch.port(PortOptions::default()), 3);
                let (mut to, from) = (c.connect(at(2, 9)), b.listen(at(2, 9)).unwrap());
                if to.is_err() {
                    to = c.connect(at(2, 9));
                }
                let (to, from) = (to.unwrap(), from.accept().unwrap());
                transfer(&to, &from, 1 << 20);
                if round % 2 == 0 {
                    // Without a word to its peer.
                    (&to).write_all(&[0; 1 << 16]).unwrap();
                    c.halt();
                }
            }
        });
        transfer(&client, &server, 200 << 20);
    });
}

/// A kernel whose interface is down, or that is stuck, holds up nobody.
#[test]
fn one_that_does_not_receive() {
    let switch = Switch::new();
    let [a, b] = [1, 2].map(|host| Net::new(switch.port(PortOptions::default()), host));
    let dead = Station::new(switch.port(PortOptions::default()));
    // Everybody has heard of it.
    let mac = [2, 0, 0, 0, 0, 9];
    let gratuitous = [
        &[0xff; 6][..],
        &mac,
        &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2],
        &mac,
        &[10, 1, 1, 9],
        &[0xff; 6],
        &[10, 1, 1, 1],
    ]
    .concat();
    let noise = a.bind(libc::SOCK_DGRAM, at(1, 9)).unwrap();
    let (client, server) = connected(&a, &b, 2);
    thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..20_000 {
                if i % 1000 == 0 {
                    assert!(dead.send(&gratuitous));
                }
                // There may be no buffer for it, now and then.
                let _ = noise.send_to(&[1; 1400], at(9, 9));
            }
        });
        transfer(&client, &server, 50 << 20);
    });
    assert!(dead.link().counters().received_drops > 0);
}
