//! Signatures of filesystems and volumes for which this kernel has no driver, with
//! advice.
//!
//! They are tried after all others, since the signatures of some have only two bytes.

use std::io;

use super::source::Source;
use super::{NoDriver, Probe};

/// A type, the places of its signature, its name and the advice.
struct Foreign {
    kind: &'static str,
    magic: &'static [(u64, &'static [u8])],
    what: &'static str,
    remedy: &'static str,
}

const fn foreign(
    kind: &'static str,
    magic: &'static [(u64, &'static [u8])],
    what: &'static str,
    remedy: &'static str,
) -> Foreign {
    Foreign {
        kind,
        magic,
        what,
        remedy,
    }
}

/// From the headers in the kernel's `fs/`, and blkid's `libblkid/src/superblocks`
/// for what is not there. The longest signatures first.
const FORMATS: &[Foreign] = &[
    foreign(
        "romfs",
        &[(0, b"-rom1fs-")],
        "a romfs filesystem",
        "mount -o loop,ro reads it on a Linux host",
    ),
    foreign(
        "reiserfs",
        &[
            (0x10034, b"ReIsErFs"),
            (0x10034, b"ReIsEr2Fs"),
            (0x10034, b"ReIsEr3Fs"),
            (0x2034, b"ReIsErFs"),
        ],
        "a ReiserFS filesystem",
        "mount -t reiserfs reads it on a Linux host, up to Linux 6.12",
    ),
    foreign(
        "reiser4",
        &[(0x10000, b"ReIsEr4")],
        "a Reiser4 filesystem",
        "a Linux kernel with the Reiser4 patches reads it",
    ),
    foreign(
        "BitLocker",
        &[(3, b"-FVE-FS-")],
        "a BitLocker volume",
        "cryptsetup bitlkOpen or dislocker decrypts it",
    ),
    foreign(
        "ReFS",
        &[(3, b"ReFS\0")],
        "a ReFS filesystem",
        "Windows reads it",
    ),
    foreign(
        "bcachefs",
        &[
            (
                4096 + 24,
                b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef",
            ),
            (
                4096 + 24,
                b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81",
            ),
        ],
        "a bcachefs filesystem",
        "mount -t bcachefs of bcachefs-tools reads it",
    ),
    foreign(
        "zfs_member",
        // The first pair of the list of names and values in the first label.
        &[(0x4014, b"\0\0\0\x07version\0")],
        "part of a ZFS pool",
        "zpool import of OpenZFS reads it",
    ),
    foreign(
        "ocfs2",
        &[
            (0x400, b"OCFSV2"),
            (0x800, b"OCFSV2"),
            (0x1000, b"OCFSV2"),
            (0x2000, b"OCFSV2"),
        ],
        "an OCFS2 filesystem",
        "mount -t ocfs2 reads it on a Linux host",
    ),
    foreign(
        "apfs",
        &[(32, b"NXSB")],
        "an APFS container",
        "7-Zip or apfs-fuse reads it",
    ),
    foreign(
        "jfs",
        &[(0x8000, b"JFS1")],
        "a JFS filesystem",
        "mount -t jfs reads it on a Linux host",
    ),
    foreign(
        "gfs2",
        &[(0x10000, b"\x01\x16\x19\x70")],
        "a GFS2 filesystem",
        "mount -t gfs2 -o lockproto=lock_nolock reads it on a Linux host",
    ),
    foreign(
        "ufs",
        &[
            (8192 + 1372, b"\x54\x19\x01\0"),
            (8192 + 1372, b"\0\x01\x19\x54"),
            (65536 + 1372, b"\x19\x01\x54\x19"),
            (65536 + 1372, b"\x19\x54\x01\x19"),
        ],
        "a UFS filesystem",
        "mount -t ufs -o ro,ufstype=ufs2 (or old, 44bsd, sun) reads it on a Linux host",
    ),
    foreign(
        "befs",
        &[(512 + 32, b"1SFB"), (512 + 32, b"BFS1")],
        "a BeFS filesystem",
        "mount -t befs reads it on a Linux host",
    ),
    foreign(
        "hpfs",
        &[(0x2000, b"\x49\xe8\x95\xf9")],
        "an HPFS filesystem",
        "mount -t hpfs reads it on a Linux host",
    ),
    foreign(
        "VMFS_volume_member",
        &[(0x100000, b"\x0d\xd0\x01\xc0")],
        "a VMFS volume",
        "vmfs6-tools reads it",
    ),
    foreign(
        "cramfs",
        &[
            (0, b"\x45\x3d\xcd\x28"),
            (512, b"\x45\x3d\xcd\x28"),
            (0, b"\x28\xcd\x3d\x45"),
            (512, b"\x28\xcd\x3d\x45"),
        ],
        "a cramfs filesystem",
        "fsck.cramfs --extract=DIR unpacks it",
    ),
    foreign(
        "squashfs",
        &[
            (0, b"hsqs"),
            (0, b"sqsh"),
            (0, b"shsq"),
            (0, b"qshs"),
            (0, b"hsqt"),
        ],
        "a squashfs filesystem of an old or a vendor's version",
        "sasquatch unpacks it",
    ),
    foreign(
        "ubi",
        &[(0, b"UBI#")],
        "a UBI image",
        "ubireader_extract_images of ubi_reader unpacks it",
    ),
    foreign(
        "ubifs",
        &[(0, b"\x31\x18\x10\x06")],
        "a UBIFS filesystem",
        "ubireader_extract_files of ubi_reader unpacks it",
    ),
    foreign(
        "jffs2",
        // A clean marker, a directory entry, an inode, padding; either byte order.
        &[
            (0, b"\x85\x19\x03\x20"),
            (0, b"\x85\x19\x01\xe0"),
            (0, b"\x85\x19\x02\xe0"),
            (0, b"\x85\x19\x04\x20"),
            (0, b"\x19\x85\x20\x03"),
            (0, b"\x19\x85\xe0\x01"),
            (0, b"\x19\x85\xe0\x02"),
            (0, b"\x19\x85\x20\x04"),
        ],
        "a JFFS2 filesystem",
        "jefferson unpacks it",
    ),
    foreign(
        "hfsplus",
        &[(1024, b"H+\0\x04"), (1024, b"HX\0\x05")],
        "an HFS+ filesystem",
        "mount -t hfsplus reads it on a Linux host, and 7-Zip unpacks it",
    ),
    foreign(
        "nilfs2",
        // The revision is 2.0.
        &[(1024, b"\x02\0\0\0\0\0\x34\x34")],
        "a NILFS2 filesystem",
        "mount -t nilfs2 reads it on a Linux host",
    ),
    foreign(
        "minix",
        // Versions 1 and 2 with names of 14 and 30 bytes, version 3, either order.
        &[
            (1024 + 16, b"\x7f\x13"),
            (1024 + 16, b"\x8f\x13"),
            (1024 + 16, b"\x68\x24"),
            (1024 + 16, b"\x78\x24"),
            (1024 + 24, b"\x5a\x4d"),
            (1024 + 16, b"\x13\x7f"),
            (1024 + 16, b"\x13\x8f"),
            (1024 + 16, b"\x24\x68"),
            (1024 + 16, b"\x24\x78"),
            (1024 + 24, b"\x4d\x5a"),
        ],
        "a Minix filesystem",
        "mount -t minix reads it on a Linux host",
    ),
    foreign(
        "hfs",
        &[(1024, b"BD")],
        "an HFS filesystem",
        "mount -t hfs reads it on a Linux host, and 7-Zip unpacks it",
    ),
];

