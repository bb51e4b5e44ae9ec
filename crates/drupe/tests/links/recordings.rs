//! Recordings of frames between kernels, and replaying them to another kernel.

use std::fs::File;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use drupe_links::{Pace, Pcap, PortOptions, Replay, Switch};
use drupe_testing::skipped;

use crate::kernel::{Net, at, transfer};

#[test]
fn a_conversation() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pcap");
    let switch = Switch::new();
    let port = || switch.port(PortOptions::default());
    {
        let recorded = Pcap::record(port(), File::create(&path).unwrap()).unwrap();
        let (near, far) = (Net::new(recorded, 1), Net::new(port(), 2));
        let listener = far.listen(at(2, 7)).unwrap();
        let client = near.connect(at(2, 7)).unwrap();
        transfer(&client, &listener.accept().unwrap(), 1 << 20);
        let sender = near.bind(libc::SOCK_DGRAM, at(1, 9)).unwrap();
        let everybody = 1_i32.to_ne_bytes();
        let (level, broadcast) = (libc::SOL_SOCKET, libc::SO_BROADCAST);
        sender.option(level, broadcast, &everybody).unwrap();
        sender
            .send_to(b"to whom it may concern", at(255, 5))
            .unwrap();
        drop((client, listener, sender));
        near.halt();
    }
    // What the kernels have left to the switch is finished in the recording.
    let tcpdump = Command::new("tcpdump")
        .args(["-vv", "-n", "-r"])
        .arg(&path)
        .output();
    match tcpdump {
        Ok(output) => {
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(
                text.contains("10.1.1.1.9 > 10.1.1.255.5: [udp sum ok]"),
                "{text}"
            );
            assert!(text.contains("(correct)"), "{text}");
            assert!(!text.contains("incorrect"), "{text}");
        }
        Err(error) => skipped(format_args!("tcpdump: {error}")),
    }
    let file = File::open(&path).unwrap();
    // Its frames are a few milliseconds apart: without the socket, they are lost.
    let replay = Arc::new(Replay::new(file, Pace::Recorded).unwrap().held());
    let net = Net::new(Arc::clone(&replay), 3);
    let everything = net.bind(libc::SOCK_DGRAM, at(255, 5)).unwrap();
    replay.start();
    assert_eq!(everything.receive().unwrap(), b"to whom it may concern");
}

/// Threads of links that this process has.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name == "drupe-link\n").count()
}

/// A kernel that ends lets go of its link, whose threads end, in any order.
#[test]
fn threads_end() {
    let switch = Switch::new();
    let port = || {
        let delay = Duration::from_micros(100);
        switch.port(PortOptions {
            delay,
            ..PortOptions::default()
        })
    };
    let record = || Pcap::record(port(), std::io::sink()).unwrap();
    let (near, far) = (Net::new(record(), 1), Net::new(record(), 2));
    let listener = far.listen(at(2, 7)).unwrap();
    let client = near.connect(at(2, 7)).unwrap();
    transfer(&client, &listener.accept().unwrap(), 1 << 20);
    assert!(threads() >= 3, "two recordings and a switch");
    near.halt();
    drop((client, listener, near, far, switch));
    // Other tests have theirs.
    let deadline = Instant::now() + Duration::from_secs(60);
    while threads() > 0 {
        assert!(Instant::now() < deadline, "{} are left", threads());
        std::thread::sleep(Duration::from_millis(5));
    }
}
