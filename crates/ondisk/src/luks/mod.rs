//! [`Luks`]: reads LUKS headers, unlocks the volume key, and makes the dm-crypt table.
//!
//! ```text
//! passphrase ── key derivation ──▶ key of a slot
//!                                    │ decrypts the slot's area (the caller: Area)
//!                                    ▼
//!                    split key ── merged (anti-forensic) ──▶ volume key
//!                                                              │ checked by a digest
//!                                                              ▼
//!                                                     the dm-crypt table
//! ```
//!
//! From the LUKS1 and LUKS2 on-disk format specifications (cryptsetup's `docs`).

mod given_up;
mod hash;
mod v1;
mod v2;

use std::fmt;
use std::io::{Read, Seek};
use std::sync::atomic::AtomicBool;

use zeroize::{Zeroize, Zeroizing};

use crate::bytes::{be16, bytes_at};
use crate::{Error, Result, SECTOR, Target};
use hash::Hash;

/// Limit of a key in bytes; no cipher of the kernel takes more.
const MAX_KEY: usize = 512;
/// Limit of the stripes of a split key; cryptsetup makes 4000.
const MAX_STRIPES: u64 = 1 << 16;

/// Limit of key slots and of digests, as in cryptsetup.
const MAX_SLOTS: usize = 32;
/// Limit of the digest of a key in bytes: the longest hash.
const MAX_DIGEST: usize = 64;

/// Limit of one key derivation, in rounds of PBKDF2: about a minute. cryptsetup chooses
/// as many as take two seconds; a damaged or hostile header may have as many as take
/// hours.
const MAX_WORK: u64 = 200_000_000;
/// Limit of trying one passphrase on all key slots. 32 slots of cryptsetup take a quarter
/// of that.
const MAX_WORK_OF_ALL: u64 = 4 * MAX_WORK;

/// The header of an encrypted volume.
#[derive(Debug, Clone)]
pub struct Luks {
    /// 1 or 2.
    pub version: u16,
    /// Its UUID.
    pub uuid: String,
    slots: Vec<Slot>,
    digests: Vec<Digest>,
    segment: Segment,
}

/// A key slot, which has the volume key encrypted with one passphrase.
#[derive(Debug, Clone)]
struct Slot {
    id: u32,
    kdf: Kdf,
    stripes: u64,
    split_hash: Hash,
    /// Bytes of the volume key.
    key_bytes: usize,
    area: Area,
}

/// The area of the device in which a key slot has its encrypted key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// Bytes from the start of the device; a multiple of 512.
    pub offset: u64,
    /// Bytes; a multiple of 512.
    pub len: u64,
    /// The cipher, named as in dm-crypt: "aes-xts-plain64".
    pub cipher: String,
    /// Length in bytes of the key that encrypts it.
    key_bytes: usize,
}

/// The key derivation function of a slot.
#[derive(Debug, Clone)]
enum Kdf {
    Pbkdf2 {
        hash: Hash,
        iterations: u32,
        salt: Vec<u8>,
    },
    Argon2 {
        algorithm: argon2::Algorithm,
        /// Passes.
        time: u32,
        /// KiB.
        memory: u32,
        lanes: u32,
        salt: Vec<u8>,
    },
}

/// A digest of the volume key, which verifies it.
#[derive(Debug, Clone)]
struct Digest {
    slots: Vec<u32>,
    hash: Hash,
    iterations: u32,
    salt: Vec<u8>,
    digest: Vec<u8>,
}

/// The encrypted data.
#[derive(Debug, Clone)]
struct Segment {
    cipher: String,
    /// Bytes.
    offset: u64,
    /// Bytes; `None`: to the end of the device.
    len: Option<u64>,
    iv_tweak: u64,
    sector_size: u32,
    flags: Vec<String>,
}

/// The key of a volume. Wiped from memory when dropped.
pub struct VolumeKey(Zeroizing<Vec<u8>>);

impl fmt::Debug for VolumeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VolumeKey(..)")
    }
}

#[cfg(feature = "fuzzing")]
pub(crate) use v2::{from_json, mend};

pub(crate) fn damaged(why: impl Into<String>) -> Error {
    let what = "LUKS header";
    let why = why.into();
    Error::Damaged { what, why }
}

impl Luks {
    /// Reads the header of a volume.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] also when there is none.
    pub fn read<R: Read + Seek>(reader: &mut R) -> Result<Luks> {
        let start = bytes_at(reader, 0, 8)?;
        let version = be16(&start, 6);
        let magic = start.starts_with(b"LUKS\xba\xbe");
        match version {
            1 if magic => v1::read(reader),
            // A second header stands in for a damaged first one.
            _ if !magic || version == 2 => v2::read(reader),
            _ => Err(Error::Unsupported(format!("LUKS version {version}"))),
        }
    }

