//! The JSON of LUKS2.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &str| {
    if let Ok(luks) = drupe_ondisk::fuzzing::luks2_json(json) {
        drupe_ondisk::fuzzing::unlock(luks);
    }
});
