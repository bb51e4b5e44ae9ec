//! Links to the host's network: tap, passt and so on.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use drupe_testing::skipped;

use crate::harness::{Outcome, Place, tool};

/// Whether the host has a way to elsewhere, which passt needs; says so if not.
#[track_caller]
fn has_default_route() -> Outcome<bool> {
    let routes = fs::read_to_string("/proc/net/route")?;
    let destinations = routes.lines().map(|line| line.split_whitespace().nth(1));
    let found = destinations
        .into_iter()
        .flatten()
        .any(|to| to == "00000000");
    if !found {
        skipped("the host has no default route, and passt none to offer");
    }
    Ok(found)
}

/// By passt, with the address that DHCP gives, to a server on the host. Where the
/// host has no way to elsewhere, passt has none to offer, and this is left out.
#[test]
fn passt_and_dhcp() -> Outcome {
    if !has_default_route()? {
        return Ok(());
    }
    let host = TcpListener::bind("127.0.0.1:0")?;
    let port = host.local_addr()?.port();
    let server = thread::spawn(move || -> std::io::Result<Vec<u8>> {
        let (mut connection, _) = host.accept()?;
        let mut got = Vec::new();
        connection.read_to_end(&mut got)?;
        connection.write_all(b"all of it")?;
        Ok(got)
    });
    // passt has the router's address mean the host's loopback.
    let script = format!(
        "router=$(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')
         exec /usr/bin/python3 -c \"
import socket
s = socket.create_connection(('$router', {port}))
s.sendall(bytes(3000000))
s.shutdown(socket.SHUT_WR)
assert s.recv(9, socket.MSG_WAITALL) == b'all of it'
\""
    );
    let place = Place::new()?;
    let record = place.path("frames.pcap");
    let link = format!("passt+pcap={}", record.display());
    place.ok(&[
        "run", "--link", &link, "--ip", "dhcp", "--", "sh", "-c", &script,
    ])?;
    let got = server.join().map_err(|_| "the server panicked")??;
    assert_eq!(got.len(), 3_000_000);
    let frames = tool("tcpdump", |tcpdump| tcpdump.arg("-nr").arg(&record))?;
    assert!(frames.contains("BOOTP/DHCP, Reply"), "{frames}");
    Ok(())
}

/// What is written last arrives before the kernel is no more.
#[test]
fn the_last_bytes_are_delivered() -> Outcome {
    if !has_default_route()? {
        return Ok(());
    }
    let host = TcpListener::bind("127.0.0.1:0")?;
    let port = host.local_addr()?.port();
    let server = thread::spawn(move || -> std::io::Result<usize> {
        let (mut connection, _) = host.accept()?;
        let mut got = Vec::new();
        connection.read_to_end(&mut got)?;
        Ok(got.len())
    });
    let script = format!(
        "router=$(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')
         exec /usr/bin/python3 -c \"
import os, socket
s = socket.create_connection(('$router', {port}))
s.sendall(bytes(2000000))
os._exit(3)
\""
    );
    let place = Place::new()?;
    let args = [
        "run", "--link", "passt", "--ip", "dhcp", "--", "sh", "-c", &script,
    ];
    let run = place.drupe(&args)?;
    assert_eq!(run.code, Some(3), "{run:?}");
    let got = server.join().map_err(|_| "the server panicked")??;
    assert_eq!(got, 2_000_000);
    Ok(())
}
