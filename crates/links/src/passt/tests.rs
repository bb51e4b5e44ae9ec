//! Tests of the protocol with a peer that is slow, takes frames in parts, and sends
//! malformed data.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use drupe_host::link::{Frame, FrameHeader, Link};

use super::*;
use crate::passt::Passt;
use crate::{Station, complete_checksum};

const PATIENCE: Duration = Duration::from_secs(20);

fn connected() -> (Passt, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a socket pair");
    let patience = Some(PATIENCE);
    theirs.set_read_timeout(patience).expect("a limit");
    (Passt::from_socket(ours.into()).expect("a link"), theirs)
}

fn read_frame(stream: &mut UnixStream) -> Vec<u8> {
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).expect("a length");
    let mut frame = vec![0; u32::from_be_bytes(prefix) as usize];
    stream.read_exact(&mut frame).expect("a frame");
    frame
}

fn prefixed(frame: &[u8]) -> Vec<u8> {
    [&(frame.len() as u32).to_be_bytes()[..], frame].concat()
}

#[test]
fn checksums_are_completed_on_the_way() {
    let (link, mut server) = connected();
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..2000 {
        let len = random.usize(60..2000);
        let mut frame: Vec<u8> = (0..len).map(|_| random.u8(..)).collect();
        let mut header = FrameHeader {
            flags: FrameHeader::NEEDS_CSUM * u8::from(random.bool()),
            csum_start: 34,
            csum_offset: random.u16(0..20),
            ..FrameHeader::default()
        };
        // Short pieces: the checksum is often between two, or more.
        let mut pieces = Vec::new();
        let mut rest = &frame[..];
        while !rest.is_empty() {
            let at = random.usize(..=rest.len().min(20));
            let at = if pieces.len() > 10 { rest.len() } else { at };
            let (piece, behind) = rest.split_at(at);
            pieces.push(IoSlice::new(piece));
            rest = behind;
        }
        let pieces = &pieces[..];
        assert_eq!(link.send(&[Frame { header, pieces }]), 1);
        assert!(complete_checksum(&mut header, &mut frame));
        assert_eq!(read_frame(&mut server), frame);
    }
}

#[test]
fn a_frame_of_very_many_pieces() {
    let (link, mut server) = connected();
    let frame: Vec<u8> = (0..1000).map(|i| (i / 3) as u8).collect();
    let pieces: Vec<_> = frame.chunks(3).map(IoSlice::new).collect();
    let header = FrameHeader::default();
    let frames = [0; 3].map(|_| Frame {
        header,
        pieces: &pieces,
    });
    assert_eq!(link.send(&frames), 3);
    for _ in 0..3 {
        assert_eq!(read_frame(&mut server), frame);
    }
}

/// A server that reads slowly, a few bytes at a time: all comes, in order, though
/// the socket is full most of the time.
#[test]
fn what_the_socket_does_not_take_follows() {
    const FRAMES: usize = 400;
    let (link, mut server) = connected();
    let station = Station::new(link);
    let frame = |number: usize| vec![number as u8; 14 + number * 163 % 65_000];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..FRAMES {
                let header = FrameHeader::default();
                assert!(station.send_within(header, &frame(number), PATIENCE));
            }
            // Nothing more is sent: what is left goes when there is room.
            while station.receive(PATIENCE).expect("whole").is_none() {}
        });
        let (mut got, mut some) = (Vec::new(), [0; 30_011]);
        let all: usize = (0..FRAMES).map(|number| 4 + frame(number).len()).sum();
        while got.len() < all {
            let len = server.read(&mut some).expect("more");
            got.extend_from_slice(&some[..len]);
        }
        let expected: Vec<u8> = (0..FRAMES).flat_map(|n| prefixed(&frame(n))).collect();
        assert!(got == expected, "other bytes");
        server.write_all(&prefixed(&[1; 14])).expect("the end");
    });
}

#[test]
fn frames_that_come_in_parts() {
    let (link, mut server) = connected();
    let station = Station::new(link);
    let frames: Vec<Vec<u8>> = [14, 60, 1514, 65_550, 15, 65_534, 3000]
        .map(|len| vec![len as u8; len])
        .to_vec();
    let stream: Vec<u8> = frames.iter().flat_map(|frame| prefixed(frame)).collect();
    for part in [1, 7, 4096, 70_000, stream.len()] {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // The first bytes one by one, whatever the part.
                for byte in stream[..40].chunks(1) {
                    server.write_all(byte).expect("taken");
                }
                for bytes in stream[40..].chunks(part.max(100)) {
                    server.write_all(bytes).expect("taken");
                }
            });
            for frame in &frames {
                let (header, got) = station.receive(PATIENCE).expect("whole").expect("more");
                assert_eq!(header.flags, FrameHeader::DATA_VALID);
                assert!(&got == frame, "{} bytes", frame.len());
            }
        });
    }
    assert_eq!(station.try_receive().expect("whole"), None);
}

#[test]
fn a_server_that_is_gone_or_mad_breaks_the_link() {
    let (link, server) = connected();
    let station = Station::new(link);
    drop(server);
    let error = station.receive(PATIENCE).expect_err("nobody is there");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    for _ in 0..100 {
        assert!(station.send(&[0; 60_000]), "lost, and not kept");
    }

    let (link, mut server) = connected();
    let station = Station::new(link);
    server.write_all(&prefixed(&[7; 14])).expect("taken");
    server.write_all(&65_551_u32.to_be_bytes()).expect("taken");
    assert!(station.receive(PATIENCE).expect("whole").is_some());
    let error = station.receive(PATIENCE).expect_err("nonsense");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}
