//! Recognises disk images among files of the host, which `cp` and `tar -f` do not
//! overwrite: a user may have forgotten the colon behind the image's name.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use drupe::probe;

/// Magic bytes at the start of containers, and their names.
const CONTAINERS: &[(&[u8], &str)] = &[
    (b"QFI\xfb", "qcow2"),
    (b"KDMV", "vmdk"),
    (b"COWD", "vmdk"),
    (b"# Disk DescriptorFile", "vmdk"),
    (b"vhdxfile", "vhdx"),
    (b"conectix", "vhd"),
    (b"QED\0", "qed"),
];

/// Sizes of the sectors in which a partition table may count.
const SECTORS: [u64; 2] = [512, 4096];

/// The kind of a disk image, by its content: a container, a partition table, a
/// filesystem. `None`: it is not a known kind.
pub fn kind(file: &mut File) -> io::Result<Option<&'static str>> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(SECTORS[1] + 8).read_to_end(&mut head)?;
    if let Some((_, name)) = CONTAINERS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Ok(Some(name));
    }
    let at = |offset: u64| head.get(offset as usize..).unwrap_or_default();
    if SECTORS
        .iter()
        .any(|&size| at(size).starts_with(b"EFI PART"))
    {
        return Ok(Some("GPT"));
    }
    if let Some(found) = probe::probe(file)? {
        return Ok(Some(found.kind));
    }
    Ok(has_mbr(&head).then_some("MBR"))
}

/// Whether there is an MBR with a valid partition. The signature 55 AA alone may occur by
/// chance.
fn has_mbr(head: &[u8]) -> bool {
    let Some(sector) = head
        .get(..512)
        .filter(|sector| sector[510..] == [0x55, 0xaa])
    else {
        return false;
    };
    let (entries, _) = sector[446..510].as_chunks::<16>();
    let sane = |entry: &[u8; 16]| matches!(entry[0], 0 | 0x80);
    let used = |entry: &[u8; 16]| entry[4] != 0 && entry[12..] != [0; 4];
    entries.iter().all(sane) && entries.iter().any(used)
}
