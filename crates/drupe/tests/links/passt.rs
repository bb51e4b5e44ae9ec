//! A kernel that reaches the host through passt.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};

use drupe_links::{Passt, PasstOptions};
use drupe_testing::skipped;

use crate::kernel::{Net, at, transfer};

/// A kernel as 10.1.1.2; the host is 10.1.1.1 to it.
#[track_caller]
fn behind_passt(tcp_ports: Vec<String>) -> Option<Net> {
    let options = PasstOptions {
        tcp_ports,
        address: Some(*at(2, 0).ip()),
        gateway: Some(*at(1, 0).ip()),
        arguments: vec!["--ipv4-only".into()],
        ..PasstOptions::default()
    };
    match Passt::spawn(&options) {
        Ok(link) => Some(Net::new(link, 2)),
        Err(error) => {
            skipped(error);
            None
        }
    }
}

#[test]
fn the_kernel_calls_the_host() {
    let Some(net) = behind_passt(Vec::new()) else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let ours = net.connect(at(1, port)).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    transfer(&ours, &theirs, 100 << 20);
    transfer(&theirs, &ours, 100 << 20);
}

#[test]
fn the_host_calls_the_kernel() {
    let port = {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let Some(net) = behind_passt(vec![format!("127.0.0.1/{port}:7")]) else {
        return;
    };
    let listener = net.listen(at(2, 7)).unwrap();
    let host = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let mut theirs = TcpStream::connect(host).unwrap();
    // The passt of 2023 leaves the handshake open until there is data.
    theirs.write_all(b"first").unwrap();
    let ours = listener.accept().unwrap();
    (&ours).read_exact(&mut [0; 5]).unwrap();
    transfer(&theirs, &ours, 20 << 20);
    transfer(&ours, &theirs, 20 << 20);
}
