//! qcow2, versions 2 and 3, read and written through the crate `imago`.
//!
//! [`header`] checks an image first: it refuses unsupported features, and bounds sizes
//! that `imago` would trust. [`references`] checks the tables of an image that is to be
//! written. A [`Guard`] turns panics of `imago` into I/O errors, after which the disk
//! cannot be used.
//!
//! Durability is that of a disk with a write-back cache: `imago` keeps tables in memory,
//! and [`Disk::flush`] writes all of them and then syncs the file, once. Refcounts are
//! written before what refers to their clusters, so a program that is killed leaks
//! clusters at worst. When the power fails in the middle of a flush, the host may have
//! written them in any order, and refcounts may be too low: `qemu-img check -r all`
//! repairs that.

mod chain;
mod create;
mod guard;
mod header;
mod references;

pub use create::{CLUSTER as QCOW2_CLUSTER, write_qcow2};
use std::io::{self, IoSlice, IoSliceMut};
use std::path::Path;

use drupe_host::disk::{Disk, Geometry, Harm, ImageFile};
use imago::FormatAccess;
use imago::file::File;
use imago::io_buffers::{IoVector, IoVectorMut};

use crate::image::check_range;
use crate::{Options, Result};
use guard::Guard;
use header::Header;

type Access = FormatAccess<File>;

/// A disk in a qcow2 image.
pub(crate) struct Qcow2 {
    /// Dropped before `files`, which stay locked until it is written out.
    access: Guard<Access>,
    geometry: Geometry,
    /// The image, and the other files of it.
    files: Vec<ImageFile>,
}

/// Opens the image in `file`, which is at `path`, with its backing files.
pub(crate) fn open(path: &Path, file: ImageFile, options: &Options) -> Result<Qcow2> {
    let mut files = Vec::new();
    let access = chain::open(path, file, options, &mut files)?;
    let geometry = Geometry {
        size: access.size(),
        block_size: 512,
        read_only: options.read_only,
        // Version 2 has no clusters of zeroes.
        discard: !options.read_only && access.inner().zero_granularity().is_some(),
    };
    Ok(Qcow2 {
        access: Guard::new(access),
        geometry,
        files,
    })
}

/// The names of other files in the image's header.
pub(crate) fn named(file: &std::fs::File, size: u64) -> Option<Vec<String>> {
    let header = Header::read(file, size, true).ok()?;
    let names = [header.backing, header.data_file];
    let plain = |name: String| chain::plain(&name).map(str::to_owned);
    Some(names.into_iter().flatten().filter_map(plain).collect())
}

impl Qcow2 {
    /// Checks that a request is within the disk, and that no file was cut short: `imago`
    /// reads zeroes behind the end of a file.
    fn check(&self, offset: u64, len: usize) -> io::Result<()> {
        self.check_not_cut()?;
        check_range(self.geometry.size, offset, len as u64)
    }

    fn check_not_cut(&self) -> io::Result<()> {
        self.files.iter().try_for_each(ImageFile::check_not_cut)
    }

    /// Writes the tables that `imago` keeps in memory, and syncs the files.
    fn sync(access: &Access) -> io::Result<()> {
        access.flush()?;
        access.sync()
    }
}

impl Disk for Qcow2 {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        self.check(offset, buffers.iter().map(|buffer| buffer.len()).sum())?;
        let slices = buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer));
        let vector = IoVectorMut::from(slices.collect::<Vec<_>>());
        self.access.shared(|access| access.readv(vector, offset))
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64, durable: bool) -> io::Result<()> {
        self.check(offset, buffers.iter().map(|buffer| buffer.len()).sum())?;
        let vector = IoVector::from(buffers.to_vec());
        self.access.shared(|access| {
            access.writev(vector, offset)?;
            match durable {
                true => Qcow2::sync(access),
                false => Ok(()),
            }
        })
    }

    fn harm(&self) -> Option<Harm> {
        self.files.iter().find_map(ImageFile::harm)
    }

    fn flush(&self) -> io::Result<()> {
        self.check_not_cut()?;
        self.access.shared(Qcow2::sync)
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        check_range(self.geometry.size, offset, len)?;
        self.access
            .exclusive(|access| access.discard_to_any(offset, len))
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        check_range(self.geometry.size, offset, len)?;
        self.access
            .exclusive(|access| access.discard_to_zero(offset, len))
    }
}
