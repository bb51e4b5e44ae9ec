//! vmdk: disks made of extents, which a descriptor lists. Flat extents can be written.
//!
//! The descriptor is text in a separate file, or in the only extent. [`descriptor`]
//! parses it. An extent is flat or [`sparse`], perhaps compressed; sparse ones are read
//! only.
//!
//! Layout: VMware's "Virtual Disk Format 5.0".

mod descriptor;
mod sparse;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use drupe_host::disk::{Harm, ImageFile};
use rustix::io::Errno;

use crate::bytes::{read_head, read_table};
use crate::image::{Image, ImageDisk};
use crate::options::open_file;
use crate::{Error, Format, Options, Result};
use descriptor::{Descriptor, Kind, Line};
use sparse::Sparse;

/// Limit of a descriptor in bytes.
const MAX_DESCRIPTOR: u64 = 1 << 20;

const EXTENT: &str = "extent";

pub(crate) const SECTOR: u64 = 512;

/// A disk in a vmdk.
pub(crate) struct Vmdk {
    /// The extents in their order on the disk.
    extents: Vec<Extent>,
    /// Bytes.
    size: u64,
    /// The descriptor's file, kept locked.
    _descriptor: Option<ImageFile>,
}

struct Extent {
    /// Bytes from the start of the disk.
    start: u64,
    /// Bytes.
    len: u64,
    data: Data,
}

enum Data {
    Zero,
    /// A flat extent: its file, and its offset in the file in bytes.
    Flat(ImageFile, u64),
    Sparse(Box<Sparse>),
}

/// Opens the image in `file`, which is at `path`.
pub(crate) fn open(path: &Path, file: ImageFile, options: &Options) -> Result<ImageDisk<Vmdk>> {
    let magic = read_head(file.file(), 4)?;
    let image = match &magic[..] {
        b"KDMV" => monolithic(file)?,
        b"COWD" => {
            let what = "a sparse extent of an ESX server (COWD)";
            return Err(Error::unsupported(Format::Vmdk, what));
        }
        _ => described(path, file, options)?,
    };
    if !options.read_only && !image.is_flat() {
        let what = "vmdk with sparse extents".into();
        return Err(Error::ReadOnly { what });
    }
    Ok(ImageDisk {
        image,
        read_only: options.read_only,
    })
}

/// Opens a sparse extent that contains its descriptor.
fn monolithic(file: ImageFile) -> Result<Vmdk> {
    let sparse = Sparse::open(file)?;
    if let Some((offset, len)) = sparse.descriptor() {
        if len > MAX_DESCRIPTOR {
            return Err(Error::damaged(Format::Vmdk, "its descriptor is too long"));
        }
        let text = read_table(sparse.file(), offset, len as usize)?;
        let text = text.ok_or_else(|| Error::damaged(Format::Vmdk, "it has no descriptor"))?;
        // Only what else it needs: the disk is all here.
        Descriptor::parse(&text)?;
    }
    let size = sparse.size();
    let data = Data::Sparse(Box::new(sparse));
    let extent = Extent {
        start: 0,
        len: size,
        data,
    };
    Ok(Vmdk {
        extents: vec![extent],
        size,
        _descriptor: None,
    })
}

/// Reads a descriptor that is a whole file.
fn read_descriptor(file: &File, size: u64) -> Result<Descriptor> {
    if size > MAX_DESCRIPTOR {
        return Err(Error::damaged(Format::Vmdk, "its descriptor is too long"));
    }
    Descriptor::parse(&read_head(file, size as usize)?)
}

/// The names of the extents in a descriptor; without `all` only those in its own
/// directory.
pub(crate) fn named(file: &File, size: u64, all: bool) -> Option<Vec<String>> {
    let lines = read_descriptor(file, size).ok()?.extents.into_iter();
    let names = lines.filter_map(|line| line.name);
    Some(names.filter(|name| all || is_beside(name)).collect())
}

/// Whether a name is that of a file in the same directory.
fn is_beside(name: &str) -> bool {
    !name.contains('/') && name != ".." && name != "."
}

