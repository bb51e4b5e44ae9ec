//! Signatures of whatever may be on a disk.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let _ = drupe_ondisk::probe::probe(&mut drupe_fuzz::disk(input));
});
