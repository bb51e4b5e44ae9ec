//! Recognises disk images among files of the host, which `cp` and `tar -f` do not
//! overwrite: a user may have forgotten the colon behind the image's name.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use drupe::probe;

/// Where containers have magic bytes, these, and their names.
const CONTAINERS: &[(usize, &[u8], &str)] = &[
    (0, b"QFI\xfb", "qcow2"),
    (0, b"KDMV", "vmdk"),
    (0, b"COWD", "vmdk"),
    (0, b"# Disk DescriptorFile", "vmdk"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"conectix", "vhd"),
    (0, b"QED\0", "qed"),
    (64, b"\x7f\x10\xda\xbe", "vdi"),
];

/// The container format of an image by its first bytes, of which 128 do. `None`: it is
/// none of those that are known, or raw.
fn container(head: &[u8]) -> Option<&'static str> {
    let is_it = |at: usize, magic: &[u8]| head.get(at..).is_some_and(|it| it.starts_with(magic));
    let found = CONTAINERS.iter().find(|(at, magic, _)| is_it(*at, magic));
    found.map(|(_, _, name)| *name)
}

/// The container format of an image, by its beginning and its end: a fixed vhd has but a
/// footer. `None`: it is none of those that are known, or raw.
///
/// # Errors
///
/// Those of reading the file.
pub fn container_of(file: &File) -> io::Result<Option<&'static str>> {
    let part = |from| {
        let (mut file, mut part) = (file, Vec::new());
        file.seek(from)?;
        file.take(512).read_to_end(&mut part)?;
        io::Result::Ok(part)
    };
    if let Some(name) = container(&part(SeekFrom::Start(0))?) {
        return Ok(Some(name));
    }
    let is_long = (&*file).seek(SeekFrom::End(0))? >= 512;
    let has_footer = is_long && part(SeekFrom::End(-512))?.starts_with(b"conectix");
    Ok(has_footer.then_some("vhd"))
}

/// Sizes of the sectors in which a partition table may count.
const SECTORS: [u64; 2] = [512, 4096];

/// The kind of a disk image, by its content: a container, a partition table, a
/// filesystem. `None`: it is not a known kind.
pub fn kind(file: &mut File) -> io::Result<Option<&'static str>> {
    if let Some(name) = container_of(file)? {
        return Ok(Some(name));
    }
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(SECTORS[1] + 8).read_to_end(&mut head)?;
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
