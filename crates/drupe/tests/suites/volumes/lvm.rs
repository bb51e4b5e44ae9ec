//! Logical volumes, as lvm2 describes them: `make-lvm.sh` made the metadata.

use std::os::unix::fs::FileExt;
use std::path::Path;

use drupe::{Disk, Kernel, MountOptions};
use tempfile::NamedTempFile;

use super::{MIB, make_ext4, partition, read_ext4, volumes};
use crate::Outcome;
use crate::filesystems::{EXT4, Filesystem};
use crate::tools::{run, sparse_file, tool};

/// Bytes in front of the first extent, and of an extent.
const START: u64 = MIB;
const EXTENT: u64 = 4 * MIB;
/// First extents, on the first physical volume.
const ROOT: u64 = 0;
const POOL_METADATA: u64 = 17;
const STORE: u64 = 21;

fn physical() -> Result<[NamedTempFile; 2], Box<dyn std::error::Error>> {
    let images = [sparse_file(128 * MIB)?, sparse_file(128 * MIB)?];
    let headers: [&[u8]; 2] = [include_bytes!("pv0.bin"), include_bytes!("pv1.bin")];
    for (image, header) in images.iter().zip(headers) {
        image.as_file().write_all_at(header, 0)?;
    }
    // A snapshot that has kept nothing yet, in chunks of 8 sectors.
    let store: Vec<u8> = [0x7041_6e53u32, 1, 1, 8].map(u32::to_le_bytes).concat();
    images[0]
        .as_file()
        .write_all_at(&store, START + STORE * EXTENT)?;
    // A pool with one volume that has no data yet.
    let xml = "<superblock uuid=\"\" time=\"0\" transaction=\"1\" data_block_size=\"128\" \
               nr_data_blocks=\"512\"><device dev_id=\"1\" mapped_blocks=\"0\" \
               transaction=\"0\" creation_time=\"0\" snap_time=\"0\"></device></superblock>";
    let [text, metadata] = [NamedTempFile::new()?, sparse_file(2 * EXTENT)?];
    std::fs::write(text.path(), xml)?;
    run(tool("thin_restore")
        .arg("-i")
        .arg(text.path())
        .arg("-o")
        .arg(metadata.path()))?;
    let metadata = std::fs::read(metadata.path())?;
    let at = START + POOL_METADATA * EXTENT;
    images[0].as_file().write_all_at(&metadata, at)?;
    Ok(images)
}

fn paths(images: &[NamedTempFile; 2]) -> [&Path; 2] {
    [images[0].path(), images[1].path()]
}

#[test]
fn each_kind_of_volume() -> Outcome {
    const IDS: [&str; 4] = ["vg0/stripes", "vg0/twice", "vg0/old", "vg0/thin"];
    let images = physical()?;
    let kernel = Kernel::boot()?;
    let found = volumes(&kernel, &paths(&images), false, None)?;
    for id in IDS {
        make_ext4(&kernel, &partition(&found, id)?, id)?;
    }
    drop(found);
    kernel.halt()?;
    let kernel = Kernel::boot()?;
    // In the other order.
    let [first, second] = paths(&images);
    let found = volumes(&kernel, &[second, first], true, None)?;
    for id in ["vg0/stripes", "vg0/old"] {
        assert_eq!(read_ext4(&partition(&found, id)?)?, id);
    }
    let trouble = found.iter().find_map(|volume| volume.trouble());
    assert_eq!(
        trouble.ok_or("it is trouble")?.to_string(),
        "open vdb: vg0/pool, of type thin-pool, needs a disk that can be written to, \
         or a copy-on-write layer over it"
    );
    drop(found);
    kernel.halt()?;
    let kernel = Kernel::boot()?;
    let mut disks = Vec::new();
    for image in &images {
        let disk = Disk::options().copy_on_write(true).open(image.path())?;
        disks.push(kernel.add_disk(disk)?);
    }
    let found = kernel.volumes(&disks, &mut |_, _| None)?;
    for id in ["vg0/twice", "vg0/thin"] {
        assert_eq!(read_ext4(&partition(&found, id)?)?, id);
    }
    Ok(())
}