/// Opens a disk by a descriptor in a separate file.
fn described(path: &Path, file: ImageFile, options: &Options) -> Result<Vmdk> {
    let descriptor = read_descriptor(file.file(), file.size())?;
    let mut extents = Vec::new();
    let mut start = 0_u64;
    for line in &descriptor.extents {
        let len = line.sectors.saturating_mul(SECTOR);
        let data = match (&line.kind, &line.name) {
            (Kind::Zero, _) => Data::Zero,
            (kind, Some(name)) => {
                let open = || extent(path, kind, name, line, options);
                open().map_err(|error| match error {
                    error @ Error::NotAllowed { .. } => error,
                    error => Error::Named {
                        role: EXTENT,
                        name: name.clone(),
                        error: Box::new(error),
                    },
                })?
            }
            (_, None) => return Err(Error::damaged(Format::Vmdk, "an extent has no name")),
        };
        extents.push(Extent { start, len, data });
        start = start.saturating_add(len);
    }
    Ok(Vmdk {
        extents,
        size: start,
        _descriptor: Some(file),
    })
}

/// Opens the file of an extent. Without [`Options::backing`], only a file in the
/// descriptor's directory is allowed, and only if the caller has given the format: the
/// guest of a raw disk could write a descriptor's text to it.
fn extent(path: &Path, kind: &Kind, name: &str, line: &Line, options: &Options) -> Result<Data> {
    let directory = path.parent().unwrap_or(Path::new(""));
    let is_part = is_beside(name) && options.format == Some(Format::Vmdk);
    if !is_part && !options.backing {
        return Err(Error::NotAllowed {
            role: EXTENT,
            name: name.to_owned(),
        });
    }
    let path = directory.join(name);
    let file = open_file(&path, || match options.backing {
        true => ImageFile::open(&path, options.read_only),
        // A link would be a way out of the directory.
        false => ImageFile::open_no_follow(&path, options.read_only),
    })?;
    let len = line.sectors.saturating_mul(SECTOR);
    let short = || Error::damaged(Format::Vmdk, "it is shorter than the descriptor says");
    match kind {
        Kind::Sparse => {
            let sparse = Sparse::open(file)?;
            match sparse.size() >= len {
                true => Ok(Data::Sparse(Box::new(sparse))),
                false => Err(short()),
            }
        }
        _ => {
            let start = line.offset.saturating_mul(SECTOR);
            match start.saturating_add(len) <= file.size() {
                true => Ok(Data::Flat(file, start)),
                false => Err(short()),
            }
        }
    }
}

impl Vmdk {
    fn is_flat(&self) -> bool {
        let mut extents = self.extents.iter();
        extents.all(|extent| matches!(extent.data, Data::Flat(..)))
    }

    /// The extent at an offset, and the offset in it. The caller has checked the offset.
    fn at(&self, offset: u64) -> io::Result<(&Extent, u64)> {
        let behind = self
            .extents
            .partition_point(|extent| extent.start + extent.len <= offset);
        let extent = self.extents.get(behind).ok_or(Errno::IO)?;
        Ok((extent, offset - extent.start))
    }

    /// The first part of a range of `len` bytes, which ends at the border of an extent at
    /// the latest.
    fn part(&self, offset: u64, len: usize) -> io::Result<(&Extent, u64, usize)> {
        let (extent, within) = self.at(offset)?;
        let left = (extent.len - within).min(len as u64);
        Ok((extent, within, left as usize))
    }
}

impl Image for Vmdk {
    fn size(&self) -> u64 {
        self.size
    }

    fn harm(&self) -> Option<Harm> {
        self.extents.iter().find_map(|extent| match &extent.data {
            Data::Zero => None,
            Data::Flat(file, _) => file.harm(),
            Data::Sparse(sparse) => sparse.harm(),
        })
    }

    fn read(&self, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let (extent, within, len) = self.part(offset, bytes.len())?;
            let (head, tail) = bytes.split_at_mut(len);
            match &extent.data {
                Data::Zero => head.fill(0),
                Data::Flat(file, start) => file.file().read_exact_at(head, start + within)?,
                Data::Sparse(sparse) => sparse.read(head, within)?,
            }
            bytes = tail;
            offset += len as u64;
        }
        Ok(())
    }

    fn write(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let (extent, within, len) = self.part(offset, bytes.len())?;
            let (head, tail) = bytes.split_at(len);
            match &extent.data {
                Data::Flat(file, start) => {
                    file.check_not_cut()?;
                    file.file().write_all_at(head, start + within)?;
                }
                _ => return Err(Errno::ROFS.into()),
            }
            bytes = tail;
            offset += len as u64;
        }
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        for extent in &self.extents {
            if let Data::Flat(file, _) = &extent.data {
                file.check_not_cut()?;
                file.file().sync_data()?;
            }
        }
        Ok(())
    }
}
