//! Container images: references, manifests, configurations, what registries ask for.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    drupe_oci::fuzzing::text(bytes);
});
