//! The filesystems of the tables: how each is made and checked.

/// A filesystem with some features.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// The command that makes it. The image is behind it, or where `IMAGE` stands.
    pub(crate) made: &'static str,
    /// The command that checks it; empty: it has no checker.
    pub(crate) check: &'static str,
    /// What a checker says that finds faults and exits with 0.
    pub(crate) faults: &'static [&'static str],
    /// Options to mount it with.
    pub(crate) options: &'static str,
    /// Size of the image, in MiB.
    pub(crate) mib: u64,
}

const fn row(made: &'static str, check: &'static str, mib: u64) -> Row {
    Row {
        made,
        check,
        faults: &[],
        options: "",
        mib,
    }
}

const fn ext(made: &'static str) -> Row {
    row(made, "e2fsck -fn", 64)
}

const fn xfs(made: &'static str) -> Row {
    row(made, "xfs_repair -n", 300)
}

const fn btrfs(made: &'static str) -> Row {
    row(made, "btrfs check --readonly", 128)
}

const fn f2fs(made: &'static str) -> Row {
    Row {
        faults: &["[Fail]", "ASSERT"],
        ..row(made, "fsck.f2fs -f --dry-run", 64)
    }
}

pub(crate) const WRITABLE: &[(&str, &[Row])] = &[
    (
        "ext2, ext3, ext4",
        &[
            ext("mke2fs -t ext2"),
            ext("mke2fs -t ext3"),
            ext("mke2fs -t ext4"),
            ext("mke2fs -t ext4 -b 1024"),
            ext("mke2fs -t ext4 -b 2048"),
            ext("mke2fs -t ext4 -I 128"),
            ext("mke2fs -t ext4 -O ^has_journal"),
            ext("mke2fs -t ext4 -O ^metadata_csum"),
            ext("mke2fs -t ext4 -O metadata_csum_seed"),
            ext("mke2fs -t ext4 -O ^extent,^64bit"),
            ext("mke2fs -t ext4 -O bigalloc"),
            ext("mke2fs -t ext4 -O inline_data"),
            ext("mke2fs -t ext4 -O ea_inode"),
            ext("mke2fs -t ext4 -O casefold"),
            ext("mke2fs -t ext4 -O encrypt"),
            ext("mke2fs -t ext4 -O verity"),
            ext("mke2fs -t ext4 -O quota,project"),
            ext("mke2fs -t ext4 -O large_dir"),
            ext("mke2fs -t ext4 -O meta_bg,^resize_inode"),
            ext("mke2fs -t ext4 -O sparse_super2,^resize_inode"),
            ext("mke2fs -t ext4 -O fast_commit"),
            ext("mke2fs -t ext4 -O orphan_file"),
            ext("mke2fs -t ext4 -O mmp"),
        ],
    ),
    (
        "XFS",
        &[
            xfs("mkfs.xfs -m crc=0"),
            xfs("mkfs.xfs"),
            xfs("mkfs.xfs -b size=1024"),
            xfs("mkfs.xfs -m reflink=0"),
            xfs("mkfs.xfs -m bigtime=0"),
            xfs("mkfs.xfs -m finobt=0,reflink=0"),
            xfs("mkfs.xfs -m rmapbt=1"),
            xfs("mkfs.xfs -m inobtcount=0"),
            xfs("mkfs.xfs -i sparse=0"),
            xfs("mkfs.xfs -i nrext64=1"),
            xfs("mkfs.xfs -n size=16384"),
            xfs("mkfs.xfs -n version=ci"),
        ],
    ),
    (
        "btrfs",
        &[
            btrfs("mkfs.btrfs"),
            btrfs("mkfs.btrfs --mixed"),
            btrfs("mkfs.btrfs --csum xxhash"),
            btrfs("mkfs.btrfs --csum sha256"),
            btrfs("mkfs.btrfs --csum blake2"),
            btrfs("mkfs.btrfs -O ^no-holes"),
            btrfs("mkfs.btrfs -R ^free-space-tree"),
            btrfs("mkfs.btrfs -O ^extref,^skinny-metadata"),
            btrfs("mkfs.btrfs -R quota"),
            Row {
                options: "compress=zlib",
                ..btrfs("mkfs.btrfs")
            },
            Row {
                options: "compress=lzo",
                ..btrfs("mkfs.btrfs")
            },
            Row {
                options: "compress=zstd",
                ..btrfs("mkfs.btrfs")
            },
        ],
    ),
    (
        "f2fs",
        &[
            f2fs("mkfs.f2fs"),
            f2fs("mkfs.f2fs -O extra_attr"),
            f2fs("mkfs.f2fs -O extra_attr,inode_checksum,sb_checksum"),
            f2fs("mkfs.f2fs -O extra_attr,inode_crtime"),
            f2fs("mkfs.f2fs -O extra_attr,flexible_inline_xattr"),
            f2fs("mkfs.f2fs -O extra_attr,compression"),
            f2fs("mkfs.f2fs -R 0:0 -O extra_attr,project_quota,quota"),
            f2fs("mkfs.f2fs -O encrypt"),
            f2fs("mkfs.f2fs -O verity"),
            f2fs("mkfs.f2fs -O casefold -C utf8"),
            f2fs("mkfs.f2fs -O lost_found"),
        ],
    ),
    (
        "Those of other systems",
        &[
            row("mkfs.vfat -F 12", "fsck.vfat -n", 16),
            row("mkfs.vfat -F 16", "fsck.vfat -n", 64),
            row("mkfs.vfat -F 32", "fsck.vfat -n", 64),
            row("mkfs.exfat", "fsck.exfat -n", 64),
            row("mkfs.ntfs -F -Q", "ntfsfix -n", 64),
            Row {
                options: "sparse",
                ..row("mkfs.ntfs -F -Q", "ntfsfix -n", 64)
            },
            Row {
                options: "acl",
                ..row("mkfs.ntfs -F -Q", "ntfsfix -n", 64)
            },
            row("mkudffs -b 512 --media-type=hd", "", 64),
            row("mkudffs -b 512 --media-type=hd --udfrev=1.50", "", 64),
        ],
    ),
];

pub(crate) const FROM_A_DIRECTORY: &[Row] = &[
    row("xorriso -as mkisofs -o IMAGE -R DIR", "", 0),
    Row {
        options: "norock",
        ..row("xorriso -as mkisofs -o IMAGE -J DIR", "", 0)
    },
    Row {
        options: "norock,nojoliet",
        ..row("xorriso -as mkisofs -o IMAGE DIR", "", 0)
    },
    row("mksquashfs DIR IMAGE -noappend -comp gzip", "", 0),
    row("mksquashfs DIR IMAGE -noappend -comp lz4", "", 0),
    row("mksquashfs DIR IMAGE -noappend -comp lzo", "", 0),
    row("mksquashfs DIR IMAGE -noappend -comp xz", "", 0),
    row("mksquashfs DIR IMAGE -noappend -comp zstd", "", 0),
    row("mkfs.erofs IMAGE DIR", "fsck.erofs", 0),
    row("mkfs.erofs -zlz4 IMAGE DIR", "fsck.erofs", 0),
    row("mkfs.erofs -zlz4hc IMAGE DIR", "fsck.erofs", 0),
    row(
        "mkfs.erofs -Eforce-inode-extended IMAGE DIR",
        "fsck.erofs",
        0,
    ),
];
