//! Probing of images made by the real tools, and of garbage.
//!
//! The tools are Debian packages that the tests ask for by name: a missing one
//! fails the test, it does not skip it.

use std::fs::File;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use super::*;

/// Makes an image of `size` bytes with a tool, and probes it.
fn made(size: u64, command: &[&str]) -> Probe {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let image = dir.path().join("image");
    let file = File::create(&image).expect("an image file");
    file.set_len(size).expect("room for it");
    run(command, &image);
    let mut file = File::open(&image).expect("the image");
    let found = probe(&mut file).expect("a readable image");
    found.unwrap_or_else(|| panic!("{command:?} made nothing known"))
}

/// Runs a command whose argument "IMAGE" stands for the image.
fn run(command: &[&str], image: &Path) {
    let arguments = command[1..].iter().map(|&argument| match argument {
        "IMAGE" => image.as_os_str(),
        other => other.as_ref(),
    });
    let output = Command::new(command[0])
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; is it installed?", command[0]));
    assert!(output.status.success(), "{command:?}: {output:?}");
}

const UUID: &str = "01234567-89ab-4cde-8f01-23456789abcd";
const MIB: u64 = 1 << 20;

fn check(found: Probe, kind: &str, label: Option<&str>, uuid: Option<&str>, size: Option<u64>) {
    assert_eq!(found.kind, kind);
    assert_eq!(found.label.as_deref(), label);
    assert_eq!(found.uuid.as_deref(), uuid);
    assert_eq!(found.size, size);
}

#[test]
fn ext_family() {
    for kind in ["ext2", "ext3", "ext4"] {
        let tool = format!("mkfs.{kind}");
        let found = made(16 * MIB, &[&tool, "-q", "-L", "root", "-U", UUID, "IMAGE"]);
        assert_eq!(found.driver, Some(c"ext4"));
        check(found, kind, Some("root"), Some(UUID), Some(16 * MIB));
    }
}

#[test]
fn ext_journal() {
    let command = ["mke2fs", "-q", "-O", "journal_dev", "-U", UUID, "IMAGE"];
    let found = made(16 * MIB, &command);
    assert_eq!(found.driver, None);
    check(found, "jbd", None, Some(UUID), None);
}

#[test]
fn xfs() {
    let uuid = format!("uuid={UUID}");
    let found = made(
        300 * MIB,
        &["mkfs.xfs", "-q", "-L", "data", "-m", &uuid, "IMAGE"],
    );
    check(found, "xfs", Some("data"), Some(UUID), Some(300 * MIB));
}

#[test]
fn btrfs() {
    let found = made(
        128 * MIB,
        &["mkfs.btrfs", "-q", "-L", "pool", "-U", UUID, "IMAGE"],
    );
    check(found, "btrfs", Some("pool"), Some(UUID), Some(128 * MIB));
}

#[test]
fn f2fs() {
    let found = made(
        64 * MIB,
        &["mkfs.f2fs", "-q", "-l", "phone", "-U", UUID, "IMAGE"],
    );
    check(found, "f2fs", Some("phone"), Some(UUID), Some(64 * MIB));
}

#[test]
fn fat() {
    for (bits, size) in [("12", 4), ("16", 32), ("32", 64)] {
        let command = [
            "mkfs.vfat",
            "-F",
            bits,
            "-n",
            "BOOT",
            "-i",
            "1234abcd",
            "IMAGE",
        ];
        let found = made(size * MIB, &command);
        check(
            found,
            "vfat",
            Some("BOOT"),
            Some("1234-ABCD"),
            Some(size * MIB),
        );
    }
}

#[test]
fn exfat() {
    let found = made(64 * MIB, &["mkfs.exfat", "-L", "stick", "IMAGE"]);
    assert_eq!((found.kind, found.size), ("exfat", Some(64 * MIB)));
    assert_eq!(found.label.as_deref(), Some("stick"));
}

#[test]
fn ntfs() {
    let found = made(
        64 * MIB,
        &["mkfs.ntfs", "-q", "-F", "-f", "-L", "Säule", "IMAGE"],
    );
    assert_eq!((found.kind, found.driver), ("ntfs", Some(c"ntfs3")));
    assert_eq!(found.label.as_deref(), Some("Säule"));
}

#[test]
fn swap() {
    let found = made(8 * MIB, &["mkswap", "-L", "sw", "-U", UUID, "IMAGE"]);
    check(found, "swap", Some("sw"), Some(UUID), Some(8 * MIB));
}

#[test]
fn luks() {
    let script = "echo -n secret | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 \
                  --pbkdf-force-iterations 1000 --label vault --uuid \"$1\" \"$0\" -";
    let found = made(32 * MIB, &["sh", "-c", script, "IMAGE", UUID]);
    assert_eq!(found.driver, None);
    check(found, "crypto_LUKS", Some("vault"), Some(UUID), None);
}

/// Packs an empty directory with a tool, and probes the result.
fn packed(command: &[&str]) -> Probe {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(dir.path().join("tree")).expect("a directory");
    let tree = dir.path().join("tree").into_os_string();
    let tree = tree.to_str().expect("a plain name");
    let image = dir.path().join("image");
    let command: Vec<&str> = command
        .iter()
        .map(|&argument| if argument == "TREE" { tree } else { argument })
        .collect();
    run(&command, &image);
    let mut file = File::open(&image).expect("the image");
    let found = probe(&mut file).expect("a readable image");
    found.unwrap_or_else(|| panic!("{command:?} made nothing known"))
}

#[test]
fn read_only_images() {
    let found = packed(&["mksquashfs", "TREE", "IMAGE", "-quiet", "-no-progress"]);
    assert_eq!(found.kind, "squashfs");
    let found = packed(&["mkfs.erofs", "--quiet", "-U", UUID, "IMAGE", "TREE"]);
    assert_eq!((found.kind, found.uuid.as_deref()), ("erofs", Some(UUID)));
    let found = packed(&[
        "xorriso",
        "-as",
        "mkisofs",
        "-V",
        "DEBIAN 12",
        "-o",
        "IMAGE",
        "TREE",
    ]);
    assert_eq!(
        (found.kind, found.label.as_deref()),
        ("iso9660", Some("DEBIAN 12"))
    );
}

#[test]
fn udf() {
    let found = made(
        16 * MIB,
        &["mkudffs", "--label=scheibe", "--vid=scheibe", "IMAGE"],
    );
    assert_eq!(
        (found.kind, found.label.as_deref()),
        ("udf", Some("scheibe"))
    );
}

#[test]
fn nothing() {
    for size in [0, 1, 511, 512, 100_000] {
        let mut zeroes = Cursor::new(vec![0; size]);
        assert_eq!(probe(&mut zeroes).expect("a cursor reads"), None);
    }
}

/// Each signature over bytes that mean nothing: whatever comes out, no panic.
#[test]
fn garbage_behind_every_signature() {
    let mut state = 1_u64;
    let mut random = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 56) as u8
    };
    for format in FORMATS.iter().copied().flatten() {
        for &(offset, magic) in format.magic {
            for len in [70_000, 200_000] {
                for fill in [None, Some(0xff)] {
                    let mut image: Vec<u8> =
                        (0..len).map(|_| fill.unwrap_or_else(&mut random)).collect();
                    image[offset as usize..][..magic.len()].copy_from_slice(magic);
                    probe(&mut Cursor::new(image)).expect("a cursor reads");
                }
            }
        }
    }
}
