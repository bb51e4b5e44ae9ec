//! [`Partition`]: a part of a disk that can hold a filesystem.

use std::io::{self, IoSliceMut, Read, Seek, SeekFrom};
use std::sync::Arc;

use drupe_abi::Errno;
use drupe_machine::Error as MachineError;

use crate::disk::DiskInner;
use crate::error::{Error, Result};
use crate::kernel::Pseudo;
use crate::mount::{self, Mount, MountOptions};
use crate::probe::{self, Probe};
use crate::sys::{self, AT_FDCWD};
use crate::table;

/// A partition of a disk, or the whole of it. Keeps its disk.
#[derive(Clone)]
pub struct Partition {
    pub(crate) disk: Arc<DiskInner>,
    /// `None`: the whole disk.
    number: Option<u32>,
    /// "vda1" for the first of the first disk.
    name: String,
    /// Bytes from the start of the disk.
    start: u64,
    /// Bytes.
    size: u64,
}

/// What the partition table says of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionInfo {
    /// "gpt" or "dos".
    pub table: &'static str,
    /// The type: a UUID in a GPT, "0x83" in an MBR.
    pub kind: String,
    /// What the type means, if it is one of the common ones.
    pub kind_name: Option<&'static str>,
    /// The name in a GPT.
    pub name: Option<String>,
    /// The partition's own UUID; for an MBR, disk identifier and number, as
    /// Linux has it in `PARTUUID`.
    pub uuid: Option<String>,
}

impl Partition {
    pub(crate) fn whole(disk: &Arc<DiskInner>) -> Partition {
        Partition {
            disk: Arc::clone(disk),
            number: None,
            name: disk.name.clone(),
            start: 0,
            size: disk.backend.geometry().size,
        }
    }

    /// Its number, counted from 1; `None` for the whole disk.
    pub fn number(&self) -> Option<u32> {
        self.number
    }

    /// The name of its device: "vda1" for the first one of the first disk.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes from the start of the disk.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What the partition table says of it. `None` for the whole disk and for
    /// tables other than GPT and MBR.
    pub fn info(&self) -> Result<Option<PartitionInfo>> {
        let Some(number) = self.number else {
            return Ok(None);
        };
        let block_size = self.disk.backend.geometry().block_size;
        table::find(&mut self.window(0, u64::MAX), block_size.into(), number)
            .map_err(|e| Error::at("read partition table", &self.name, e))
    }

    /// What is on it: a filesystem, or something else that has a signature.
    pub fn probe(&self) -> Result<Option<Probe>> {
        probe::probe(&mut self.window(self.start, self.size))
            .map_err(|e| Error::at("probe", &self.name, e))
    }

    /// Mounts the filesystem on it.
    pub fn mount(&self, options: MountOptions) -> Result<Mount> {
        mount::mount_partition(self, &options)
    }

    fn window(&self, start: u64, size: u64) -> Window<'_> {
        let all = self.disk.backend.geometry().size;
        Window {
            disk: &self.disk,
            start: start.min(all),
            size: size.min(all.saturating_sub(start)),
            position: 0,
        }
    }
}

/// Asks the kernel for the partitions it has found on a disk.
pub(crate) fn scan(disk: &Arc<DiskInner>) -> Result<Vec<Partition>> {
    scan_sysfs(disk).map_err(|e| Error::at("list partitions", &disk.name, e))
}

fn scan_sysfs(disk: &Arc<DiskInner>) -> sys::Result<Vec<Partition>> {
    disk.kernel.need(Pseudo::Sys)?;
    let base = format!("/sys/block/{}", disk.name);
    let mut partitions = Vec::new();
    for name in crate::fs::names(&disk.kernel.sys, &base)? {
        if !name.starts_with(&disk.name) {
            continue;
        }
        // Sectors of 512 bytes, whatever the disk's own are.
        let value = |file: &str| number(disk, &format!("{base}/{name}/{file}"));
        partitions.push(Partition {
            disk: Arc::clone(disk),
            number: Some(value("partition")? as u32),
            start: value("start")? * 512,
            size: value("size")? * 512,
            name,
        });
    }
    partitions.sort_by_key(|partition| partition.number);
    Ok(partitions)
}

/// Reads a number from a file of sysfs.
fn number(disk: &DiskInner, path: &str) -> sys::Result<u64> {
    let sys = &disk.kernel.sys;
    let path = std::ffi::CString::new(path).map_err(|_| MachineError::Errno(Errno::INVAL))?;
    let file = sys.openat(AT_FDCWD, &path, libc::O_RDONLY, 0)?;
    let mut text = [0; 32];
    let len = sys.read(file.raw(), &mut text)?;
    str::from_utf8(&text[..len])
        .ok()
        .and_then(|text| text.trim_end().parse().ok())
        .ok_or(MachineError::Errno(Errno::INVAL))
}

/// A part of a disk, read straight from its backend.
struct Window<'a> {
    disk: &'a DiskInner,
    start: u64,
    size: u64,
    position: u64,
}

impl Read for Window<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.size.saturating_sub(self.position);
        let len = left.min(bytes.len() as u64) as usize;
        if len == 0 {
            return Ok(0);
        }
        // A backend may insist on whole blocks.
        let backend = &self.disk.backend;
        let geometry = backend.geometry();
        let block = u64::from(geometry.block_size);
        let from = self.start + self.position;
        let (first, end) = (
            from / block * block,
            (from + len as u64).next_multiple_of(block),
        );
        let mut blocks = vec![0; (end.min(geometry.size) - first) as usize];
        backend.read_at(&mut [IoSliceMut::new(&mut blocks)], first)?;
        let skip = (from - first) as usize;
        bytes[..len].copy_from_slice(&blocks[skip..skip + len]);
        self.position += len as u64;
        Ok(len)
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