/// A linear volume lies on the disk as it is, so that its content can be put
/// there; its snapshot keeps one block as it was.
#[test]
fn linear_and_its_snapshot() -> Outcome {
    let images = physical()?;
    let filesystem = Filesystem {
        size: 4 * EXTENT,
        ..EXT4
    };
    let image = filesystem.image()?;
    let mut content = std::fs::read(image.path())?;
    let disk = images[0].as_file();
    disk.write_all_at(&content, START + ROOT * EXTENT)?;
    // The label of the filesystem is in the first chunk of 4 KiB.
    content[1024 + 120..][..5].copy_from_slice(b"older");
    let store = START + STORE * EXTENT;
    // Chunk 0 of the origin is kept in chunk 2 of the store.
    disk.write_all_at(
        &[0u64.to_le_bytes(), 2u64.to_le_bytes()].concat(),
        store + 4096,
    )?;
    disk.write_all_at(&content[..4096], store + 2 * 4096)?;

    let kernel = Kernel::boot()?;
    let found = volumes(&kernel, &paths(&images), true, None)?;
    let label = |id| -> Result<_, Box<dyn std::error::Error>> {
        Ok(partition(&found, id)?
            .probe()?
            .ok_or("no filesystem")?
            .label)
    };
    assert_eq!(label("vg0/root")?, None);
    assert_eq!(label("vg0/later")?.as_deref(), Some("older"));
    let options = MountOptions::new().read_only(true);
    let root = partition(&found, "vg0/root")?.mount(options)?;
    assert!(root.metadata("/lost+found")?.is_dir());
    Ok(())
}

/// What is written to a volume, its snapshot keeps as it was; and the other way round.
#[test]
fn writing_beside_a_snapshot() -> Outcome {
    let images = physical()?;
    let kernel = Kernel::boot()?;
    let found = volumes(&kernel, &paths(&images), false, None)?;
    make_ext4(&kernel, &partition(&found, "vg0/root")?, "first")?;
    drop(found);
    kernel.halt()?;
    // The store keeps nothing: the snapshot is of this moment.
    let empty: Vec<u8> = [0x7041_6e53u32, 1, 1, 8].map(u32::to_le_bytes).concat();
    let mut store = vec![0; 2 * EXTENT as usize];
    store[..empty.len()].copy_from_slice(&empty);
    images[0]
        .as_file()
        .write_all_at(&store, START + STORE * EXTENT)?;
    for round in 0..2 {
        let kernel = Kernel::boot()?;
        let found = volumes(&kernel, &paths(&images), false, None)?;
        let root = partition(&found, "vg0/root")?.mount(MountOptions::new())?;
        let later = partition(&found, "vg0/later")?.mount(MountOptions::new())?;
        if round == 0 {
            root.write("/new", "of the volume")?;
            later.write("/own", "of the snapshot")?;
        }
        assert_eq!(root.read_to_string("/new")?, "of the volume");
        assert_eq!(later.read_to_string("/own")?, "of the snapshot");
        assert!(!root.exists("/own")? && !later.exists("/new")?);
        root.umount()?;
        later.umount()?;
        drop(found);
        kernel.halt()?;
    }
    Ok(())
}

/// A snapshot whose store is full is lost, as lvm2 has it; the volume is not.
#[test]
fn a_snapshot_that_is_full() -> Outcome {
    let images = physical()?;
    let mut random = fastrand::Rng::with_seed(5);
    let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
        .take(9 << 20)
        .collect();
    let kernel = Kernel::boot()?;
    let found = volumes(&kernel, &paths(&images), false, None)?;
    make_ext4(&kernel, &partition(&found, "vg0/root")?, "first")?;
    let root = partition(&found, "vg0/root")?.mount(MountOptions::new())?;
    root.write("/noise", &noise)?;
    root.umount()?;
    drop(found);
    kernel.halt()?;
    for read_only in [true, false] {
        let kernel = Kernel::boot()?;
        let found = volumes(&kernel, &paths(&images), read_only, None)?;
        let later = found.find(0, "vg0/later").and_then(|at| found.get(at));
        let trouble = later.and_then(|volume| volume.trouble());
        let trouble = trouble.ok_or("it is not full")?.to_string();
        assert!(trouble.contains("I/O error"), "{trouble}");
        let root =
            partition(&found, "vg0/root")?.mount(MountOptions::new().read_only(read_only))?;
        assert!(root.read("/noise")? == noise);
    }
    Ok(())
}

/// Nothing is written to a volume whose snapshot would not notice.
#[test]
fn a_snapshot_without_its_store() -> Outcome {
    let images = physical()?;
    images[0]
        .as_file()
        .write_all_at(&[7; 4096], START + STORE * EXTENT)?;
    for read_only in [false, true] {
        let kernel = Kernel::boot()?;
        let found = volumes(&kernel, &paths(&images), read_only, None)?;
        assert_eq!(found.find(0, "vg0/later"), None);
        assert_eq!(found.find(0, "vg0/root").is_some(), read_only);
    }
    Ok(())
}

#[test]
fn a_missing_disk_is_named() -> Outcome {
    let images = physical()?;
    let kernel = Kernel::boot()?;
    let found = volumes(&kernel, &[images[0].path()], true, None)?;
    // What is on the first disk alone is there.
    partition(&found, "vg0/root")?;
    assert_eq!(found.find(0, "vg0/stripes"), None);
    let trouble = found.get(0).and_then(|volume| volume.trouble());
    let trouble = trouble.ok_or("it is trouble")?.to_string();
    assert!(
        trouble.starts_with("open vda: physical volume ")
            && trouble.ends_with(" of group vg0 is missing"),
        "{trouble}"
    );
    Ok(())
}
