//! `Passt` with the real program, if it is installed.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use drupe_links::{Passt, PasstOptions, Station};
use drupe_testing::skipped;

use crate::frames::{BROADCAST, PATIENCE, mac, next};
use crate::tap::{arp_request, is_arp_reply};

/// A passt, unless it is not installed, or this machine has no network that it
/// could stand for.
#[track_caller]
fn spawn(options: &PasstOptions) -> Option<Station<Passt>> {
    match Passt::spawn(options) {
        Ok(link) => Some(Station::new(link)),
        Err(error) => {
            skipped(error);
            None
        }
    }
}

fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2);
    let mut sum: u32 = words
        .map(|w| u32::from(w[0]) << 8 | w.get(1).copied().map_or(0, u32::from))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// `DHCPDISCOVER` from station 2.
fn discover() -> Vec<u8> {
    let mut dhcp = vec![0; 240];
    dhcp[..4].copy_from_slice(&[1, 1, 6, 0]);
    dhcp[28..34].copy_from_slice(&mac(2));
    dhcp[236..].copy_from_slice(&[99, 130, 83, 99]);
    dhcp.extend([53, 1, 1, 55, 3, 1, 3, 6, 255]);
    dhcp.resize(300, 0);
    let mut udp = vec![0, 68, 0, 67];
    udp.extend((8 + dhcp.len() as u16).to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(dhcp);
    let mut ip = vec![0x45, 0];
    ip.extend((20 + udp.len() as u16).to_be_bytes());
    ip.extend([0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]);
    let checksum = sum(&ip).to_be_bytes();
    ip[10..12].copy_from_slice(&checksum);
    [&BROADCAST[..], &mac(2), &[8, 0], &ip, &udp].concat()
}

#[test]
fn it_answers_arp_and_dhcp() {
    let Some(station) = spawn(&PasstOptions::default()) else {
        return;
    };
    assert!(station.send(&arp_request()));
    while !is_arp_reply(&next(&station)) {}
    assert!(station.send(&discover()));
    // From port 67 to port 68, of type DHCPOFFER.
    while {
        let frame = next(&station);
        let offer = frame[12..14] == [8, 0]
            && frame[23] == 17
            && frame[34..38] == [0, 67, 0, 68]
            && frame[42 + 240..].windows(3).any(|w| w == [53, 1, 2]);
        !offer
    } {}
}

/// A connection from the host, to a port that is passed on, is a SYN here.
#[test]
fn ports_are_passed_on() {
    let port = {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let options = PasstOptions {
        tcp_ports: vec![format!("{port}:7")],
        arguments: vec!["--ipv4-only".into()],
        ..PasstOptions::default()
    };
    let Some(station) = spawn(&options) else {
        return;
    };
    // It learns who we are.
    assert!(station.send(&arp_request()));
    while !is_arp_reply(&next(&station)) {}
    let _connection = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    while {
        let frame = next(&station);
        let syn =
            frame[12..14] == [8, 0] && frame[23] == 6 && frame[36..38] == [0, 7] && frame[47] == 2;
        !syn
    } {}
}

#[test]
fn what_it_says_is_the_error() {
    let options = PasstOptions {
        tcp_ports: vec!["nonsense".into()],
        ..PasstOptions::default()
    };
    let said = Passt::spawn(&options).unwrap_err().to_string();
    assert!(said.starts_with("passt"), "{said}");
    assert!(
        said.contains("nonsense") || said.contains("Debian: package passt"),
        "{said}"
    );
    let options = PasstOptions {
        program: "/bin/false".into(),
        ..PasstOptions::default()
    };
    let said = Passt::spawn(&options).unwrap_err().to_string();
    assert_eq!(said, "/bin/false: it has ended at once");
}

fn children() -> usize {
    let own = format!("/proc/self/task/{}/children", std::process::id());
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let of = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children"));
    let all = tasks.flatten().filter_map(|task| of(task).ok());
    let all = all.collect::<String>();
    let passt = |pid: &&str| {
        std::fs::read_to_string(Path::new("/proc").join(pid).join("comm"))
            .is_ok_and(|name| name.starts_with("passt"))
    };
    assert!(Path::new(&own).exists(), "{own}");
    all.split_whitespace().filter(passt).count()
}

/// It ends with the link, and leaves no zombie.
#[test]
fn it_ends() {
    let Some(station) = spawn(&PasstOptions::default()) else {
        return;
    };
    assert!(children() > 0);
    drop(station);
    // Other tests have theirs.
    let deadline = Instant::now() + PATIENCE;
    while children() > 0 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn one_that_listens() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let station = Station::new(Passt::connect(&path).unwrap());
    let (mut server, _) = listener.accept().unwrap();
    server.write_all(b"\0\0\0\x0e0123456789abcd").unwrap();
    assert_eq!(next(&station), b"0123456789abcd");
    assert!(station.send(b"dcba9876543210"));
    let mut got = [0; 18];
    server.read_exact(&mut got).unwrap();
    assert_eq!(got, *b"\0\0\0\x0edcba9876543210");
}
