//! Sizes above the kernel's memory: a 20 GiB image, a file of 2 GiB, many files.

use drupe::{Disk, Kernel, MountOptions, OpenOptions};

use crate::Outcome;
use crate::filesystems::{BTRFS, EXFAT, EXT4, F2FS, Filesystem, NTFS, XFS};
use crate::lab::{mounted, mounted_by};

const FILE: u64 = 2 << 30;
const PIECE: usize = 4 << 20;

/// Fills a piece so that each page says where it belongs.
fn mark(piece: &mut [u8], offset: u64) {
    for (n, page) in piece.chunks_exact_mut(4096).enumerate() {
        let place = offset + n as u64 * 4096;
        page[..8].copy_from_slice(&place.to_le_bytes());
        page[4088..].copy_from_slice(&(!place).to_le_bytes());
    }
}

#[test]
fn big_image_and_big_file() -> Outcome {
    let filesystem = Filesystem {
        size: 20 << 30,
        ..EXT4
    };
    let image = filesystem.image()?;
    let options = MountOptions::new();
    mounted(image.path(), &options, |mount| {
        let file = mount.create("/big")?;
        let mut piece = vec![0x5a; PIECE];
        for offset in (0..FILE).step_by(PIECE) {
            mark(&mut piece, offset);
            file.write_all_at(&piece, offset)?;
        }
        // And where most of the image lies before it.
        mount.create("/far")?.set_len(15 << 30)?;
        let far = mount.open_with("/far", OpenOptions::new().write(true))?;
        Ok(far.write_all_at(b"here", (15 << 30) - 4)?)
    })?;
    filesystem.check(image.path())?;
    mounted(image.path(), &options, |mount| {
        let file = mount.open("/big")?;
        assert_eq!(file.metadata()?.len(), FILE);
        let (mut found, mut expected) = (vec![0; PIECE], vec![0x5a; PIECE]);
        for offset in (0..FILE).step_by(PIECE) {
            mark(&mut expected, offset);
            assert_eq!(file.read_at(&mut found, offset)?, PIECE);
            assert!(found == expected, "other data in the 4 MiB at {offset}");
        }
        let mut end = [1; 8];
        let far = mount.open("/far")?;
        assert_eq!(far.read_at(&mut end, (15 << 30) - 8)?, 8);
        assert_eq!(&end, b"\0\0\0\0here");
        Ok(())
    })
}

/// New files whose inodes, and what the journal keeps of them, take more memory
/// than there is before it is time to write them by themselves.
fn many_new_files(filesystem: &Filesystem) -> Outcome {
    let image = filesystem.image()?;
    let options = filesystem.options();
    let names = |dir| (0..500).map(move |file| format!("/{dir}/{file}"));
    let all = || (0..60).flat_map(names);
    let small = || Kernel::builder().memory(40 << 20).boot();
    mounted_by(small()?, Disk::open(image.path())?, &options, |mount| {
        (0..60).try_for_each(|dir| mount.create_dir(format!("/{dir}")))?;
        Ok(all().try_for_each(|name| mount.write(&name, &name))?)
    })?;
    filesystem.check(image.path())?;
    mounted_by(small()?, Disk::open(image.path())?, &options, |mount| {
        for name in all() {
            assert_eq!(mount.read(&name)?, name.as_bytes());
        }
        Ok(())
    })
}

/// Makes a test of many new files for each filesystem.
macro_rules! many_new_files {
    ($($test:ident: $filesystem:expr;)*) => {$(
        #[test]
        fn $test() -> Outcome {
            many_new_files(&$filesystem)
        }
    )*};
}

many_new_files! {
    many_new_files_on_ext4: EXT4;
    many_new_files_on_xfs: XFS;
    many_new_files_on_btrfs: BTRFS;
    many_new_files_on_f2fs: F2FS;
    many_new_files_on_exfat: Filesystem { size: 2 << 30, ..EXFAT };
    many_new_files_on_ntfs: NTFS;
}
