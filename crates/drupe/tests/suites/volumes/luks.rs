//! Encrypted volumes, made by cryptsetup.

use std::io::Write;
use std::os::unix::fs::FileExt;

use drupe::{Cause, Disk, Kernel, MemoryDisk, MountOptions, VolumeError, VolumeKind};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use super::{MIB, make_ext4, partition, read_ext4, volumes};
use crate::Outcome;
use crate::tools::{run, sparse_file, tool};

/// A volume of `size` bytes with the passphrase "correct horse".
fn luks(size: u64, arguments: &[&str]) -> Result<NamedTempFile, Box<dyn std::error::Error>> {
    let image = sparse_file(size)?;
    let mut key = NamedTempFile::new()?;
    key.write_all(b"correct horse")?;
    run(tool("cryptsetup")
        .args(["luksFormat", "--batch-mode"])
        .args(arguments)
        .arg(image.path())
        .arg(key.path()))?;
    Ok(image)
}

/// The weakest key derivation: how much work it is makes no difference here.
const ARGON2: &[&str] = &[
    "--type=luks2",
    "--pbkdf=argon2id",
    "--pbkdf-memory=64",
    "--pbkdf-force-iterations=4",
    "--pbkdf-parallel=2",
];
const PBKDF2: &[&str] = &[
    "--type=luks2",
    "--pbkdf=pbkdf2",
    "--pbkdf-force-iterations=1000",
    "--hash=sha512",
    "--sector-size=4096",
];
const LUKS1: &[&str] = &["--type=luks1", "--pbkdf-force-iterations=1000"];
const CBC: &[&str] = &[
    "--type=luks1",
    "--pbkdf-force-iterations=1000",
    "--cipher=aes-cbc-essiv:sha256",
    "--key-size=256",
    "--hash=sha1",
];

fn round_trip(arguments: &[&str]) -> Outcome {
    let image = luks(32 * MIB, arguments)?;
    let kernel = Kernel::boot()?;
    let found = volumes(&kernel, &[image.path()], false, Some("correct horse"))?;
    make_ext4(&kernel, &partition(&found, "0/luks")?, "secret text")?;
    drop(found);
    kernel.halt()?;

    let bytes = std::fs::read(image.path())?;
    let plain = bytes.windows(11).any(|window| window == b"secret text");
    assert!(!plain, "the text is on the disk as it is");

    let kernel = Kernel::boot()?;
    let found = volumes(&kernel, &[image.path()], true, Some("correct horse"))?;
    let opened = found.get(1).ok_or("nothing was unlocked")?;
    assert_eq!(opened.kind(), VolumeKind::Luks);
    assert!(opened.partition().is_read_only());
    assert_eq!(read_ext4(opened.partition())?, "secret text");
    assert_eq!(std::fs::read(image.path())?, bytes, "reading changed it");
    Ok(())
}

#[test]
fn luks2_with_argon2() -> Outcome {
    round_trip(ARGON2)
}

#[test]
fn luks2_with_pbkdf2_and_large_sectors() -> Outcome {
    round_trip(PBKDF2)
}

#[test]
fn luks1() -> Outcome {
    round_trip(LUKS1)
}

#[test]
fn luks1_with_an_old_cipher() -> Outcome {
    round_trip(CBC)
}

/// The second of two key slots, with the first header damaged.
#[test]
fn another_key_and_the_second_header() -> Outcome {
    let image = luks(32 * MIB, ARGON2)?;
    let mut keys = [NamedTempFile::new()?, NamedTempFile::new()?];
    keys[0].write_all(b"correct horse")?;
    keys[1].write_all(b"battery staple")?;
    run(tool("cryptsetup")
        .args(["luksAddKey", "--batch-mode", "--key-file"])
        .arg(keys[0].path())
        .args(&ARGON2[1..])
        .arg(image.path())
        .arg(keys[1].path()))?;
    image.as_file().write_all_at(b"junk", 5000)?;
    let kernel = Kernel::boot()?;
    let found = volumes(&kernel, &[image.path()], true, Some("battery staple"))?;
    partition(&found, "0/luks")?;
    Ok(())
}

