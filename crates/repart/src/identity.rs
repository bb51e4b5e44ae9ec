//! UUIDs that follow from a seed, as systemd-repart derives them: the same description
//! and the same seed give the same disk.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::{Builder, Uuid};

/// Derives a UUID of version 4 from `seed` and what it is for.
///
/// The first half of HMAC-SHA-256, keyed with the seed, over `purpose`.
pub fn derive(seed: Uuid, purpose: &[u8]) -> Uuid {
    let digest = digest(seed, purpose);
    let half: [u8; 16] = digest[..16].try_into().expect("half of 32 bytes");
    Builder::from_random_bytes(half).into_uuid()
}

fn digest(seed: Uuid, purpose: &[u8]) -> [u8; 32] {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(seed.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(purpose);
    mac.finalize().into_bytes().into()
}

/// The UUID of the disk.
pub fn of_disk(seed: Uuid) -> Uuid {
    derive(seed, b"disk-uuid")
}

/// The UUID of a partition: of the first of its type from the type alone, of those after
/// it from the type and how many there are before.
pub fn of_partition(seed: Uuid, kind: Uuid, before: u64) -> Uuid {
    let mut purpose = kind.as_bytes().to_vec();
    if before > 0 {
        purpose.extend(before.to_le_bytes());
    }
    derive(seed, &purpose)
}

/// The UUID of the filesystem in the partition with this UUID.
pub fn of_filesystem(partition: Uuid) -> Uuid {
    derive(partition, b"file-system-uuid")
}

/// The UUID of the LUKS volume in the partition with this UUID.
pub fn of_luks(partition: Uuid) -> Uuid {
    derive(partition, b"luks-uuid")
}

/// The UUID of the hashes in the partition with this UUID.
pub fn of_verity(partition: Uuid) -> Uuid {
    derive(partition, b"verity-uuid")
}

/// The salt of hashes.
pub fn verity_salt(seed: Uuid) -> [u8; 32] {
    digest(seed, b"verity-salt")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of systemd-repart 252.
    #[test]
    fn as_systemd() {
        let seed = Uuid::from_u128(0x0123456789abcdef_0123456789abcdef);
        let generic = Uuid::from_u128(0x0fc63daf848347728e793d69d8477de4);
        for (found, expected) in [
            (of_disk(seed), "6913f4b6-6690-4a57-a202-f1b53c56dbdf"),
            (
                of_partition(seed, generic, 0),
                "3ed50935-b785-4a2a-879d-dd4c00395d47",
            ),
            (
                of_partition(seed, generic, 1),
                "ff20ebae-a7df-4fb5-ac96-557ee3704996",
            ),
        ] {
            assert_eq!(found.to_string(), expected);
        }
    }
}
