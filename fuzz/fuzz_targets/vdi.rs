//! vdi images.
#![no_main]

use std::io::IoSliceMut;
use std::sync::LazyLock;

use drupe_formats::{Format, Options, open};
use drupe_fuzz::{Image, ImageFile};
use libfuzzer_sys::fuzz_target;

static FILE: LazyLock<ImageFile> = LazyLock::new(ImageFile::default);

fuzz_target!(|input: &[u8]| {
    let image = Image::new(input, 4 << 20);
    let options = Options {
        read_only: true,
        format: Some(Format::Vdi),
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
