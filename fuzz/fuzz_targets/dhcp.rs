//! A packet that may be a DHCP server's answer.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    drupe_netadmin::fuzzing::dhcp(packet);
});
