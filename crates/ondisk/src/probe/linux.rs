//! Filesystems and swap of Linux. Layouts: the kernel's own headers, named at
//! each function.

use std::io;

use super::source::{Source, label, uuid};
use super::{Detail, Format};
use crate::bytes::{be32, be64, le16, le32, le64, utf16};

type Found = io::Result<Option<Detail>>;

pub(super) const FORMATS: &[Format] = &[
    Format {
        kind: "xfs",
        driver: Some(c"xfs"),
        magic: &[(0, b"XFSB")],
        detail: xfs,
    },
    Format {
        kind: "btrfs",
        driver: Some(c"btrfs"),
        magic: &[(0x10040, b"_BHRfS_M")],
        detail: btrfs,
    },
    Format {
        kind: "ext4",
        driver: Some(c"ext4"),
        magic: &[(1024 + 56, b"\x53\xef")],
        detail: ext,
    },
    Format {
        kind: "jbd",
        driver: None,
        magic: &[(1024 + 56, b"\x53\xef")],
        detail: jbd,
    },
    Format {
        kind: "f2fs",
        driver: Some(c"f2fs"),
        magic: &[(1024, b"\x10\x20\xf5\xf2")],
        detail: f2fs,
    },
    Format {
        kind: "squashfs",
        driver: Some(c"squashfs"),
        magic: &[(0, b"hsqs")],
        detail: squashfs,
    },
    Format {
        kind: "erofs",
        driver: Some(c"erofs"),
        magic: &[(1024, b"\xe2\xe1\xf5\xe0")],
        detail: erofs,
    },
    Format {
        kind: "swap",
        driver: None,
        // At the end of the first page, whatever the page size.
        magic: &[
            (4096 - 10, b"SWAPSPACE2"),
            (8192 - 10, b"SWAPSPACE2"),
            (16384 - 10, b"SWAPSPACE2"),
            (65536 - 10, b"SWAPSPACE2"),
        ],
        detail: swap,
    },
];

/// `JOURNAL_DEV`: the whole device is the journal of another filesystem.
const EXT_JOURNAL_DEV: u32 = 0x8;

/// `struct ext4_super_block`, fs/ext4/ext4.h.
fn ext(source: &mut Source<'_>) -> Found {
    let Some(sb) = source.get(1024, 1024)? else {
        return Ok(None);
    };
    let (compat, incompat, ro_compat) = (le32(&sb, 92), le32(&sb, 96), le32(&sb, 100));
    let block_shift = le32(&sb, 24);
    if incompat & EXT_JOURNAL_DEV != 0 || block_shift > 6 {
        return Ok(None);
    }
    // What ext3 knows: filetype, recover, meta_bg; sparse_super, large_file, btree_dir.
    let beyond_ext3 = incompat & !0x16 != 0 || ro_compat & !0x7 != 0;
    let has_journal = compat & 0x4 != 0;
    // Feature 64bit makes the high half of the count count.
    let high = if incompat & 0x80 != 0 {
        u64::from(le32(&sb, 0x150))
    } else {
        0
    };
    let blocks = u64::from(le32(&sb, 4)) | high << 32;
    Ok(Some(Detail {
        kind: Some(match (beyond_ext3, has_journal) {
            (true, _) => "ext4",
            (false, true) => "ext3",
            (false, false) => "ext2",
        }),
        label: label(&sb[120..136]),
        uuid: uuid(&sb, 104),
        size: blocks.checked_mul(1024 << block_shift),
    }))
}

/// An external journal: the same superblock.
fn jbd(source: &mut Source<'_>) -> Found {
    let sb = source.get(1024, 1024)?;
    let sb = sb.filter(|sb| le32(sb, 96) & EXT_JOURNAL_DEV != 0);
    Ok(sb.map(|sb| Detail {
        label: label(&sb[120..136]),
        uuid: uuid(&sb, 104),
        ..Detail::default()
    }))
}

/// `struct xfs_dsb`, fs/xfs/libxfs/xfs_format.h.
fn xfs(source: &mut Source<'_>) -> Found {
    let sb = source.get(0, 512)?;
    let sb = sb.filter(|sb| matches!(be32(sb, 4), 512..=65536));
    Ok(sb.map(|sb| Detail {
        label: label(&sb[108..120]),
        uuid: uuid(&sb, 32),
        size: be64(&sb, 8).checked_mul(be32(&sb, 4).into()),
        ..Detail::default()
    }))
}

/// `struct btrfs_super_block`, include/uapi/linux/btrfs_tree.h.
fn btrfs(source: &mut Source<'_>) -> Found {
    let sb = source.get(0x10000, 1024)?;
    Ok(sb.map(|sb| Detail {
        label: label(&sb[0x12b..0x22b]),
        uuid: uuid(&sb, 0x20),
        // Of several devices it is the size of all together.
        size: (le64(&sb, 0x88) == 1).then(|| le64(&sb, 0x70)),
        ..Detail::default()
    }))
}

/// `struct f2fs_super_block`, include/linux/f2fs_fs.h.
fn f2fs(source: &mut Source<'_>) -> Found {
    let sb = source.get(1024, 1200)?;
    Ok(sb.map(|sb| Detail {
        label: Some(utf16(&sb[124..124 + 1024]).into()),
        uuid: uuid(&sb, 108),
        size: 1_u64
            .checked_shl(le32(&sb, 16))
            .and_then(|block| block.checked_mul(le64(&sb, 36))),
        ..Detail::default()
    }))
}

/// `struct squashfs_super_block`, fs/squashfs/squashfs_fs.h.
fn squashfs(source: &mut Source<'_>) -> Found {
    let sb = source.get(0, 96)?;
    let sb = sb.filter(|sb| le16(sb, 28) == 4);
    Ok(sb.map(|sb| Detail {
        size: Some(le64(&sb, 40)),
        ..Detail::default()
    }))
}

/// `struct erofs_super_block`, fs/erofs/erofs_fs.h.
fn erofs(source: &mut Source<'_>) -> Found {
    let sb = source.get(1024, 128)?;
    let sb = sb.filter(|sb| matches!(sb[12], 9..=16));
    Ok(sb.map(|sb| Detail {
        label: label(&sb[64..80]),
        uuid: uuid(&sb, 48),
        size: Some(u64::from(le32(&sb, 36)) << sb[12]),
        ..Detail::default()
    }))
}

/// `union swap_header`, include/linux/swap.h.
fn swap(source: &mut Source<'_>) -> Found {
    let Some(header) = source.get(1024, 44)? else {
        return Ok(None);
    };
    let mut page = 4096_u64;
    while page <= 65536 && !source.has_any(&[(page - 10, b"SWAPSPACE2")])? {
        page *= 2;
    }
    Ok(Some(Detail {
        label: label(&header[28..44]),
        uuid: uuid(&header, 12),
        size: Some((u64::from(le32(&header, 4)) + 1) * page),
        ..Detail::default()
    }))
}