#[test]
fn wrong_and_missing_passphrases() -> Outcome {
    let image = luks(32 * MIB, ARGON2)?;
    let kernel = Kernel::boot()?;
    let found = volumes(&kernel, &[image.path()], true, Some("wrong"))?;
    let trouble = found.get(0).and_then(|volume| volume.trouble());
    let trouble = trouble.ok_or("a wrong passphrase is trouble")?;
    assert!(
        matches!(trouble.cause(), Cause::Volume(VolumeError::WrongPassphrase)),
        "{trouble}"
    );
    drop(found);
    let found = volumes(&kernel, &[image.path()], true, None)?;
    let trouble = found.get(0).and_then(|volume| volume.trouble());
    let trouble = trouble.ok_or("no passphrase is trouble")?;
    assert!(matches!(trouble.cause(), Cause::Locked), "{trouble}");
    Ok(())
}

/// Headers with bytes changed: an error or a volume, and an end.
#[test]
fn damaged_headers() -> Outcome {
    let mut random = fastrand::Rng::with_seed(7);
    for (arguments, headers) in [(ARGON2, &[0, 16384][..]), (LUKS1, &[0])] {
        let image = luks(32 * MIB, arguments)?;
        let whole = std::fs::read(image.path())?;
        let kernel = Kernel::boot()?;
        for _ in 0..60 {
            let mut bytes = whole.clone();
            for _ in 0..random.usize(1..6) {
                let (at, value) = (random.usize(6..2048), random.u8(..));
                // How long it takes is another test.
                let rounds = headers == [0] && (at / 4 == 41 || (at - 4) % 48 / 4 == 4);
                if !rounds {
                    headers.iter().for_each(|header| bytes[header + at] = value);
                }
            }
            opens_or_not(&kernel, &bytes)?;
        }
        kernel.halt()?;
    }
    Ok(())
}

/// Whether a volume opens that may be damaged. If not, there is trouble.
fn opens_or_not(kernel: &Kernel, image: &[u8]) -> Result<bool, Box<dyn std::error::Error>> {
    let disk = kernel.add_disk(Disk::new(MemoryDisk::from_image(image)))?;
    let found = kernel.volumes(&[disk], &mut |_, attempt| {
        (attempt == 0).then(|| Zeroizing::new(b"correct horse".to_vec()))
    })?;
    let volume = found.get(0).ok_or("no disk")?;
    let opened = found.get(1).is_some();
    assert!(opened || volume.trouble().is_some() || volume.found().is_none());
    Ok(opened)
}

#[test]
fn a_key_that_takes_hours() -> Outcome {
    let image = luks(32 * MIB, LUKS1)?;
    let mut bytes = std::fs::read(image.path())?;
    let kernel = Kernel::boot()?;
    assert!(opens_or_not(&kernel, &bytes)?);
    // The rounds of the first key slot, in the byte order of LUKS.
    bytes[212..216].fill(0xff);
    assert!(!opens_or_not(&kernel, &bytes)?);
    Ok(())
}

/// What the processor has instructions for is done by them. That the results are right is
/// seen by the other tests: cryptsetup and mdadm have made what they read.
#[test]
fn the_processors_own_instructions() -> Outcome {
    let kernel = Kernel::boot()?;
    let proc = kernel.mount_virtual("proc", MountOptions::new())?;
    let known = proc.read_to_string("/crypto")?;
    let driver = |name: &str| known.contains(&format!("driver       : {name}\n"));
    for (name, has) in [
        ("xts-aes-aesni", is_x86_feature_detected!("aes")),
        ("xts-aes-vaes-avx2", is_x86_feature_detected!("vaes")),
        ("sha256-avx2", is_x86_feature_detected!("avx2")),
        ("crc32-pclmul", is_x86_feature_detected!("pclmulqdq")),
        ("chacha20-simd", is_x86_feature_detected!("ssse3")),
    ] {
        assert_eq!(driver(name), has, "{name}: {known}");
    }
    if is_x86_feature_detected!("avx2") {
        let log = kernel.log();
        assert!(log.contains("checksumming function   avx"), "{log}");
        assert!(
            log.contains("recovery algorithm") && !log.contains("intx1"),
            "{log}"
        );
    }
    Ok(())
}
