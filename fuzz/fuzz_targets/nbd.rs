//! The bytes of an NBD server: its half of a handshake, then replies.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|server: &[u8]| {
    drupe_formats::fuzzing::nbd(server);
});