    /// Tries a passphrase on the key slots. `decrypt` must read an area of the device and
    /// decrypt it with a key, with sectors numbered from the area's start. When `given_up`
    /// is set, the key is no longer waited for.
    ///
    /// The header determines how long that takes: usually about two seconds for each key
    /// slot, at most minutes in all, and up to 4 GiB of memory.
    ///
    /// # Errors
    ///
    /// [`Error::WrongPassphrase`]; [`Error::Damaged`] if the key slots would take
    /// too long to try; [`Error::GivenUp`]; those of `decrypt`.
    pub fn unlock<F, E>(
        &self,
        passphrase: &[u8],
        given_up: Option<&AtomicBool>,
        mut decrypt: F,
    ) -> Result<VolumeKey, E>
    where
        F: FnMut(&Area, &[u8]) -> Result<Vec<u8>, E>,
        E: From<Error>,
    {
        let mut left = MAX_WORK_OF_ALL;
        for slot in &self.slots {
            let Some(rest) = left.checked_sub(self.work(slot)) else {
                let id = slot.id;
                let why = format!("its key slots from {id} on would take hours to try");
                return Err(damaged(why).into());
            };
            left = rest;
            let key = slot.derive(passphrase, given_up)?;
            let mut split = Zeroizing::new(decrypt(&slot.area, &key)?);
            let key = slot.merge(&mut split)?;
            if self.is_right(slot, &key, given_up)? {
                return Ok(VolumeKey(key));
            }
        }
        Err(Error::WrongPassphrase.into())
    }

    /// Whether a digest says that this is the volume key.
    fn is_right(&self, slot: &Slot, key: &[u8], given_up: Option<&AtomicBool>) -> Result<bool> {
        let digests = self.digests.iter();
        let digests: Vec<Digest> = digests
            .filter(|digest| digest.slots.contains(&slot.id))
            .cloned()
            .collect();
        let key = Zeroizing::new(key.to_vec());
        given_up::wait(given_up, move || {
            digests.iter().any(|digest| digest.matches(&key))
        })
    }

    /// [`Luks::unlock`] without slots and digests that take long. For fuzz targets.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn try_cheap_slots(mut self) {
        const CHEAP: u64 = 2000;
        self.digests
            .retain(|digest| digest.work(0).max(u64::from(digest.iterations)) < CHEAP);
        self.slots
            .retain(|slot| slot.kdf.work(slot.area.key_bytes) < CHEAP && slot.area.len < 1 << 16);
        let zeroes = |area: &Area, _: &[u8]| Ok::<_, Error>(vec![0; area.len as usize]);
        if let Ok(key) = self.unlock(b"", None, zeroes) {
            let _ = self.table(&key, "8:1", 1 << 30);
        }
    }

    /// The rounds of PBKDF2 for trying a key slot, with the digests of its key.
    fn work(&self, slot: &Slot) -> u64 {
        let digests = self.digests.iter().map(|digest| digest.work(slot.id));
        digests.fold(slot.kdf.work(slot.area.key_bytes), u64::saturating_add)
    }

    /// The device mapper table of the decrypted volume. `device` is the encrypted device
    /// as "MAJOR:MINOR", and has `size` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if the data is not within the device.
    pub fn table(&self, key: &VolumeKey, device: &str, size: u64) -> Result<Vec<Target>> {
        let segment = &self.segment;
        let rest = size.checked_sub(segment.offset);
        let len = segment.len.or(rest).unwrap_or(0);
        let unit = u64::from(segment.sector_size);
        if rest.is_none_or(|rest| len > rest) || len < unit {
            let why = format!("its data is not within the {size} bytes of the device");
            return Err(damaged(why));
        }
        let mut options = segment.flags.clone();
        if segment.sector_size != 512 {
            options.push(format!("sector_size:{}", segment.sector_size));
        }
        let options = match &options[..] {
            [] => String::new(),
            options => format!(" {} {}", options.len(), options.join(" ")),
        };
        let mut hex = key.hex();
        let params = format!(
            "{} {} {} {device} {}{options}",
            segment.cipher,
            *hex,
            segment.iv_tweak,
            segment.offset / SECTOR
        );
        hex.zeroize();
        Ok(vec![Target {
            start: 0,
            len: len / unit * unit / SECTOR,
            kind: "crypt",
            params,
        }])
    }
}

impl Area {
    /// The device mapper table of a device that decrypts this area with `key`.
    pub fn table(&self, key: &[u8], device: &str) -> Vec<Target> {
        let params = format!(
            "{} {} 0 {device} {}",
            self.cipher,
            *hex(key),
            self.offset / SECTOR
        );
        vec![Target {
            start: 0,
            len: self.len / SECTOR,
            kind: "crypt",
            params,
        }]
    }
}

