//! The headers of LUKS1 and LUKS2, and key slots that cost little.
#![no_main]

use drupe_ondisk::fuzzing;
use drupe_ondisk::luks::Luks;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut disk = drupe_fuzz::disk(input);
    fuzzing::mend_luks2(disk.get_mut());
    if let Ok(luks) = Luks::read(&mut disk) {
        fuzzing::unlock(luks);
    }
});
