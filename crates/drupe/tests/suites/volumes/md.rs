//! Software RAID. mdadm makes arrays only where the host's kernel has md, so
//! the superblocks are written here, and examined by mdadm.

use std::os::unix::fs::FileExt;
use std::path::Path;

use drupe::{Kernel, VolumeKind};
use tempfile::NamedTempFile;

use super::{MIB, make_ext4, partition, read_ext4, volumes};
use crate::Outcome;
use crate::tools::{run, sparse_file, tool};

/// Bytes of a member, and of what is in front of its data.
const MEMBER: u64 = 32 * MIB;
const OFFSET: u64 = MIB;
const CHUNK: u32 = 128;

/// A superblock of version 1.2 (`include/uapi/linux/raid/md_p.h`).
fn superblock(level: u32, members: u32, number: u32) -> Vec<u8> {
    let data = (MEMBER - OFFSET) / 512 / 128 * 128;
    let mut sb = vec![0; 512];
    let mut put = |at: usize, bytes: &[u8]| sb[at..][..bytes.len()].copy_from_slice(bytes);
    put(0, &0xa92b_4efcu32.to_le_bytes());
    put(4, &1u32.to_le_bytes());
    put(16, b"array's own uuid");
    put(32, b"somewhere:data");
    put(72, &level.to_le_bytes());
    // Left-symmetric, as mdadm makes RAID 5.
    put(76, &(if level == 5 { 2u32 } else { 0 }).to_le_bytes());
    put(80, &data.to_le_bytes());
    put(88, &(if level == 1 { 0 } else { CHUNK }).to_le_bytes());
    put(92, &members.to_le_bytes());
    put(128, &(OFFSET / 512).to_le_bytes());
    put(136, &data.to_le_bytes());
    put(144, &8u64.to_le_bytes());
    put(160, &number.to_le_bytes());
    put(168, &[b'a' + number as u8; 16]);
    put(200, &1u64.to_le_bytes());
    // All of it is in sync.
    put(208, &u64::MAX.to_le_bytes());
    put(220, &128u32.to_le_bytes());
    for role in 0..128u16 {
        let role = if u32::from(role) < members {
            role
        } else {
            0xffff
        };
        let at = 256 + 2 * usize::from(role.min(127));
        put(at, &role.to_le_bytes());
    }
    let words = sb
        .chunks_exact(4)
        .map(|word| u64::from(u32::from_le_bytes(word.try_into().unwrap_or_default())));
    let sum: u64 = words.sum();
    let sum = (sum & 0xffff_ffff) as u32 + (sum >> 32) as u32;
    sb[216..220].copy_from_slice(&sum.to_le_bytes());
    sb
}

fn members(level: u32, count: u32) -> Result<Vec<NamedTempFile>, Box<dyn std::error::Error>> {
    let mut images = Vec::new();
    for number in 0..count {
        let image = sparse_file(MEMBER)?;
        let sb = superblock(level, count, number);
        image.as_file().write_all_at(&sb, 4096)?;
        let shown = run(tool("mdadm").arg("--examine").arg(image.path()))?;
        assert!(
            shown.contains("Checksum") && shown.contains("- correct"),
            "{shown}"
        );
        images.push(image);
    }
    Ok(images)
}

fn array(level: u32, count: u32, enough: usize) -> Outcome {
    let images = members(level, count)?;
    let paths: Vec<&Path> = images.iter().map(|image| image.path()).collect();
    let kernel = Kernel::boot()?;
    let found = volumes(&kernel, &paths, false, None)?;
    make_ext4(&kernel, &partition(&found, "md/data")?, "in an array")?;
    drop(found);
    kernel.halt()?;

    let before: Vec<_> = paths.iter().map(std::fs::read).collect::<Result<_, _>>()?;
    let kernel = Kernel::boot()?;
    // As many as can do, and the last ones.
    let found = volumes(&kernel, &paths[paths.len() - enough..], true, None)?;
    let volume = found.find(0, "md/data").and_then(|index| found.get(index));
    let volume = volume.ok_or("no array")?;
    assert_eq!(volume.kind(), VolumeKind::Array);
    assert!(volume.partition().is_read_only());
    assert_eq!(read_ext4(volume.partition())?, "in an array");
    drop(found);
    kernel.halt()?;
    let after: Vec<_> = paths.iter().map(std::fs::read).collect::<Result<_, _>>()?;
    assert!(before == after, "reading changed a member");
    Ok(())
}

#[test]
fn raid0() -> Outcome {
    array(0, 2, 2)
}

#[test]
fn raid1_with_one_of_two() -> Outcome {
    array(1, 2, 1)
}

#[test]
fn raid5_with_two_of_three() -> Outcome {
    array(5, 3, 2)
}

#[test]
fn too_few_members() -> Outcome {
    let images = members(0, 2)?;
    let kernel = Kernel::boot()?;
    let found = volumes(&kernel, &[images[1].path()], true, None)?;
    let trouble = found.get(0).and_then(|volume| volume.trouble());
    assert_eq!(
        trouble.ok_or("it is trouble")?.to_string(),
        "open vda: part of the array: 1 of 2 members are here, the rest is missing"
    );
    Ok(())
}
