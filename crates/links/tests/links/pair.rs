//! `pair()`: two connected links.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use drupe_host::link::{FrameHeader, Link, LinkWaker};
use drupe_links::{Station, pair};

use crate::frames::{PATIENCE, assert_silent, next};

#[test]
fn frames_come_in_order_with_their_headers() {
    let (a, b) = pair(1500);
    assert_eq!(a.info().mtu, 1500);
    let (a, b) = (Station::new(a), Station::new(b));
    let header = FrameHeader {
        flags: FrameHeader::NEEDS_CSUM,
        csum_start: 34,
        ..FrameHeader::default()
    };
    assert!(a.send_with(header, &[1; 14]));
    assert!(a.send(&[2; 65_550]));
    assert!(a.send(&[3; 60]));
    assert_eq!(b.receive(PATIENCE).unwrap(), Some((header, vec![1; 14])));
    assert_eq!(next(&b), [2; 65_550]);
    assert_eq!(next(&b), [3; 60]);
    assert_silent(&b);
    assert_silent(&a);
}

/// However many frames come, a receiver is woken once, until it has looked.
#[test]
fn a_receiver_is_woken_once() {
    let (a, b) = pair(1500);
    let (a, b) = (Station::new(a), Station::new(b));
    for round in 1..4 {
        for _ in 0..5 {
            assert!(a.send(&[0; 60]));
        }
        assert_eq!(b.wakes(), round);
        for _ in 0..5 {
            assert!(b.try_receive().unwrap().is_some());
        }
        // It has not yet found that there is nothing.
        assert!(a.send(&[0; 60]));
        assert_eq!(b.wakes(), round);
        next(&b);
        assert_eq!(b.try_receive().unwrap(), None);
    }
}

#[test]
fn who_sends_too_fast_waits() {
    let (a, b) = pair(1500);
    let (a, b) = (Station::new(a), Station::new(b));
    let mut sent = 0;
    while a.send(&[7; 60_000]) {
        sent += 1;
    }
    assert!((10..100).contains(&sent), "{sent}");
    let wakes = a.wakes();
    for _ in 0..sent {
        next(&b);
    }
    assert_eq!(a.wakes(), wakes + 1);
    assert!(a.send(&[7; 60_000]));
    next(&b);
}

#[test]
fn nothing_is_lost_between_threads() {
    const FRAMES: u32 = 50_000;
    let (a, b) = pair(1500);
    let (a, b) = (Station::new(a), Station::new(b));
    thread::scope(|scope| {
        for end in [&a, &b] {
            scope.spawn(move || {
                for number in 0..FRAMES {
                    let frame = number.to_le_bytes().repeat(1 + number as usize % 500);
                    assert!(end.send_within(FrameHeader::default(), &frame, PATIENCE));
                }
            });
            scope.spawn(move || {
                for number in 0..FRAMES {
                    let frame = next(end);
                    assert_eq!(frame[..4], number.to_le_bytes());
                    assert_eq!(frame.len(), 4 + number as usize % 500 * 4);
                }
            });
        }
    });
}

#[test]
fn a_cable_with_one_end_holds_up_nobody() {
    let (a, b) = pair(1500);
    let a = Station::new(a);
    // Not attached yet: some frames are kept, the rest is lost.
    for _ in 0..1000 {
        assert!(a.send(&[1; 10_000]));
    }
    let b = Station::new(b);
    assert_eq!(b.wakes(), 1);
    assert_eq!(next(&b).len(), 10_000);
    while a.send(&[1; 10_000]) {}
    let wakes = a.wakes();
    drop(b);
    assert_eq!(a.wakes(), wakes + 1);
    for _ in 0..1000 {
        assert!(a.send(&[1; 10_000]));
    }
}

/// A wake may run the other kernel, which may use its link, in this very thread.
#[test]
fn wakers_may_use_the_links() {
    let (a, b) = pair(1500);
    let (a, b) = (Station::new(a), Arc::new(b));
    let woken = Arc::new(AtomicUsize::new(0));
    let echo = {
        let (b, woken) = (Arc::downgrade(&b), Arc::clone(&woken));
        LinkWaker::new(move || {
            woken.fetch_add(1, Ordering::Relaxed);
            let Some(b) = b.upgrade() else {
                return false;
            };
            let mut buffer = vec![0; 65_550];
            let buffers = &mut [std::io::IoSliceMut::new(&mut buffer)];
            let got = b.receive(buffers).expect("never broken");
            if let Some((len, header)) = got {
                let pieces = &[std::io::IoSlice::new(&buffer[..len])];
                assert_eq!(b.send(&[drupe_host::link::Frame { header, pieces }]), 1);
                let buffers = &mut [std::io::IoSliceMut::new(&mut buffer)];
                assert!(matches!(b.receive(buffers), Ok(None)));
            }
            true
        })
    };
    b.attach(echo);
    for round in 1..100 {
        assert!(a.send(&[9; 99]));
        assert_eq!(next(&a), [9; 99]);
        assert_eq!(woken.load(Ordering::Relaxed), round);
    }
}