fn hex(bytes: &[u8]) -> Zeroizing<String> {
    use std::fmt::Write;
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

impl VolumeKey {
    fn hex(&self) -> Zeroizing<String> {
        hex(&self.0)
    }
}

impl Kdf {
    /// The rounds of PBKDF2 for deriving `len` bytes.
    fn work(&self, len: usize) -> u64 {
        match self {
            Kdf::Pbkdf2 {
                hash, iterations, ..
            } => hash.work(*iterations, len),
            // KiB that all passes together go through; one takes as long as one
            // and a half rounds.
            Kdf::Argon2 { time, memory, .. } => {
                let filled = u64::from(*time) * u64::from(*memory);
                filled.saturating_mul(3) / 2
            }
        }
    }

    fn derive(&self, passphrase: &[u8], len: usize) -> Result<Zeroizing<Vec<u8>>> {
        let mut key = Zeroizing::new(vec![0; len]);
        match self {
            Kdf::Pbkdf2 {
                hash,
                iterations,
                salt,
            } => hash.pbkdf2(passphrase, salt, *iterations, &mut key),
            Kdf::Argon2 {
                algorithm,
                time,
                memory,
                lanes,
                salt,
            } => {
                let wrong = |error: argon2::Error| damaged(format!("argon2: {error}"));
                let params = argon2::Params::new(*memory, *time, *lanes, Some(len));
                argon2::Argon2::new(*algorithm, argon2::Version::V0x13, params.map_err(wrong)?)
                    .hash_password_into(passphrase, salt, &mut key)
                    .map_err(wrong)?;
            }
        }
        Ok(key)
    }
}

impl Slot {
    /// The key that its area is encrypted with.
    fn derive(
        &self,
        passphrase: &[u8],
        given_up: Option<&AtomicBool>,
    ) -> Result<Zeroizing<Vec<u8>>> {
        let (kdf, len) = (self.kdf.clone(), self.area.key_bytes);
        let passphrase = Zeroizing::new(passphrase.to_vec());
        given_up::wait(given_up, move || kdf.derive(&passphrase, len))?
    }

    /// Checks the values on which sizes depend, and limits the area to the needed part.
    fn checked(mut self) -> Result<Slot> {
        let Slot {
            id, stripes, area, ..
        } = &self;
        let keys = [self.key_bytes, area.key_bytes];
        let split = (self.key_bytes as u64).checked_mul(*stripes);
        if self.kdf.work(area.key_bytes) > MAX_WORK {
            let why = format!("the key of slot {id} would take hours to derive");
            return Err(damaged(why));
        }
        let sane = keys.iter().all(|key| (1..=MAX_KEY).contains(key))
            && (1..=MAX_STRIPES).contains(stripes)
            && split.is_some_and(|split| split <= area.len)
            && area.offset.is_multiple_of(SECTOR)
            && !area.cipher.contains(char::is_whitespace);
        match split.filter(|_| sane) {
            Some(split) => {
                self.area.len = split.div_ceil(SECTOR) * SECTOR;
                Ok(self)
            }
            None => Err(damaged(format!("the sizes of key slot {id} are invalid"))),
        }
    }

    /// Merges a split key (LUKS1 specification, section 2.4).
    fn merge(&self, split: &mut [u8]) -> Result<Zeroizing<Vec<u8>>> {
        let len = self.key_bytes;
        let count = self.stripes as usize;
        let Some(split) = split.get(..len * count) else {
            return Err(damaged(format!("key slot {} is cut short", self.id)));
        };
        let mut key = Zeroizing::new(vec![0; len]);
        for (n, stripe) in split.chunks_exact(len).enumerate() {
            key.iter_mut()
                .zip(stripe)
                .for_each(|(key, byte)| *key ^= byte);
            if n + 1 < count {
                self.split_hash.diffuse(&mut key);
            }
        }
        Ok(key)
    }
}

impl Digest {
    fn checked(self) -> Result<Digest> {
        let len = self.digest.len();
        let sane =
            (1..=MAX_DIGEST).contains(&len) && self.hash.work(self.iterations, len) <= MAX_WORK;
        match sane {
            true => Ok(self),
            false => Err(damaged("the digest of its key is invalid")),
        }
    }

    /// The rounds of PBKDF2 for verifying the key of a slot.
    fn work(&self, slot: u32) -> u64 {
        match self.slots.contains(&slot) {
            true => self.hash.work(self.iterations, self.digest.len()),
            false => 0,
        }
    }

    fn matches(&self, key: &[u8]) -> bool {
        let mut digest = vec![0; self.digest.len()];
        self.hash
            .pbkdf2(key, &self.salt, self.iterations, &mut digest);
        digest == self.digest
    }
}

#[cfg(test)]
mod tests;
