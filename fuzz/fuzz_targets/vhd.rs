//! vhd images. Checksums are made right, or nothing behind them would be reached.
#![no_main]

use std::io::IoSliceMut;
use std::sync::LazyLock;

use drupe_formats::{Format, Options, open};
use drupe_fuzz::{Image, ImageFile};
use libfuzzer_sys::fuzz_target;

static FILE: LazyLock<ImageFile> = LazyLock::new(ImageFile::default);

fuzz_target!(|input: &[u8]| {
    let mut image = Image::new(input, 4 << 20);
    let end = image.bytes.len().saturating_sub(512);
    for (at, len, sum) in [(0, 512, 64), (512, 1024, 36), (end, 512, 64)] {
        if let Some(table) = image
            .bytes
            .get_mut(at..)
            .and_then(|rest| rest.get_mut(..len))
        {
            table[sum..sum + 4].fill(0);
            let all: u32 = table.iter().map(|&byte| u32::from(byte)).sum();
            table[sum..sum + 4].copy_from_slice(&(!all).to_be_bytes());
            image.used.push(at + sum..at + sum + 4);
        }
    }
    let options = Options {
        read_only: true,
        format: Some(Format::Vhd),
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
