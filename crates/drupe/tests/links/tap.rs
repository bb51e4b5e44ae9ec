//! A kernel and the host's, joined by a tap, in a network namespace.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use drupe_links::Tap;
use drupe_testing::skipped;

use crate::kernel::{Net, at, transfer};

/// Runs `test` in a thread with a network namespace of its own; not at all, and
/// says so, where that is not allowed.
#[track_caller]
fn in_namespace(test: impl FnOnce() + Send) {
    let tested = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: it concerns this thread, which ends with the test.
            match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
                0 => {
                    test();
                    Ok(())
                }
                _ => Err(std::io::Error::last_os_error()),
            }
        });
        thread.join()
    });
    match tested {
        Ok(Ok(())) => {}
        Ok(Err(error)) => skipped(format_args!("no network namespace: {error}")),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    assert!(status.expect("ip of iproute2").success(), "ip {arguments}");
}

#[test]
fn the_hosts_stack() {
    in_namespace(|| {
        let tap = Tap::open(None).unwrap();
        ip(&format!("address add 10.1.1.1/24 dev {}", tap.name()));
        ip(&format!("link set {} up", tap.name()));
        let net = Net::new(tap, 2);

        let listener = TcpListener::bind(at(1, 7)).unwrap();
        let ours = net.connect(at(1, 7)).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        transfer(&ours, &theirs, 100 << 20);
        transfer(&theirs, &ours, 100 << 20);

        let listener = net.listen(at(2, 7)).unwrap();
        let theirs = TcpStream::connect(at(2, 7)).unwrap();
        let ours = listener.accept().unwrap();
        transfer(&theirs, &ours, 10 << 20);

        let theirs = UdpSocket::bind(at(1, 9)).unwrap();
        let patience = Duration::from_secs(30);
        theirs.set_read_timeout(Some(patience)).unwrap();
        let ours = net.bind(libc::SOCK_DGRAM, at(2, 9)).unwrap();
        for len in [1, 1472, 20_000] {
            let datagram = vec![len as u8; len];
            ours.send_to(&datagram, at(1, 9)).unwrap();
            let mut got = vec![0; 1 << 16];
            assert_eq!(theirs.recv(&mut got).unwrap(), len);
            assert_eq!(got[..len], datagram);
            theirs.send_to(&datagram, at(2, 9)).unwrap();
            assert_eq!(ours.receive().unwrap(), datagram);
        }
    });
}
