//! vhdx: images of qemu-img are read.

use std::fs::File;
use std::os::unix::fs::FileExt;

use drupe_formats::{Format, Options, open};

use crate::lab::{Lab, Outcome, assert_same, content, read_all, read_only};

#[test]
fn reads_fixed_and_dynamic_disks() -> Outcome {
    let lab = Lab::new()?;
    for kind in [
        "subformat=dynamic",
        "subformat=fixed",
        "subformat=dynamic,block_size=1M",
        "subformat=dynamic,block_state_zero=off",
    ] {
        lab.qemu_img(&format!("convert -O vhdx -o {kind} raw disk"))?;
        let opened = open(&lab.path("disk"), &read_only())?;
        assert_eq!(opened.format, Format::Vhdx);
        assert_eq!(opened.disk.geometry().block_size, 512);
        assert_same(&read_all(&*opened.disk)?, &content());
        drop(opened);
        let said = lab.refused("disk", &Options::default())?;
        assert!(said.contains("vhdx is a read-only format"), "{said}");
    }
    Ok(())
}

/// Behind the blocks of each chunk, here every 4 GiB, the table has an entry
/// that is not a block's.
#[test]
fn reads_behind_the_first_chunk() -> Outcome {
    let lab = Lab::new()?;
    lab.qemu_img("create -q -f vhdx -o block_size=1M disk 9G")?;
    let command = "write -q -s raw 8191M 2M";
    crate::lab::run(
        std::process::Command::new("qemu-io")
            .args(["-f", "vhdx", "-c", command, "disk"])
            .current_dir(lab.path("")),
    )?;
    let disk = lab.open("disk", &read_only())?;
    let mut bytes = vec![0xee; 4 << 20];
    disk.read_at(&mut [std::io::IoSliceMut::new(&mut bytes)], 8190 << 20)?;
    let mut expected = vec![0; 1 << 20];
    expected.extend_from_slice(&content()[..2 << 20]);
    expected.resize(4 << 20, 0);
    assert_same(&bytes, &expected);
    Ok(())
}

/// Of each pair of tables one may be damaged.
#[test]
fn one_sound_copy_is_enough() -> Outcome {
    let lab = Lab::new()?;
    lab.qemu_img("convert -O vhdx raw disk")?;
    let file = File::options().write(true).open(lab.path("disk"))?;
    for kib in [64, 192] {
        file.write_all_at(b"nonsense", (kib << 10) + 40)?;
        assert_same(&read_all(&*lab.open("disk", &read_only())?)?, &content());
    }
    file.write_all_at(b"nonsense", (128 << 10) + 40)?;
    let said = lab.refused("disk", &read_only())?;
    assert!(said.contains("both of its headers are damaged"), "{said}");
    Ok(())
}

/// The header with the higher number counts, not the one in front.
#[test]
fn the_newer_header_counts() -> Outcome {
    let lab = Lab::new()?;
    lab.qemu_img("convert -O vhdx raw disk")?;
    let file = File::options()
        .read(true)
        .write(true)
        .open(lab.path("disk"))?;
    let header = |at: u64| -> Outcome<Vec<u8>> {
        let mut header = vec![0; 4096];
        file.read_exact_at(&mut header, at << 10)?;
        Ok(header)
    };
    let sequence = |header: &[u8]| u64::from_le_bytes(header[8..16].try_into().unwrap());
    let (one, two) = (header(64)?, header(128)?);
    let (newer, older) = match sequence(&one) > sequence(&two) {
        true => (one, 128),
        false => (two, 64),
    };
    // A log that has to be replayed, in the older one and then in the newer.
    let mut logged = newer.clone();
    logged[48] = 1;
    for (sequence, counts) in [(1_u64, false), (1 << 40, true)] {
        logged[8..16].copy_from_slice(&sequence.to_le_bytes());
        seal(&mut logged);
        file.write_all_at(&logged, older << 10)?;
        match counts {
            false => drop(lab.open("disk", &read_only())?),
            true => {
                let said = lab.refused("disk", &read_only())?;
                assert!(said.contains("log must be replayed"), "{said}");
            }
        }
    }
    Ok(())
}

/// Sets the CRC-32C of a table.
pub(crate) fn seal(table: &mut [u8]) {
    table[4..8].fill(0);
    let crc = table.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| match crc & 1 {
            1 => crc >> 1 ^ 0x82f6_3b78,
            _ => crc >> 1,
        })
    });
    table[4..8].copy_from_slice(&(!crc).to_le_bytes());
}
