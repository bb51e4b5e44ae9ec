//! Helpers of the tests: building frames by hand.

use std::time::{Duration, Instant};

use drupe_host::link::Link;
use drupe_links::Station;

/// Long enough for anything on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// As good as never.
pub(crate) const SHORT: Duration = Duration::from_millis(30);

pub(crate) const BROADCAST: [u8; 6] = [0xff; 6];

/// The address of a station.
pub(crate) fn mac(number: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, number]
}

/// A frame of an experimental protocol (IEEE 802, 88b5), as long as `content`.
pub(crate) fn frame(to: [u8; 6], from: [u8; 6], content: &[u8]) -> Vec<u8> {
    [&to[..], &from, &[0x88, 0xb5], content].concat()
}

/// What comes next.
pub(crate) fn next<L: Link>(station: &Station<L>) -> Vec<u8> {
    let got = station.receive(PATIENCE).expect("the link is whole");
    got.expect("nothing has come").1
}

/// That nothing is there.
#[track_caller]
pub(crate) fn assert_silent<L: Link>(station: &Station<L>) {
    let got = station.receive(SHORT).expect("the link is whole");
    assert_eq!(got, None);
}

/// Sends a frame until `answer` comes to `to`: an interface of the host's that
/// was just set up loses what is sent before its carrier is noticed.
#[track_caller]
pub(crate) fn until<A: Link, B: Link>(
    from: &Station<A>,
    frame: &[u8],
    to: &Station<B>,
    answer: impl Fn(&[u8]) -> bool,
) {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        assert!(from.send(frame));
        while let Some((_, got)) = to.receive(SHORT).expect("the link is whole") {
            if answer(&got) {
                return;
            }
        }
    }
    panic!("no answer has come");
}
