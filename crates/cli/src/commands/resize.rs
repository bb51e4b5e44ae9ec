//! `drupe resize`: grows a raw image, a partition in it, and its filesystem.
//!
//! In this order, so that the image is whole at any moment: the file, the partition table
//! (a GPT has two copies, one of which is valid at any time), the filesystem.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use drupe::{Errno, Format};
use drupe_repart::Disk;

use crate::args::Resize;
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::location::Volume;
use crate::output::Stdout;

const SECTOR: u64 = 512;
/// Bytes that a btrfs must have to be resized to.
const LEAST_BTRFS: u64 = 256 << 20;

pub(crate) fn run(context: &mut Context<'_>, command: &Resize) -> Result<ExitCode, Failure> {
    let volume = context.target_volume(&command.image)?;
    let image = volume.image.clone();
    context.open_for_writing(&image)?;
    // What is there is looked at first: it may not grow.
    let disk = context.session.disk(&image)?;
    let refused = |message: String| -> Failure {
        Failure::new(ExitCode::Image, anyhow!("{}: {message}", volume.label()))
    };
    if disk.format() != Some(Format::Raw) || !image.is_file() {
        return Err(refused("only raw images can grow".into()).with_hint(
            "`qemu-img resize` grows qcow2 images; `drupe cp -a` copies into a larger one",
        ));
    }
    if disk.block_size() != 512 {
        return Err(refused(
            "only disks with sectors of 512 bytes can grow".into(),
        ));
    }
    drop(disk);
    let partition = context.session.partition(&volume)?;
    let found = partition.probe()?;
    let kind = found.map_or("nothing that is known", |found| found.kind);
    if !matches!(kind, "ext2" | "ext3" | "ext4" | "xfs" | "btrfs") {
        let hint = match kind {
            "f2fs" => "`resize.f2fs` can, on a file that is the filesystem alone",
            "ntfs" => "`ntfsresize` can, on a file that is the filesystem alone",
            _ => "ext4, XFS and btrfs can",
        };
        return Err(refused(format!("it holds {kind}, which cannot grow here")).with_hint(hint));
    }
    let number = partition.number();
    let old = partition.size();
    drop(partition);
    if number.is_none() && volume.part.as_deref().is_some_and(|part| part != "0") {
        return Err(refused("only partitions can grow, not volumes".into()));
    }
    // The kernel would have its own idea of the disk's size.
    context.session.let_go(&image)?;
    let file = File::options().read(true).write(true).open(&image);
    let file = file.with_context(|| image.display().to_string())?;
    let lock = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    rustix::fs::flock(&file, lock).with_context(|| image.display().to_string())?;
    let mut size = file.metadata()?.len();
    if let Some(wanted) = command.size {
        let wanted = wanted.apply(size);
        let wanted = wanted.filter(|wanted| *wanted >= size && *wanted <= i64::MAX as u64);
        let wanted = wanted.ok_or_else(|| {
            refused(format!(
                "the image has {size} bytes: it can grow, not shrink"
            ))
        })?;
        // btrfs refuses it only when the image has grown.
        if kind == "btrfs" && wanted < LEAST_BTRFS {
            return Err(refused(
                "the kernel resizes no btrfs to less than 256 MiB".into(),
            ));
        }
        size = wanted - wanted % SECTOR;
        file.set_len(size)
            .with_context(|| format!("cannot grow {}", image.display()))?;
    }
    if let Some(number) = number {
        grow_partition(&file, &image, number, size)?;
    }
    file.sync_all()?;
    drop(file);
    let mount = context.mount_for_writing(&volume)?;
    let new = context.session.partition(&volume)?.size();
    if new > old || number.is_none() {
        match mount.grow(new).and_then(|()| mount.sync()) {
            // What is as large already.
            Err(error) if error.errno() == Some(Errno::INVAL) && new == old => {}
            Err(error) if error.errno() == Some(Errno::INVAL) && kind == "btrfs" => {
                let message = "the kernel resizes no btrfs to less than 256 MiB, or the partition \
                               is not its first device";
                return Err(refused(message.into()));
            }
            done => done?,
        }
    }
    let label = volume.label();
    writeln!(Stdout::lines(), "{label}: {old} bytes before, {new} now")?;
    Ok(ExitCode::Success)
}

/// The partition ends where the next one begins, or the disk does.
fn grow_partition(file: &File, image: &Path, number: u32, size: u64) -> Result<(), Failure> {
    let named = |error: drupe_repart::Error| {
        Failure::new(ExitCode::Image, anyhow!("{}: {error}", image.display()))
    };
    let mut stream = file;
    let Some(mut disk) = Disk::read(&mut stream).map_err(named)? else {
        return grow_in_mbr(file, image, number, size);
    };
    disk.grow(size).map_err(named)?;
    let place = disk.partitions.iter().position(|one| one.number == number);
    let place = place.ok_or_else(|| anyhow!("{}: partition {number} is gone", image.display()))?;
    let mut partitions = disk.partitions.clone();
    let start = partitions[place].start;
    let next = partitions
        .iter()
        .map(|one| one.start)
        .filter(|other| *other > start)
        .min();
    let end = next.unwrap_or(disk.usable.end);
    // Whole megabytes, as the tools leave them, unless that would be less.
    let aligned = end - end % (1 << 20);
    let end = match aligned > partitions[place].range().end {
        true => aligned,
        false => end.max(partitions[place].range().end),
    };
    partitions[place].size = end - start;
    disk.write(&mut stream, &partitions, || file.sync_all())
        .map_err(named)
}

/// The same in an MBR, whose first four partitions have a number of sectors.
fn grow_in_mbr(file: &File, image: &Path, number: u32, size: u64) -> Result<(), Failure> {
    let failed =
        |message: &str| Failure::new(ExitCode::Image, anyhow!("{}: {message}", image.display()));
    let mut sector = [0; 512];
    file.read_exact_at(&mut sector, 0)?;
    if sector[510..] != [0x55, 0xaa] {
        return Err(failed("its partition table is neither a GPT nor an MBR"));
    }
    if !(1..=4).contains(&number) {
        return Err(failed("only primary partitions of an MBR can grow"));
    }
    let word = |at: usize| {
        let bytes = sector[at..].first_chunk();
        u64::from(u32::from_le_bytes(bytes.copied().unwrap_or_default()))
    };
    let entries: Vec<(u64, u64)> = (0..4)
        .map(|index| 446 + 16 * index)
        .filter(|at| sector[at + 4] != 0)
        .map(|at| (word(at + 8), word(at + 12)))
        .collect();
    let at = 446 + 16 * (number as usize - 1);
    let (start, len) = (word(at + 8), word(at + 12));
    let next = entries
        .iter()
        .map(|(other, _)| *other)
        .filter(|other| *other > start)
        .min();
    // Sector numbers have 32 bits.
    let end = next
        .unwrap_or(size / SECTOR)
        .min(start + u64::from(u32::MAX));
    let aligned = end - end % 2048;
    let end = match aligned > start + len {
        true => aligned,
        false => end.max(start + len),
    };
    let len = u32::try_from(end - start).unwrap_or(u32::MAX);
    sector[at + 12..at + 16].copy_from_slice(&len.to_le_bytes());
    file.write_all_at(&sector, 0)?;
    Ok(())
}

impl Context<'_> {
    /// The filesystem that an argument names, which is to be changed as a whole.
    fn target_volume(&self, argument: &std::ffi::OsStr) -> Result<Volume, Failure> {
        match self.here.is_some() {
            true => Ok(self.path(argument)?.volume),
            false => Volume::of_whole(argument),
        }
    }
}
