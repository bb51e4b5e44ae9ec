//! Dumps of composefs.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    drupe_tree::fuzzing::composefs(bytes);
});
