//! [`Format`]: the formats of disk images, and their detection.

use std::fmt;
use std::fs::File;
use std::io;
use std::str::FromStr;

use crate::bytes::read_head;
use crate::vhd_footer;

/// A kind of disk image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// The bytes of the disk without a container.
    Raw,
    /// QEMU's copy-on-write format, versions 2 and 3.
    Qcow2,
    /// VMware's format: a descriptor and its extents, or both in one file.
    Vmdk,
    /// Hyper-V's format.
    Vhdx,
    /// Virtual PC's format, which qemu-img calls vpc.
    Vhd,
    /// VirtualBox's format.
    Vdi,
    /// Not a file: an export of an NBD server.
    Nbd,
}

/// The kinds that a file can be: offset and text of their magic string.
const MAGIC: &[(usize, &[u8], Format)] = &[
    (0, b"QFI\xfb", Format::Qcow2),
    (0, b"KDMV", Format::Vmdk),
    (0, b"COWD", Format::Vmdk),
    (0, b"# Disk DescriptorFile", Format::Vmdk),
    (0, b"vhdxfile", Format::Vhdx),
    // The copy of its footer that a dynamic one begins with.
    (0, b"conectix", Format::Vhd),
    (64, b"\x7f\x10\xda\xbe", Format::Vdi),
];

/// Known but unsupported containers: offset and text of their magic string, and their
/// name.
const FOREIGN: &[(usize, &[u8], &str)] = &[
    (0, b"QED\0", "QED"),
    (0, b"WithoutFreeSpace", "Parallels"),
    (0, b"WithouFreSpacExt", "Parallels"),
];

/// The name of the unsupported container that the file is; `None` if it is not one.
pub(crate) fn foreign(file: &File) -> io::Result<Option<&'static str>> {
    find(FOREIGN, file)
}

/// What stands beside the magic string that the file has.
fn find<T: Copy>(known: &[(usize, &[u8], T)], file: &File) -> io::Result<Option<T>> {
    let head = read_head(file, 80)?;
    let has = |at: usize, magic: &[u8]| head.get(at..).is_some_and(|it| it.starts_with(magic));
    let found = known.iter().find(|(at, magic, _)| has(*at, magic));
    Ok(found.map(|&(_, _, what)| what))
}

impl Format {
    /// The formats of files.
    pub const FILES: &[Format] = &[
        Format::Raw,
        Format::Qcow2,
        Format::Vmdk,
        Format::Vhdx,
        Format::Vhd,
        Format::Vdi,
    ];

    /// Its name: qemu-img's, but for vhd.
    pub fn name(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
            Format::Vmdk => "vmdk",
            Format::Vhdx => "vhdx",
            Format::Vhd => "vhd",
            Format::Vdi => "vdi",
            Format::Nbd => "nbd",
        }
    }

    /// The format of a file by the magic string at its start, or the footer of a fixed
    /// vhd; without these it is raw.
    pub(crate) fn detect(file: &File) -> io::Result<Format> {
        Ok(match find(MAGIC, file)? {
            Some(format) => format,
            None if vhd_footer::is_fixed(file)? => Format::Vhd,
            None => Format::Raw,
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    /// Parses the name of a file format; also qemu-img's "vpc".
    fn from_str(name: &str) -> Result<Format, String> {
        let name = if name == "vpc" { "vhd" } else { name };
        let names: Vec<&str> = Format::FILES.iter().map(|format| format.name()).collect();
        match names.iter().position(|known| *known == name) {
            Some(index) => Ok(Format::FILES[index]),
            None => Err(format!("{name:?} is not one of: {}", names.join(", "))),
        }
    }
}
