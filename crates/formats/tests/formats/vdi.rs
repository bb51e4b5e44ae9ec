//! vdi: images of qemu-img are read.

use std::fs::File;
use std::os::unix::fs::FileExt;

use drupe_formats::{Format, Options, open};

use crate::lab::{Lab, Outcome, assert_same, content, read_all, read_only};

#[test]
fn reads_fixed_and_dynamic_disks() -> Outcome {
    let lab = Lab::new()?;
    for kind in ["static=off", "static=on"] {
        lab.qemu_img(&format!("convert -O vdi -o {kind} raw disk"))?;
        let opened = open(&lab.path("disk"), &read_only())?;
        assert_eq!(opened.format, Format::Vdi);
        assert_same(&read_all(&*opened.disk)?, &content());
        drop(opened);
        let said = lab.refused("disk", &Options::default())?;
        assert!(said.contains("vdi is a read-only format"), "{said}");
    }
    Ok(())
}

/// What is another disk's, or not there, is not taken for zeroes.
#[test]
fn says_what_it_cannot_read() -> Outcome {
    let lab = Lab::new()?;
    lab.qemu_img("convert -O vdi raw disk")?;
    let file = File::options().write(true).open(lab.path("disk"))?;
    let refused = |at: u64, bytes: &[u8], back: &[u8]| -> Outcome<String> {
        file.write_all_at(bytes, at)?;
        let said = lab.refused("disk", &read_only())?;
        file.write_all_at(back, at)?;
        Ok(said)
    };
    let said = refused(0x4c, &[4], &[1])?;
    assert_eq!(said, "vdi: a difference to another disk is not supported");
    let said = refused(0x1a8, &[9], &[0])?;
    assert_eq!(said, "vdi: a difference to another disk is not supported");
    let said = refused(0x44, &[2], &[1])?;
    assert_eq!(said, "vdi: its version is not supported");
    let said = refused(0x180, &[1], &[6])?;
    assert!(said.contains("table of blocks is too short"), "{said}");
    drop(lab.open("disk", &read_only())?);
    file.set_len(520)?;
    let said = lab.refused("disk", &read_only())?;
    assert!(said.contains("cut short"), "{said}");
    Ok(())
}
