//! Tests of Linux's TCP/IP with hand-made packets: a kernel has one link, at whose other
//! end a Python script sends and checks packets with scapy.
//!
//! A script does both sides of a scenario, one step after the other: it sends
//! frames, makes the kernel's system calls, moves the kernel's clock, and looks
//! at the frames that come. So nothing is awaited by the wall clock: a
//! retransmission is sent when the script says that its time has come.
//!
//! - [`lab`]: starts a kernel and a script, and says what went wrong.
//! - [`wire`]: the link, whose other end is a stream of frames.
//! - [`calls`]: the script's system calls.
//! - `scripts/`: `run.py` runs a scenario; `wire.py`, `kernel.py` and `tcp.py`
//!   are what scenarios are written with, the other files have them.

mod calls;
mod lab;
mod wire;

use lab::{FINISHED, RUNNING, UNFINISHED};

/// A test for each function of a script.
macro_rules! scenarios {
    ($($module:ident in $lab:ident: $($name:ident)*;)*) => {
        $(mod $module {
            use super::*;
            $(#[test]
            fn $name() {
                $lab.run(stringify!($module), stringify!($name));
            })*
        })*

        /// What is in this list, as `run.py --list` prints it.
        const SCENARIOS: &[&str] =
            &[$($(concat!(stringify!($module), ".", stringify!($name)),)*)*];
    };
}

scenarios! {
    closing in FINISHED:
        both_at_once
        fin_is_sent_again
        half_closed_by_the_kernel
        half_closed_by_the_script
        keepalive
        reset_by_the_kernel
        reset_in_place
        time_wait;
    congestion_control in RUNNING:
        bbr
        cubic
        dctcp
        reno
        to_the_kernel
        vegas
        what_there_is;
    congestion_notification in FINISHED:
        an_echo_slows_down
        answered
        asked_for
        marks_are_echoed
        marks_are_echoed_over_ipv6;
    datagrams in FINISHED:
        checksums_count
        datagrams
        groups
        groups_ipv6
        large_datagrams
        lengths_count
        nobody_is_there;
    flood in FINISHED:
        a_queue_that_nobody_reads
        datagrams_for_nobody
        neighbours_without_number
        syns_from_everywhere
        syns_from_everywhere_ipv6
        syns_without_cookies;
    handshake in FINISHED:
        all_options_offered
        all_options_taken
        both_at_once
        data_with_the_last_acknowledgement
        no_options_taken
        over_ipv6
        refused
        syn_ack_is_sent_again
        syn_is_sent_again
        window_scale_counts;
    headers in UNFINISHED:
        all_kinds
        all_places
        datagrams_that_claim_to_be_cut
        noise;
    loss in FINISHED:
        any_order
        fast_retransmit
        fast_retransmit_without_sack
        holes_are_told
        no_sack_unless_agreed
        one_that_only_came_late
        outside_of_the_window
        tail_loss_probe
        three_blocks_beside_timestamps
        timeout;
    malformed in FINISHED:
        counted_as_errors
        cut_off
        empty
        ethernet
        icmp_errors
        ip_headers
        ip_options
        ipv6_extension_headers
        land
        noise
        tcp_headers
        tcp_options
        wrong_checksums;
    neighbours in FINISHED:
        arp
        neighbour_discovery
        ping
        ping_ipv6;
    offloads in UNFINISHED:
        checksums_that_are_known_to_be_right
        datagrams_are_received_in_series
        datagrams_are_sent_in_series
        large_segments_are_received
        large_segments_are_sent
        marks_of_large_segments
        retransmissions;
    path in FINISHED:
        fragmentation_needed
        fragmentation_needed_for_what_was_not_sent
        fragments_that_are_missing
        fragments_that_make_no_sense
        fragments_that_overlap
        packet_too_big
        ping_in_fragments
        ping_ipv6_in_fragments;
    window in FINISHED:
        a_reader_that_does_not_read
        acknowledgements_wait
        no_more_than_the_window
        probes_of_a_closed_window
        small_writes_wait
        urgent;
}

#[test]
#[ignore = "takes a minute; cargo xtask soak"]
fn a_million_frames() {
    FINISHED.run("soak", "noise");
}

#[test]
#[ignore = "takes a minute; cargo xtask soak"]
fn a_million_frames_with_headers() {
    UNFINISHED.run("soak", "noise");
}

/// Nobody has written a scenario and forgotten to list it here.
#[test]
fn all_scenarios_are_run() {
    let mut listed: Vec<_> = SCENARIOS.to_vec();
    listed.sort_unstable();
    assert_eq!(listed, lab::scenarios().lines().collect::<Vec<_>>());
}

#[test]
fn a_script_that_fails_is_a_test_that_fails() {
    let outcome = std::panic::catch_unwind(|| FINISHED.run("no_module", "no_name"));
    let message = outcome.expect_err("it cannot have passed");
    let message = message.downcast_ref::<String>().expect("a text");
    assert!(message.contains("No module named 'no_module'"), "{message}");
}
