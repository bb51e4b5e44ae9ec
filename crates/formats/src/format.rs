//! [`Format`]: the formats of disk images, and their detection.

use std::fmt;
use std::fs::File;
use std::io;
use std::str::FromStr;

use crate::bytes::read_head;

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
    /// Not a file: an export of an NBD server.
    Nbd,
}

/// The kinds that a file can be, with the magic strings at its start.
const MAGIC: &[(&[u8], Format)] = &[
    (b"QFI\xfb", Format::Qcow2),
    (b"KDMV", Format::Vmdk),
    (b"COWD", Format::Vmdk),
    (b"# Disk DescriptorFile", Format::Vmdk),
    (b"vhdxfile", Format::Vhdx),
];

/// Known but unsupported containers: offset and text of their magic string, and their
/// name.
const FOREIGN: &[(usize, &[u8], &str)] = &[
    (64, b"\x7f\x10\xda\xbe", "VDI"),
    // The copy of its footer that a dynamic one begins with.
    (0, b"conectix", "VHD"),
    (0, b"QED\0", "QED"),
    (0, b"WithoutFreeSpace", "Parallels"),
    (0, b"WithouFreSpacExt", "Parallels"),
];

/// The name of the unsupported container that the file is; `None` if it is not one.
pub(crate) fn foreign(file: &File) -> io::Result<Option<&'static str>> {
    let head = read_head(file, 80)?;
    let is = |&&(at, magic, _): &&(usize, &[u8], &str)| {
        head.get(at..).is_some_and(|head| head.starts_with(magic))
    };
    Ok(FOREIGN.iter().find(is).map(|&(_, _, name)| name))
}

impl Format {
    /// The formats of files.
    pub const FILES: &[Format] = &[Format::Raw, Format::Qcow2, Format::Vmdk, Format::Vhdx];

    /// Its name, as in qemu-img.
    pub fn name(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
            Format::Vmdk => "vmdk",
            Format::Vhdx => "vhdx",
            Format::Nbd => "nbd",
        }
    }

    /// The format of a file by the magic string at its start; without one it is raw.
    pub(crate) fn detect(file: &File) -> io::Result<Format> {
        let head = read_head(file, 32)?;
        let found = MAGIC.iter().find(|(magic, _)| head.starts_with(magic));
        Ok(found.map_or(Format::Raw, |(_, format)| *format))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    /// Parses the name of a file format.
    fn from_str(name: &str) -> Result<Format, String> {
        let names: Vec<&str> = Format::FILES.iter().map(|format| format.name()).collect();
        match names.iter().position(|known| *known == name) {
            Some(index) => Ok(Format::FILES[index]),
            None => Err(format!("{name:?} is not one of: {}", names.join(", "))),
        }
    }
}
