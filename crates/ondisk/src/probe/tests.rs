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

/// Zeroes with bytes at offsets: what the tools of these formats were seen to
/// write, without the tools.
fn pieces(size: usize, pieces: &[(usize, &[u8])]) -> Probe {
    let mut image = vec![0; size];
    for (offset, bytes) in pieces {
        image[*offset..][..bytes.len()].copy_from_slice(bytes);
    }
    let found = probe(&mut Cursor::new(image)).expect("a cursor reads");
    found.expect("something known")
}

#[test]
fn udf() {
    let volume = 2048 * 32;
    let found = pieces(
        1 << 20,
        &[
            (32769, b"BEA01"),
            (34817, b"NSR03"),
            (36865, b"TEA01"),
            // The anchor: tag 2, at block 256; descriptors from block 32 on.
            (256 * 2048, &[2, 0]),
            (256 * 2048 + 12, &[0, 1]),
            (256 * 2048 + 20, &[32]),
            (volume, &[1, 0]),
            (volume + 72, b"\x080123456789ABCDEFLinuxUDF"),
            (volume + 72 + 127, &[25]),
            (volume + 2048, &[6, 0]),
            (volume + 2048 + 84, b"\x08scheibe"),
            (volume + 2048 + 84 + 127, &[8]),
        ],
    );
    check(
        found,
        "udf",
        Some("scheibe"),
        Some("0123456789abcdef"),
        None,
    );
}

#[test]
fn luks() {
    for (version, label) in [(1, None), (2, Some("vault"))] {
        let found = pieces(
            1 << 20,
            &[
                (0, b"LUKS\xba\xbe\x00"),
                (7, &[version]),
                (24, b"vault"),
                (168, UUID.as_bytes()),
            ],
        );
        assert_eq!(found.driver, None);
        check(found, "crypto_LUKS", label, Some(UUID), None);
    }
}

#[test]
fn lvm() {
    let found = pieces(
        1 << 20,
        &[
            (512, b"LABELONE"),
            (512 + 20, &[32]),
            (512 + 24, b"LVM2 001abcdefghijklmnopqrstuvwxyz012345"),
            (512 + 64, &(1_u64 << 20).to_le_bytes()),
        ],
    );
    let uuid = "abcdef-ghij-klmn-opqr-stuv-wxyz-012345";
    check(found, "LVM2_member", None, Some(uuid), Some(1 << 20));
}

/// A member of a mirror looks like the filesystem on it, too.
#[test]
fn raid() {
    let uuid: Vec<u8> = (1..=16).collect();
    let magic = [0xfc, 0x4e, 0x2b, 0xa9, 1];
    let text = "01020304-0506-0708-090a-0b0c0d0e0f10";
    let size = 1 << 20;
    // Versions 1.0, 1.1 and 1.2, by where they are.
    for offset in [size - 8192, 0, 4096] {
        let sector = (offset as u64 / 512).to_le_bytes();
        let found = pieces(
            size,
            &[
                (offset, &magic),
                (offset + 16, &uuid),
                (offset + 32, b"host:0"),
                (offset + 144, &sector),
                (1024 + 56, b"\x53\xef"),
            ],
        );
        check(found, "linux_raid_member", Some("host:0"), Some(text), None);
    }
    let old = size - 65536;
    let found = pieces(
        size,
        &[
            (old, &magic[..4]),
            (old + 20, &[4, 3, 2, 1]),
            (old + 52, &[8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13]),
        ],
    );
    check(found, "linux_raid_member", None, Some(text), None);
}

#[test]
fn what_has_no_driver() {
    let found = made(4 * MIB, &["mkfs.minix", "IMAGE"]);
    let named = found.no_driver.expect("no driver").to_string();
    assert_eq!(
        named,
        "is a Minix filesystem, which this kernel has no driver for; \
         mount -t minix reads it on a Linux host"
    );
    for version in ["-1", "-2", "-3"] {
        let found = made(4 * MIB, &["mkfs.minix", version, "IMAGE"]);
        assert_eq!((found.kind, found.driver), ("minix", None));
    }
    let found = packed(&["mkfs.cramfs", "TREE", "IMAGE"]);
    assert_eq!((found.kind, found.driver), ("cramfs", None));
    // An empty superblock of Minix: not even its size makes sense.
    let mut image = vec![0; 8192];
    image[1024 + 16..][..2].copy_from_slice(b"\x7f\x13");
    assert_eq!(
        probe(&mut Cursor::new(image)).expect("a cursor reads"),
        None
    );
    for (at, magic, kind) in [
        (0, &b"-rom1fs-"[..], "romfs"),
        (0, b"\x85\x19\x03\x20", "jffs2"),
        (1024, b"\x02\0\0\0\0\0\x34\x34", "nilfs2"),
        (0x10034, b"ReIsEr2Fs", "reiserfs"),
        (1024, b"H+\0\x04", "hfsplus"),
        (32, b"NXSB", "apfs"),
        (0x4014, b"\0\0\0\x07version\0", "zfs_member"),
        (3, b"-FVE-FS-", "BitLocker"),
        (0, b"UBI#\x01", "ubi"),
    ] {
        let found = pieces(1 << 20, &[(at, magic)]);
        assert_eq!((found.kind, found.driver), (kind, None));
        assert!(found.no_driver.is_some());
    }
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
