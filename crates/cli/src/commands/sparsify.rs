//! `drupe sparsify`: makes what nobody uses in a raw image holes of its file.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use anyhow::{Context as _, anyhow};
use drupe::{Errno, Format};
use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};

use crate::args::Sparsify;
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::location::Volume;
use crate::output::{Report, Stdout, warning};

/// Bytes that are looked at together: if all are zeros, they become a hole.
const BLOCK: usize = 4096;
/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

pub(crate) fn run(context: &mut Context<'_>, command: &Sparsify) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    for image in &command.images {
        let done = sparsify(context, image);
        let Some((before, after)) = report.settle(done)? else {
            continue;
        };
        let (image, saved) = (image.display(), before.saturating_sub(after));
        let mut out = Stdout::lines();
        writeln!(
            out,
            "{image}: {before} bytes on the host before, {after} now: {saved} saved"
        )?;
    }
    Ok(report.code())
}

/// The bytes that the image occupied before and occupies behind it.
fn sparsify(context: &mut Context<'_>, image: &Path) -> Result<(u64, u64), Failure> {
    let occupied = || -> Result<u64, Failure> {
        let metadata = image.metadata();
        let metadata = metadata.with_context(|| image.display().to_string())?;
        Ok(metadata.blocks() * 512)
    };
    context.open_for_writing(image)?;
    let before = occupied()?;
    let disk = context.session.disk(image)?;
    if disk.format() != Some(Format::Raw) || !image.is_file() {
        let message = anyhow!("{}: only raw images can be made sparse", image.display());
        let hint = "qemu-img convert makes a copy of another image without what is free, \
                    once `drupe fstrim` has run";
        return Err(Failure::new(ExitCode::Image, message).with_hint(hint));
    }
    drop(disk);
    let volumes = context.session.volumes(image, true)?;
    let mountable = volumes.iter().filter(|volume| {
        volume.disk() == 0 && volume.found().is_some_and(|found| found.driver.is_some())
    });
    let parts: Vec<String> = mountable.map(|volume| volume.id().to_owned()).collect();
    for part in parts {
        context.check()?;
        let volume = Volume {
            image: image.to_owned(),
            part: Some(part),
            options: None,
        };
        // That of a filesystem that only reads, such as an ISO image's, is left alone.
        let mount = context.session.mount(&volume)?;
        if mount.is_read_only()? {
            continue;
        }
        match mount.trim() {
            Ok(_) => {}
            Err(error) if error.errno() == Some(Errno::OPNOTSUPP) => {
                let text = format!("{}: its free space cannot be told", volume.label());
                warning(&context.options, &text);
            }
            Err(error) => return Err(error.into()),
        }
    }
    // Nothing else must write to the file.
    context.session.let_go(image)?;
    dig(context, image)?;
    Ok((before, occupied()?))
}

/// Makes blocks of zeros holes.
fn dig(context: &Context<'_>, image: &Path) -> Result<(), Failure> {
    let named = || image.display().to_string();
    let file = File::options().read(true).write(true).open(image);
    let file = file.with_context(named)?;
    let lock = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    rustix::fs::flock(&file, lock).with_context(named)?;
    let size = file.metadata().with_context(named)?.len();
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while let Ok(data) = seek(&file, SeekFrom::Data(at)) {
        let end = seek(&file, SeekFrom::Hole(data)).unwrap_or(size).min(size);
        at = data - data % BLOCK as u64;
        while at < end {
            context.check()?;
            let len = piece.len().min((end - at) as usize);
            let len = file.read_at(&mut piece[..len], at).with_context(named)?;
            if len == 0 {
                break;
            }
            let mut zeros = 0..0;
            for (index, block) in piece[..len].chunks(BLOCK).enumerate() {
                let start = index * BLOCK;
                if block.len() == BLOCK && block.iter().all(|&byte| byte == 0) {
                    if zeros.end != start {
                        zeros.start = start;
                    }
                    zeros.end = start + BLOCK;
                    continue;
                }
                punch(&file, flags, at, &zeros).with_context(named)?;
                zeros = 0..0;
            }
            punch(&file, flags, at, &zeros).with_context(named)?;
            at += len as u64;
        }
        at = end;
    }
    Ok(())
}

fn punch(
    file: &File,
    flags: FallocateFlags,
    at: u64,
    zeros: &std::ops::Range<usize>,
) -> rustix::io::Result<()> {
    match zeros.is_empty() {
        true => Ok(()),
        false => fallocate(file, flags, at + zeros.start as u64, zeros.len() as u64),
    }
}
