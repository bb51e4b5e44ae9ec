//! Ways in for the fuzz targets (`fuzz/`): past checksums, which no mutation gets
//! right, and into what is private. Not for anything else.

use crate::Result;
use crate::luks::{self, Luks};
use crate::lvm;

/// Reads the JSON of a LUKS2 header.
pub fn luks2_json(json: &str) -> Result<Luks> {
    luks::from_json(json)
}

/// Makes the checksums of both LUKS2 headers right, where there are any.
pub fn mend_luks2(disk: &mut [u8]) {
    luks::mend(disk);
}

/// Tries a passphrase on the key slots that cost little.
pub fn unlock(luks: Luks) {
    luks.try_cheap_slots();
}

/// Makes the checksums of an LVM2 physical volume right, as far as it has what
/// they are of.
pub fn mend_lvm(disk: &mut [u8]) {
    lvm::mend(disk);
}
