//! The label, header and metadata area of an LVM2 physical volume. Checksums are
//! made right, or nothing behind them would be reached.
#![no_main]

use drupe_ondisk::{fuzzing, lvm::PhysicalVolume};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut disk = drupe_fuzz::disk(input);
    fuzzing::mend_lvm(disk.get_mut());
    let _ = PhysicalVolume::read(&mut disk);
});
