//! vhd: images of qemu-img are read.

use std::fs::{self, File};
use std::io::IoSlice;
use std::os::unix::fs::FileExt;

use drupe_formats::{Format, Options, open};

use crate::lab::{Lab, Outcome, assert_same, content, read_all, read_only};

/// The disk of Virtual PC is as large as its geometry makes it, the same or more.
#[test]
fn reads_fixed_and_dynamic_disks() -> Outcome {
    let lab = Lab::new()?;
    for (kind, exact) in [
        ("subformat=dynamic", false),
        ("subformat=dynamic,force_size=on", true),
        ("subformat=fixed", false),
        ("subformat=fixed,force_size=on", true),
    ] {
        lab.qemu_img(&format!("convert -O vpc -o {kind} raw disk"))?;
        let options = Options {
            format: Some("vpc".parse()?),
            ..read_only()
        };
        let opened = open(&lab.path("disk"), &options)?;
        assert_eq!(opened.format, Format::Vhd);
        let bytes = read_all(&*opened.disk)?;
        assert_eq!(bytes.len() == content().len(), exact, "{kind}");
        lab.qemu_img("convert -f vpc -O raw disk converted")?;
        assert_same(&bytes, &fs::read(lab.path("converted"))?);
        assert_same(&bytes[..content().len()], &content());
        drop(opened);
        if kind.starts_with("subformat=dynamic") {
            let said = lab.refused("disk", &Options::default())?;
            assert!(said.contains("vhd is a read-only format"), "{said}");
        }
    }
    Ok(())
}

/// The footer of a fixed one is not the disk's: it stays as it is.
#[test]
fn fixed_disks_are_written() -> Outcome {
    let lab = Lab::new()?;
    lab.qemu_img("convert -O vpc -o subformat=fixed,force_size=on raw disk")?;
    let before = fs::read(lab.path("disk"))?;
    let opened = open(&lab.path("disk"), &Options::default())?;
    assert_eq!(opened.format, Format::Vhd);
    let (disk, size) = (opened.disk, content().len() as u64);
    assert_eq!(disk.geometry().size, size);
    disk.write_at(&[IoSlice::new(&[7; 512])], size - 512, true)?;
    let beyond = disk.write_at(&[IoSlice::new(&[7; 512])], size, true);
    assert!(beyond.is_err());
    drop(disk);
    let after = fs::read(lab.path("disk"))?;
    let at = size as usize;
    assert_eq!(after[at - 512..at], [7; 512]);
    assert_eq!(after[at..], before[at..]);
    // Without a footer that is right, it is a raw disk.
    let file = File::options().write(true).open(lab.path("disk"))?;
    file.write_all_at(&[9], size + 70)?;
    assert_eq!(open(&lab.path("disk"), &read_only())?.format, Format::Raw);
    Ok(())
}

#[test]
fn the_copy_of_the_footer_is_enough() -> Outcome {
    let lab = Lab::new()?;
    lab.qemu_img("convert -O vpc -o force_size=on raw disk")?;
    let file = File::options().write(true).open(lab.path("disk"))?;
    let len = file.metadata()?.len();
    file.write_all_at(b"nonsense", len - 512 + 40)?;
    assert_same(&read_all(&*lab.open("disk", &read_only())?)?, &content());
    file.write_all_at(b"nonsense", 40)?;
    let said = lab.refused("disk", &read_only())?;
    assert!(said.contains("its footer is missing or wrong"), "{said}");
    Ok(())
}

/// With a parent: the blocks that are not there are not zeroes.
#[test]
fn differences_are_not_read() -> Outcome {
    let lab = Lab::new()?;
    lab.qemu_img("convert -O vpc raw disk")?;
    let file = File::options()
        .read(true)
        .write(true)
        .open(lab.path("disk"))?;
    let len = file.metadata()?.len();
    let mut footer = vec![0; 512];
    file.read_exact_at(&mut footer, 0)?;
    footer[63] = 4;
    seal(&mut footer, 64);
    file.write_all_at(&footer, len - 512)?;
    let said = lab.refused("disk", &read_only())?;
    assert_eq!(said, "vhd: a difference to another disk is not supported");
    Ok(())
}

/// Sets the checksum at `at`.
pub(crate) fn seal(table: &mut [u8], at: usize) {
    table[at..at + 4].fill(0);
    let sum: u32 = table.iter().map(|&byte| u32::from(byte)).sum();
    table[at..at + 4].copy_from_slice(&(!sum).to_be_bytes());
}