pub(super) fn probe(source: &mut Source<'_>) -> io::Result<Option<Probe>> {
    for format in FORMATS {
        if source.has_any(format.magic)? && is_sane(format.kind, source)? {
            return Ok(Some(Probe {
                kind: format.kind,
                driver: None,
                no_driver: Some(NoDriver {
                    what: format.what,
                    remedy: format.remedy,
                }),
                label: None,
                label_bytes: None,
                uuid: None,
                size: None,
            }));
        }
    }
    Ok(None)
}

/// Checks more of a superblock, for short signatures that may occur by chance.
fn is_sane(kind: &str, source: &mut Source<'_>) -> io::Result<bool> {
    let Some(head) = source.get(1024, 512)? else {
        // Nothing in such a small image but what begins in its first bytes.
        return Ok(!matches!(kind, "minix" | "hfs" | "hfsplus" | "nilfs2"));
    };
    Ok(match kind {
        // State: clean or not, with or without errors (include/uapi/linux/minix_fs.h).
        // Version 3 has none: its log of the zone size is that of a block.
        "minix" if matches!(&head[24..26], b"\x5a\x4d" | b"\x4d\x5a") => {
            head[12..14] == [0, 0] && head[..4] != [0; 4]
        }
        "minix" => {
            let state = head[18] | head[19];
            state <= 3 && head[..2] != [0; 2] && head[10..12] == [0, 0]
        }
        // drAlBlkSiz, a multiple of 512; drVBMSt: the bitmap is in block 3.
        "hfs" => head[22] % 2 == 0 && head[23] == 0 && head[14..16] == [0, 3],
        _ => true,
    })
}
