//! Tests of hostile headers. Real volumes are opened in
//! `crates/drupe/tests/suites/volumes`, with a kernel.

use super::*;

fn pbkdf2(iterations: u32) -> Kdf {
    Kdf::Pbkdf2 {
        hash: Hash::Sha256,
        iterations,
        salt: b"salt".to_vec(),
    }
}

fn slot(id: u32, kdf: Kdf) -> Slot {
    Slot {
        id,
        kdf,
        stripes: 1,
        split_hash: Hash::Sha256,
        key_bytes: 64,
        area: Area {
            offset: 0,
            len: 512,
            cipher: "aes-xts-plain64".into(),
            key_bytes: 64,
        },
    }
}

fn digest(iterations: u32, len: usize) -> Digest {
    Digest {
        slots: (0..32).collect(),
        hash: Hash::Sha256,
        iterations,
        salt: Vec::new(),
        digest: vec![0; len],
    }
}

fn luks(slots: Vec<Slot>, digest: Digest) -> Luks {
    Luks {
        version: 2,
        uuid: String::new(),
        slots,
        digests: vec![digest],
        segment: Segment {
            cipher: "aes-xts-plain64".into(),
            offset: 0,
            len: None,
            iv_tweak: 0,
            sector_size: 512,
            flags: Vec::new(),
        },
    }
}

#[test]
fn a_key_that_takes_hours_is_none() {
    // Two blocks of SHA-256 for a key of 64 bytes.
    assert!(slot(0, pbkdf2(100_000_000)).checked().is_ok());
    let error = slot(0, pbkdf2(100_000_001)).checked().unwrap_err();
    assert_eq!(
        error.to_string(),
        "damaged LUKS header: the key of slot 0 would take hours to derive"
    );
    let argon2 = |time, memory| Kdf::Argon2 {
        algorithm: argon2::Algorithm::Argon2id,
        time,
        memory,
        lanes: 4,
        salt: Vec::new(),
    };
    // cryptsetup's defaults on a fast machine.
    assert!(slot(0, argon2(12, 1 << 20)).checked().is_ok());
    assert!(slot(0, argon2(u32::MAX, 4 << 20)).checked().is_err());
}

/// A digest of megabytes took a block of PBKDF2 for each 32 bytes.
#[test]
fn a_digest_is_as_long_as_a_hash() {
    assert!(digest(1000, 32).checked().is_ok());
    assert!(digest(1000, 64).checked().is_ok());
    assert!(digest(1000, 0).checked().is_err());
    assert!(digest(1000, 65).checked().is_err());
    assert!(digest(200_000_001, 32).checked().is_err());
}

/// Each slot may take a minute, all of them may not take half an hour.
#[test]
fn the_work_of_all_slots_is_bounded() {
    let zeroes = |_: &Area, _: &[u8]| Ok::<_, Error>(vec![0; 512]);
    let slow = |id| slot(id, pbkdf2(100_000_000));
    let mut slots = vec![slot(0, pbkdf2(1)), slot(1, pbkdf2(1))];
    slots.extend((2..32).map(slow));
    let all = luks(slots.clone(), digest(1, 32));
    let allowed = slots.iter().map(|slot| all.work(slot));
    let allowed = allowed.scan(0, |sum, work| {
        *sum += work;
        Some(*sum)
    });
    assert_eq!(allowed.filter(|&sum| sum <= MAX_WORK_OF_ALL).count(), 5);
    // Without deriving them.
    let greedy = luks(vec![slot(7, pbkdf2(u32::MAX))], digest(1, 32));
    let Err(error) = greedy.unlock(b"", None, zeroes) else {
        panic!("it opened");
    };
    assert_eq!(
        error.to_string(),
        "damaged LUKS header: its key slots from 7 on would take hours to try"
    );
    let modest = luks(slots[..2].to_vec(), digest(1, 32));
    assert!(matches!(
        modest.unlock(b"", None, zeroes),
        Err(Error::WrongPassphrase)
    ));
}

#[test]
fn a_key_is_not_shown() {
    let key = VolumeKey(vec![113; 64].into());
    assert_eq!(format!("{key:?}"), "VolumeKey(..)");
}
