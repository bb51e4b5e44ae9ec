//! `Pcap` and `Replay`: recordings of frames.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use drupe_host::link::FrameHeader;
use drupe_links::{Pace, Pcap, Replay, Station, pair};
use drupe_testing::skipped;

use crate::frames::{PATIENCE, mac, next};

/// UDP from 10.1.1.1 to 10.1.1.2 with a checksum to be completed.
fn datagram(content: &[u8]) -> (FrameHeader, Vec<u8>) {
    let mut frame = [&mac(2)[..], &mac(1), &[8, 0, 0x45, 0]].concat();
    let len = 28 + content.len() as u16;
    frame.extend(len.to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 1, 1, 1, 10, 1, 1, 2]);
    frame.extend([0, 7, 0, 9]);
    frame.extend((len - 20).to_be_bytes());
    // The pseudo header's sum: addresses, protocol, length.
    let sum = 0x0a01 + 0x0101 + 0x0a01 + 0x0102 + 17 + u32::from(len - 20);
    frame.extend((sum as u16).to_be_bytes());
    frame.extend(content);
    let header = FrameHeader {
        flags: FrameHeader::NEEDS_CSUM,
        csum_start: 34,
        csum_offset: 6,
        ..FrameHeader::default()
    };
    (header, frame)
}

#[test]
fn both_directions_are_recorded_and_tcpdump_reads_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pcap");
    let (a, b) = pair(1500);
    let a = Pcap::record(a, File::create(&path).unwrap()).unwrap();
    let (a, b) = (Station::new(a), Station::new(b));
    let (header, frame) = datagram(b"hello");
    assert!(a.send_with(header, &frame));
    // As it was sent: the recording alone is finished.
    assert_eq!(b.receive(PATIENCE).unwrap(), Some((header, frame)));
    let (header, frame) = datagram(&[b'x'; 1000]);
    assert!(b.send_with(header, &frame));
    next(&a);
    assert_eq!(a.link().missed(), 0);
    drop(a);

    let tcpdump = Command::new("tcpdump")
        .args(["-vv", "-n", "--nano", "-r"])
        .arg(&path)
        .output();
    match tcpdump {
        Ok(output) => {
            let text = String::from_utf8(output.stdout).unwrap();
            assert_eq!(text.matches("[udp sum ok]").count(), 2, "{text}");
            assert!(text.contains("10.1.1.1.7 > 10.1.1.2.9"), "{text}");
        }
        Err(error) => skipped(format_args!("tcpdump: {error}")),
    }

    let replay = Replay::new(File::open(&path).unwrap(), Pace::Fast).unwrap();
    let station = Station::new(replay);
    assert!(next(&station).ends_with(b"hello"));
    assert_eq!(next(&station).len(), 1042);
    assert!(!station.link().is_finished());
    assert_eq!(station.try_receive().unwrap(), None);
    assert!(station.link().is_finished());
    assert!(station.send(&[0; 60]), "for nothing");
}

/// A pcap file with frames at these milliseconds.
fn file(times: &[u32]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1_u32] {
        file.extend(word.to_ne_bytes());
    }
    for ms in times {
        for word in [1000 + ms / 1000, ms % 1000 * 1000, 60, 60] {
            file.extend(word.to_ne_bytes());
        }
        file.extend([*ms as u8; 60]);
    }
    file
}

#[test]
fn frames_come_at_their_own_pace() {
    let file = io::Cursor::new(file(&[0, 30, 60, 60, 50]));
    let station = Station::new(Replay::new(file, Pace::Recorded).unwrap());
    let start = Instant::now();
    for ms in [0, 30, 60, 60, 50] {
        assert_eq!(next(&station)[0], ms);
    }
    assert!(start.elapsed() >= Duration::from_millis(60));
}

/// What is held comes when it is started, and counts its time from then on.
#[test]
fn nothing_comes_before_the_start() {
    for pace in [Pace::Fast, Pace::Recorded] {
        let replay = Replay::new(io::Cursor::new(file(&[0, 1])), pace).unwrap();
        let station = Station::new(Arc::new(replay.held()));
        assert_eq!(station.try_receive().unwrap(), None);
        assert!(!station.link().is_finished());
        let (link, woken) = (Arc::clone(station.link()), station.wakes());
        link.start();
        assert!(station.wakes() > woken);
        assert_eq!(next(&station)[0], 0);
        assert_eq!(next(&station)[0], 1);
        assert_eq!(station.try_receive().unwrap(), None);
        assert!(link.is_finished());
    }
}

#[test]
fn damage_ends_it() {
    let mut file = file(&[1, 2, 3]);
    file.truncate(200);
    let station = Station::new(Replay::new(io::Cursor::new(file), Pace::Fast).unwrap());
    assert_eq!(next(&station)[0], 1);
    assert_eq!(next(&station)[0], 2);
    assert_eq!(station.try_receive().unwrap(), None);
    assert!(station.link().is_finished());
    let error = station.link().take_error().unwrap().to_string();
    assert_eq!(error, "cut off within record 3");
}

/// A replay may end while its thread waits for the next frame.
#[test]
fn an_end_does_not_wait_for_frames() {
    let file = io::Cursor::new(file(&[0, 3_600_000]));
    let station = Station::new(Replay::new(file, Pace::Recorded).unwrap());
    next(&station);
    assert_eq!(station.try_receive().unwrap(), None);
    let start = Instant::now();
    drop(station);
    assert!(start.elapsed() < PATIENCE);
}

/// Somebody who looks at a pipe sees frames when they go over the link.
#[test]
fn a_pipe_gets_frames_at_once() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let (a, _b) = pair(1500);
    let a = Station::new(Pcap::record(a, ours).unwrap());
    assert!(a.send(&[5; 60]));
    let mut got = [0; 24 + 16 + 60];
    theirs.read_exact(&mut got).unwrap();
    assert_eq!(got[40..], [5; 60]);
    drop(a);
    assert_eq!(theirs.read(&mut got).unwrap(), 0, "it is closed");
}

#[derive(Clone, Default)]
struct Broken(Arc<Mutex<usize>>);

impl Write for Broken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        *self.0.lock().unwrap() += bytes.len();
        Err(io::ErrorKind::StorageFull.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_does_not_stop_the_link() {
    let broken = Broken::default();
    let (a, b) = pair(1500);
    let a = Station::new(Pcap::record(a, broken.clone()).unwrap());
    let b = Station::new(b);
    let deadline = Instant::now() + PATIENCE;
    while a.link().missed() == 0 {
        assert!(a.send(&[1; 60]));
        next(&b);
        assert!(Instant::now() < deadline);
    }
    assert!(*broken.0.lock().unwrap() >= 24);
}
