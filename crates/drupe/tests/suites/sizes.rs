//! More than the kernel's memory: a 20 GiB image, a file of 2 GiB.

use drupe::MountOptions;

use crate::Outcome;
use crate::filesystems::{EXT4, Filesystem};
use crate::lab::mounted;

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
        let far = mount.options().write(true).open("/far")?;
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
