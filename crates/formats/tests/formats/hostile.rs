//! Damaged images: opening and reading end with data or an error. Nothing panics, loops,
//! or allocates as much memory as a damaged size says.

use std::fs::{self, File};
use std::io::{IoSlice, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use drupe_formats::{Format, Options, open};
use fastrand::Rng;

use crate::lab::{Lab, Outcome, read_only};
use crate::vhdx::seal;

const TIMES: usize = 2000;

/// Small images, so that many can be damaged in a second.
fn lab() -> Outcome<Lab> {
    let lab = Lab::new()?;
    let raw = File::options().write(true).open(lab.path("raw"))?;
    raw.set_len(512 << 10)?;
    Ok(lab)
}

/// Damages the image at `path` within `tables`, again and again, and uses it;
/// `mend` makes true what an image must have to get any further.
fn damage(
    path: &Path,
    tables: &[Range<u64>],
    options: &Options,
    mend: impl Fn(&File) -> Outcome,
) -> Outcome {
    let sound = fs::read(path)?;
    let mut rng = Rng::with_seed(9);
    let mut opened = 0;
    for _ in 0..TIMES {
        let file = File::options().read(true).write(true).open(path)?;
        for _ in 0..rng.usize(1..4) {
            let table = &tables[rng.usize(..tables.len())];
            let at = rng.u64(table.clone());
            // Values at the edges make more of a difference than others.
            let len = 1 << rng.u32(0..4);
            let bytes = match rng.u8(0..5) {
                0 => vec![0; len],
                1 => vec![0xff; len],
                2 => [0, 0, 0, 0, 0, 0, 0x7f, 0xff][8 - len..].to_vec(),
                _ => (0..len).map(|_| rng.u8(..)).collect(),
            };
            file.write_all_at(&bytes, at)?;
        }
        mend(&file)?;
        opened += usize::from(is_used(path, options, &mut rng));
        if options.read_only {
            for table in tables {
                // What was written may reach beyond the table.
                let end = (table.end as usize + 8).min(sound.len());
                file.write_all_at(&sound[table.start as usize..end], table.start)?;
            }
        }
        file.set_len(sound.len() as u64)?;
        if !options.read_only {
            file.write_all_at(&sound, 0)?;
        }
    }
    // Otherwise all that was tested is the first check.
    assert!(opened > TIMES / 20, "only {opened} could be opened at all");
    Ok(())
}

/// Reads all over the disk, and writes if it can be written.
fn is_used(path: &Path, options: &Options, rng: &mut Rng) -> bool {
    let Ok(opened) = open(path, options) else {
        return false;
    };
    let disk = opened.disk;
    let size = disk.geometry().size;
    let mut bytes = vec![0; 64 << 10];
    for n in 0..8 {
        let at = match n {
            0..4 => n * (128 << 10),
            _ => rng.u64(..size.max(1)) / 512 * 512,
        };
        let len = if n < 4 { bytes.len() } else { 4096 };
        let _ = disk.read_at(&mut [IoSliceMut::new(&mut bytes[..len])], at);
        if !options.read_only {
            let _ = disk.write_at(&[IoSlice::new(&bytes[..8192])], at, n == 5);
            let _ = disk.discard(at, 64 << 10);
        }
    }
    let _ = disk.flush();
    true
}

fn qcow2(writes: bool) -> Outcome {
    let lab = lab()?;
    lab.qemu_img("convert -c -O qcow2 -o cluster_size=4096 raw disk")?;
    lab.qemu_img("snapshot -c one disk")?;
    let size = fs::metadata(lab.path("disk"))?.len();
    let options = Options {
        read_only: !writes,
        format: Some(Format::Qcow2),
        ..Options::default()
    };
    // The header; the refcounts; the L1 table; L2 tables and data.
    let tables = [8..112, 4096..4608, 8192..8704, 12288..12320, 16384..size];
    damage(&lab.path("disk"), &tables, &options, |_| Ok(()))
}

#[test]
fn qcow2_read() -> Outcome {
    qcow2(false)
}

#[test]
fn qcow2_written() -> Outcome {
    qcow2(true)
}

fn vmdk(subformat: &str, tables: &[Range<u64>]) -> Outcome {
    let lab = lab()?;
    let create = format!("convert -O vmdk -o subformat={subformat} raw disk");
    lab.qemu_img(&create)?;
    let size = fs::metadata(lab.path("disk"))?.len();
    let mut tables = tables.to_vec();
    tables.push(size.saturating_sub(1024)..size);
    let options = Options {
        format: Some(Format::Vmdk),
        ..read_only()
    };
    damage(&lab.path("disk"), &tables, &options, |_| Ok(()))
}

#[test]
fn vmdk_sparse() -> Outcome {
    vmdk("monolithicSparse", &[4..80, 512..900, 10_752..16_384])
}

#[test]
fn vmdk_compressed() -> Outcome {
    vmdk("streamOptimized", &[4..80, 512..900, 65_536..80_000])
}

#[test]
fn vmdk_descriptor() -> Outcome {
    vmdk("monolithicFlat", &[22..200, 200..340])
}

#[test]
fn vhdx() -> Outcome {
    let lab = lab()?;
    lab.qemu_img("convert -O vhdx -o block_size=1M raw disk")?;
    let kib = |n: u64| n << 10;
    // Headers, regions, metadata, and the table of blocks.
    let tables = [
        kib(64) + 4..kib(64) + 80,
        kib(128) + 4..kib(128) + 80,
        kib(192) + 4..kib(192) + 96,
        kib(2048)..kib(2048) + 200,
        kib(2048 + 64)..kib(2048 + 64) + 64,
        kib(3072)..kib(3072) + 16,
    ];
    damage(&lab.path("disk"), &tables, &read_only(), |file| {
        for (at, len) in [(64, 4096), (128, 4096), (192, 65_536)] {
            let mut table = vec![0; len];
            file.read_exact_at(&mut table, at << 10)?;
            seal(&mut table);
            file.write_all_at(&table, at << 10)?;
        }
        Ok(())
    })
}

#[test]
fn vdi() -> Outcome {
    let lab = lab()?;
    lab.qemu_img("convert -O vdi raw disk")?;
    // The header, and the table of blocks.
    let tables = [0x44..0x58, 0x154..0x1b8, 0x200..0x208];
    let options = Options {
        format: Some(Format::Vdi),
        ..read_only()
    };
    damage(&lab.path("disk"), &tables, &options, |_| Ok(()))
}

#[test]
fn vhd() -> Outcome {
    let lab = lab()?;
    lab.qemu_img("convert -O vpc raw disk")?;
    let size = fs::metadata(lab.path("disk"))?.len();
    // The copy of the footer, the header, the table of blocks; the footer.
    let tables = [8..88, 512 + 8..512 + 40, 1536..1544, size - 504..size - 424];
    let options = Options {
        format: Some(Format::Vhd),
        ..read_only()
    };
    damage(&lab.path("disk"), &tables, &options, |file| {
        for (at, len, sum) in [(0, 512, 64), (512, 1024, 36), (size - 512, 512, 64)] {
            let mut table = vec![0; len];
            file.read_exact_at(&mut table, at)?;
            crate::vhd::seal(&mut table, sum);
            file.write_all_at(&table, at)?;
        }
        Ok(())
    })
}

/// A header of version 3 with clusters of 2 MiB; all else is zero.
fn qcow2_header(l1_entries: u32, refcount_clusters: u32) -> Vec<u8> {
    let mut header = vec![0; 112];
    header[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    header[20..24].copy_from_slice(&21_u32.to_be_bytes());
    header[36..40].copy_from_slice(&l1_entries.to_be_bytes());
    header[40..48].copy_from_slice(&(2_u64 << 21).to_be_bytes());
    header[48..56].copy_from_slice(&(1_u64 << 21).to_be_bytes());
    header[56..60].copy_from_slice(&refcount_clusters.to_be_bytes());
    header[100..104].copy_from_slice(&112_u32.to_be_bytes());
    header
}

/// Products of what a header says panicked in debug builds: they have more than
/// 64 bits.
#[test]
fn sizes_of_qcow2_that_overflow() -> Outcome {
    let lab = Lab::new()?;
    let path = lab.path("disk");
    let said = |header: &[u8], tables: &[(u64, &[u8])]| -> Outcome<String> {
        fs::write(&path, header)?;
        let file = File::options().write(true).open(&path)?;
        file.set_len(16 << 20)?;
        for (at, bytes) in tables {
            file.write_all_at(bytes, *at)?;
        }
        let opened = open(&path, &read_only());
        let error = opened.err().ok_or("a damaged image was opened")?;
        Ok(error.to_string())
    };
    let line = said(&qcow2_header(u32::MAX, 1), &[])?;
    assert!(line.contains("the size of its L1 table is wrong"), "{line}");
    // Refcounts of one bit, and the last entry of the largest table.
    let block = (6_u64 << 20).to_be_bytes();
    let tables = [((2 << 20) + (8 << 20) - 8, &block[..]), (6 << 20, &[1])];
    let line = said(&qcow2_header(1, 4), &tables)?;
    assert!(line.contains("it is cut short"), "{line}");
    Ok(())
}

/// Tables in holes are not read: a file may have more holes than any disk has
/// bytes.
#[test]
fn qcow2_with_huge_holes_is_written_soon() -> Outcome {
    let lab = Lab::new()?;
    let path = lab.path("disk");
    const ENTRIES: u64 = 500_000;
    let mut header = qcow2_header(ENTRIES as u32, 1);
    header[24..32].copy_from_slice(&(1_u64 << 40).to_be_bytes());
    header[96..100].copy_from_slice(&4_u32.to_be_bytes());
    fs::write(&path, &header)?;
    let file = File::options().read(true).write(true).open(&path)?;
    // Everything is counted, by blocks that are holes; tables begin behind them.
    let cluster = 1_u64 << 21;
    let blocks = 4096_u64;
    let first = 16;
    let tables = first + blocks;
    let entries = |from: u64, count: u64| -> Vec<u8> {
        let offsets = (from..from + count).map(|n| n * cluster);
        offsets.flat_map(u64::to_be_bytes).collect()
    };
    file.write_all_at(&entries(first, blocks), cluster)?;
    file.write_all_at(&entries(tables, ENTRIES), 2 * cluster)?;
    if file.set_len((tables + ENTRIES) * cluster).is_err() {
        eprintln!("skipped: the filesystem has no files of a terabyte");
        return Ok(());
    }
    let options = Options {
        read_only: false,
        ..read_only()
    };
    // A terabyte of tables would take minutes to read.
    let opened = open(&path, &options);
    assert!(opened.is_ok(), "{:?}", opened.err());
    Ok(())
}
