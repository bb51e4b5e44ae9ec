//! md superblocks.
#![no_main]

use drupe_ondisk::md::Member;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(member) = Member::read(&mut drupe_fuzz::disk(input)) {
        let _ = member.name();
    }
});
