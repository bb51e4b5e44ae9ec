//! Recordings of frames, in libpcap's format.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    drupe_links::fuzzing::pcap(file);
});
