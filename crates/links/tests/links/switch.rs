//! `Switch`: which port gets which frame, when, and which sender waits.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use drupe_host::link::{FrameHeader, Link, Offloads};
use drupe_links::{Port, PortOptions, Station, Switch, SwitchOptions};

use crate::frames::{BROADCAST, PATIENCE, SHORT, assert_silent, frame, mac, next};

/// Stations at a new switch, behind cables such as these.
fn stations<const N: usize>(options: [PortOptions; N]) -> [Station<Port>; N] {
    let switch = Switch::new();
    options.map(|options| Station::new(switch.port(options)))
}

fn plain<const N: usize>() -> [Station<Port>; N] {
    stations([(); N].map(|()| PortOptions::default()))
}

#[test]
fn addresses_are_learned() {
    let [a, b, c] = plain();
    // Nobody knows 2 yet.
    let unknown = frame(mac(2), mac(1), b"where are you");
    assert!(a.send(&unknown));
    assert_eq!(next(&b), unknown);
    assert_eq!(next(&c), unknown);
    let answer = frame(mac(1), mac(2), b"here");
    assert!(b.send(&answer));
    assert_eq!(next(&a), answer);
    assert!(a.send(&unknown));
    assert_eq!(next(&b), unknown);
    assert_silent(&c);
    // It moves.
    assert!(c.send(&frame(mac(1), mac(2), b"here now")));
    next(&a);
    assert!(a.send(&unknown));
    assert_eq!(next(&c), unknown);
    assert_silent(&b);
    // Its port is gone.
    drop(c);
    assert!(a.send(&unknown));
    assert_eq!(next(&b), unknown);
    // A frame for somebody behind the port that it comes from.
    assert!(a.send(&frame(mac(9), mac(8), b"")));
    next(&b);
    assert!(a.send(&frame(mac(8), mac(9), b"a neighbour")));
    assert_silent(&b);
    assert_silent(&a);
}

#[test]
fn groups_get_all_and_mixed_frames_keep_their_order() {
    use drupe_host::link::Frame;
    use std::io::IoSlice;

    let [a, b, c] = plain();
    for (station, number) in [(&b, 2), (&c, 3)] {
        assert!(station.send(&frame(mac(1), mac(number), b"hello")));
    }
    while a.try_receive().unwrap().is_some() {}
    while b.try_receive().unwrap().is_some() {}
    while c.try_receive().unwrap().is_some() {}
    let multicast = [1, 0, 0x5e, 0, 0, 1];
    let to = [mac(2), mac(2), mac(3), BROADCAST, mac(3), multicast, mac(2)];
    let frames: Vec<_> = (0..)
        .zip(to)
        .map(|(i, to)| frame(to, mac(1), &[i]))
        .collect();
    // In pieces, none of which is all of the addresses.
    let pieces: Vec<_> = frames
        .iter()
        .map(|frame| [IoSlice::new(&frame[..8]), IoSlice::new(&frame[8..])])
        .collect();
    let header = FrameHeader::default();
    let frames: Vec<_> = pieces
        .iter()
        .map(|pieces| Frame { header, pieces })
        .collect();
    assert_eq!(a.link().send(&frames), 7);
    let last = |station: &Station<Port>| {
        let mut got = Vec::new();
        while let Some((_, frame)) = station.try_receive().unwrap() {
            got.push(frame[14]);
        }
        got
    };
    assert_eq!(last(&b), [0, 1, 3, 5, 6]);
    assert_eq!(last(&c), [2, 3, 4, 5]);
    assert_eq!((b.wakes(), c.wakes()), (2, 2));
}

#[test]
fn counters_count_what_goes_through() {
    let [a, b] = plain();
    assert!(a.send(&frame(mac(2), mac(1), &[0; 86])));
    assert!(a.send(&[0; 13]));
    next(&b);
    let (sent, received) = (a.link().counters(), b.link().counters());
    assert_eq!(
        (sent.sent_frames, sent.sent_bytes, sent.sent_drops),
        (2, 100, 1)
    );
    assert_eq!(
        (received.received_frames, received.received_bytes),
        (1, 100)
    );
    assert_eq!(received.received_drops, 0);
}

#[test]
fn the_switch_says_what_frames_may_be() {
    let info = Switch::new().port(PortOptions::default()).info();
    assert!(info.offloads.tso && info.offloads.uso && info.offloads.checksum);
    let options = SwitchOptions {
        mtu: 9000,
        offloads: Offloads::default(),
    };
    let info = Switch::with(options).port(PortOptions::default()).info();
    assert_eq!((info.mtu, info.offloads), (9000, Offloads::default()));
}

/// The sender keeps what has no room, and is woken when there is some.
#[test]
fn a_slow_receiver_loses_nothing() {
    let [a, b] = plain();
    assert!(b.send(&frame(mac(1), mac(2), b"")));
    next(&a);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..20_000_u32 {
                let frame = frame(mac(2), mac(1), &number.to_le_bytes().repeat(300));
                assert!(a.send_within(FrameHeader::default(), &frame, PATIENCE));
            }
        });
        for number in 0..20_000_u32 {
            assert_eq!(next(&b)[14..18], number.to_le_bytes());
        }
    });
    assert_eq!(b.link().counters().received_drops, 0);
}

