//! Everything that a filesystem can keep, written, checked by its own checker,
//! read back by another kernel, changed, and the same again.

use crate::Outcome;
use crate::filesystems::{self as fs, Filesystem};
use crate::lab::mounted;
use crate::manifest::Manifest;
use crate::sample::sample;
use crate::tree::{Kind, Tree};

fn round_trip(filesystem: &Filesystem, entries: usize) -> Outcome {
    let image = filesystem.image()?;
    let path = image.path();
    let options = filesystem.options();
    let mut tree = sample(filesystem.can, entries);

    mounted(path, &options, |mount| Ok(tree.write(mount)?))?;
    filesystem.check(path)?;
    compare(filesystem, &tree, path)?;
    mounted(path, &options, |mount| Ok(tree.mutate(mount)?))?;
    filesystem.check(path)?;
    compare(filesystem, &tree, path)
}

/// Reads everything back and compares it.
fn compare(filesystem: &Filesystem, tree: &Tree, image: &std::path::Path) -> Outcome {
    mounted(image, &filesystem.options(), |mount| {
        let found = Manifest::of(mount, &filesystem.can)?;
        tree.manifest().compare(&found)?;
        if filesystem.can.holes {
            for (path, index) in &tree.names {
                if let Kind::File(contents) = &tree.nodes[*index].kind {
                    let room = mount.metadata(crate::write::inside(path))?.blocks() * 512;
                    let most = contents.data_len() + (1 << 20);
                    assert!(room <= most, "{path:?} has holes but takes {room} bytes");
                }
            }
        }
        Ok(())
    })
}

macro_rules! round_trips {
    ($($name:ident: $filesystem:expr, $entries:expr;)*) => {
        $(
            #[test]
            fn $name() -> Outcome {
                round_trip(&$filesystem, $entries)
            }
        )*
    };
}

round_trips! {
    ext4: fs::EXT4, 400;
    xfs: fs::XFS, 400;
    xfs_with_directories_of_16k_blocks: fs::XFS_BIG_DIRECTORIES, 5000;
    btrfs: fs::BTRFS, 400;
    btrfs_zstd: fs::BTRFS_ZSTD, 400;
    f2fs: fs::F2FS, 400;
    vfat: fs::VFAT, 400;
    exfat: fs::EXFAT, 400;
    ntfs: fs::NTFS, 400;
    udf: fs::UDF, 400;
}
