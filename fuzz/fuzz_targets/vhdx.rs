//! vhdx images. Checksums are made right, or nothing behind them would be reached.
#![no_main]

use std::io::IoSliceMut;
use std::sync::LazyLock;

use drupe_formats::{Format, Options, open};
use drupe_fuzz::{Image, ImageFile};
use libfuzzer_sys::fuzz_target;

static FILE: LazyLock<ImageFile> = LazyLock::new(ImageFile::default);

fuzz_target!(|input: &[u8]| {
    let mut image = Image::new(input, 10 << 20);
    for (at, len) in [(64, 4096), (128, 4096), (192, 65536), (256, 65536)] {
        if let Some(table) = image
            .bytes
            .get_mut(at << 10..)
            .and_then(|rest| rest.get_mut(..len))
        {
            table[4..8].fill(0);
            let sum = crc32c::crc32c(table);
            table[4..8].copy_from_slice(&sum.to_le_bytes());
            image.used.push((at << 10) + 4..(at << 10) + 8);
        }
    }
    let options = Options {
        read_only: true,
        format: Some(Format::Vhdx),
        ..Options::default()
    };
    let Ok(opened) = open(&FILE.write(&image), &options) else {
        return;
    };
    let disk = opened.disk;
    let size = disk.geometry().size;
    let mut bytes = vec![0; 8192];
    for at in [
        0,
        64 << 10,
        size / 2 / 512 * 512,
        size.saturating_sub(8192) / 512 * 512,
    ] {
        let _ = disk.read_at(&mut [IoSliceMut::new(&mut bytes)], at);
    }
});