/// One that receives nothing holds up nobody for long; when it does again, it is
/// waited for again.
#[test]
fn a_receiver_that_is_stuck_is_given_up() {
    let [a, b, c] = plain();
    for (station, number) in [(&b, 2), (&c, 3)] {
        assert!(station.send(&frame(mac(1), mac(number), b"hello")));
    }
    while a.try_receive().unwrap().is_some() {}
    next(&c);
    let large = frame(mac(2), mac(1), &[0; 60_000]);
    while a.send(&large) {}
    assert!(a.send_within(FrameHeader::default(), &large, PATIENCE));
    assert!(b.link().counters().received_drops > 0);
    for _ in 0..100 {
        assert!(a.send(&large));
    }
    assert!(a.send(&frame(mac(3), mac(1), b"and you?")));
    assert_eq!(next(&c)[14..], *b"and you?");
    while b.try_receive().unwrap().is_some() {}
    while a.send(&large) {}
}

#[test]
fn a_delay_is_that_of_both_cables() {
    let delay = |ms| PortOptions {
        delay: Duration::from_millis(ms),
        ..PortOptions::default()
    };
    let [a, b] = stations([delay(20), delay(30)]);
    let start = Instant::now();
    for i in 0..50 {
        assert!(a.send(&frame(mac(2), mac(1), &[i])));
    }
    for i in 0..50 {
        assert_eq!(next(&b)[14], i);
    }
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert!(b.send(&frame(mac(1), mac(2), b"")));
    next(&a);
    assert!(start.elapsed() >= Duration::from_millis(100));
}

#[test]
fn a_rate_bounds_what_goes_through() {
    let slow = PortOptions {
        rate: Some(8_000_000),
        ..PortOptions::default()
    };
    let [a, b] = stations([PortOptions::default(), slow]);
    let start = Instant::now();
    for _ in 0..100 {
        assert!(a.send(&frame(mac(2), mac(1), &[0; 986])));
    }
    for _ in 0..100 {
        next(&b);
    }
    // 100,000 bytes of a million each second.
    assert!(start.elapsed() >= Duration::from_millis(99));
    // A queue of a megabyte fills up, and the rest is lost.
    for _ in 0..3000 {
        assert!(a.send(&frame(mac(2), mac(1), &[0; 986])));
    }
    assert!(b.link().counters().received_drops > 900);
}

/// Which frames of a thousand come, in what order.
fn survivors(options: PortOptions) -> Vec<u16> {
    let [a, b] = stations([options, PortOptions::default()]);
    for number in 0..1000_u16 {
        assert!(a.send(&frame(mac(2), mac(1), &number.to_le_bytes())));
    }
    // Those that are not lost come, and those that come twice do so before the
    // last one, which is sent until it is there.
    let least = 1000 - a.link().counters().sent_drops as usize;
    let (mut got, mut last) = (Vec::new(), false);
    let deadline = Instant::now() + PATIENCE;
    while got.len() < least || !last {
        assert!(Instant::now() < deadline, "{} of {least}", got.len());
        assert!(last || a.send(&frame(mac(2), mac(1), &u16::MAX.to_le_bytes())));
        while let Some((_, frame)) = b.receive(SHORT).unwrap() {
            match u16::from_le_bytes([frame[14], frame[15]]) {
                u16::MAX => last = true,
                number => got.push(number),
            }
        }
    }
    got
}

#[test]
fn loss_is_that_of_the_seed() {
    let options = |seed| PortOptions {
        loss: 0.1,
        seed,
        ..PortOptions::default()
    };
    let first = survivors(options(1));
    assert!((850..950).contains(&first.len()), "{}", first.len());
    assert!(first.is_sorted());
    assert_eq!(first, survivors(options(1)));
    assert_ne!(first, survivors(options(2)));
}

#[test]
fn frames_come_twice_and_overtake_each_other() {
    let twice = survivors(PortOptions {
        duplicate: 0.2,
        ..PortOptions::default()
    });
    assert!((1150..1250).contains(&twice.len()), "{}", twice.len());
    let reordered = survivors(PortOptions {
        reorder: 0.1,
        reorder_delay: Duration::from_millis(50),
        ..PortOptions::default()
    });
    assert_eq!(reordered.len(), 1000);
    assert!(!reordered.is_sorted());
    let all: BTreeSet<_> = reordered.into_iter().collect();
    assert_eq!(all.len(), 1000);
}

#[test]
fn many_senders_to_one_receiver() {
    const FRAMES: u32 = 5000;
    let [a, b, c, d] = plain();
    assert!(d.send(&frame(BROADCAST, mac(4), b"")));
    std::thread::scope(|scope| {
        for (station, number) in [(&a, 1), (&b, 2), (&c, 3)] {
            scope.spawn(move || {
                next(station);
                for i in 0..FRAMES {
                    let frame = frame(mac(4), mac(number), &i.to_le_bytes().repeat(250));
                    assert!(station.send_within(FrameHeader::default(), &frame, PATIENCE));
                }
            });
        }
        let mut expected = [0_u32; 4];
        for _ in 0..3 * FRAMES {
            let frame = next(&d);
            let number = &mut expected[frame[11] as usize];
            assert_eq!(frame[14..18], number.to_le_bytes());
            *number += 1;
        }
    });
}
