//! The partition table that an image has, or gets.

use std::fs::File;

use anyhow::{Context as _, anyhow};
use drupe_repart::{Disk, identity};
use uuid::{Builder, Uuid};

use super::image::Image;
use super::unusable;
use crate::args::{EmptyMode, Repart, Seed, TableKind};
use crate::exit::Failure;

/// What UUIDs follow from.
pub(crate) fn seed(seed: Seed) -> Result<Uuid, Failure> {
    match seed {
        Seed::Uuid(uuid) => Ok(uuid),
        Seed::Random => {
            let mut bytes = [0; 16];
            rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
                .context("no random numbers")?;
            Ok(Builder::from_random_bytes(bytes).into_uuid())
        }
    }
}

/// A file as if it were larger, with zeroes at its end.
struct Larger<'a> {
    file: &'a File,
    size: u64,
    at: u64,
}

impl std::io::Read for Larger<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.size.saturating_sub(self.at).min(buffer.len() as u64) as usize;
        let read = std::os::unix::fs::FileExt::read_at(self.file, &mut buffer[..left], self.at)?;
        let read = match read {
            0 => {
                buffer[..left].fill(0);
                left
            }
            read => read,
        };
        self.at += read as u64;
        Ok(read)
    }
}

impl std::io::Seek for Larger<'_> {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        let at = match to {
            std::io::SeekFrom::Start(at) => Some(at),
            std::io::SeekFrom::End(by) => self.size.checked_add_signed(by),
            std::io::SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// The partition table that there is, or a new one for `size` bytes, as `--empty` says.
pub(crate) fn table(
    image: &Image,
    command: &Repart,
    size: u64,
    seed: Uuid,
) -> Result<Disk, Failure> {
    let unusable = |error| unusable(command, error);
    let mut file = image.file();
    let found = match command.empty {
        EmptyMode::Force | EmptyMode::Create => None,
        _ => Disk::read(&mut file).map_err(|error| unusable(error.into()))?,
    };
    let mut larger = Larger { file, size, at: 0 };
    let mut new = || {
        let uuid = identity::of_disk(seed);
        let made = match command.table {
            TableKind::Gpt => Disk::new(&mut larger, uuid),
            TableKind::Mbr => Disk::new_mbr(&mut larger, uuid),
        };
        made.map_err(|error| unusable(error.into()))
    };
    match (found, command.empty) {
        (Some(_), EmptyMode::Require) => {
            let failure = unusable(anyhow!("it has a partition table"));
            return Err(failure.with_hint("--empty=allow adds partitions to it"));
        }
        (Some(_), _) if command.table == TableKind::Mbr => {
            let failure = unusable(anyhow!("it has a GUID partition table"));
            return Err(failure.with_hint("--empty=force makes an MBR, and loses all partitions"));
        }
        (Some(disk), _) => return Ok(disk),
        (None, EmptyMode::Force | EmptyMode::Create) => return new(),
        (None, EmptyMode::Refuse | EmptyMode::Allow | EmptyMode::Require) => {}
    }
    // Something else may be on it, which a table would overwrite.
    let mut copy = file.try_clone().context("cannot duplicate a descriptor")?;
    let kind = drupe_tree::disk_image::kind(&mut copy);
    match (kind.map_err(|error| unusable(error.into()))?, command.empty) {
        (Some(kind), _) => {
            let failure = unusable(anyhow!(
                "it holds {kind}, and no GUID partition table for sectors of 512 bytes"
            ));
            Err(failure.with_hint("--empty=force makes one, and loses all that is on it"))
        }
        (None, EmptyMode::Refuse) => {
            let failure = unusable(anyhow!("it has no GUID partition table"));
            Err(failure.with_hint("--empty=require makes one"))
        }
        (None, _) => new(),
    }
}
