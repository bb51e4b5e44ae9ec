//! Entry points for the fuzz targets (`fuzz/`) only: to private functions, and past
//! checksums.

use crate::Result;
use crate::luks::{self, Luks};
use crate::lvm;

/// Reads the JSON of a LUKS2 header.
pub fn luks2_json(json: &str) -> Result<Luks> {
    luks::from_json(json)
}

/// Corrects the checksums of both LUKS2 headers, if they exist.
pub fn mend_luks2(disk: &mut [u8]) {
    luks::mend(disk);
}

/// Tries a passphrase on the key slots that cost little.
pub fn unlock(luks: Luks) {
    luks.try_cheap_slots();
}

/// Corrects the checksums of an LVM2 physical volume, as far as it has the checked parts.
pub fn mend_lvm(disk: &mut [u8]) {
    lvm::mend(disk);
}
