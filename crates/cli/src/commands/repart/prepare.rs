//! Filesystems that are made before the size of their partition is known: those that are
//! read-only, and those of `Minimize=`.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Context as _;
use drupe_repart::{Definition, GRAIN, Minimize, identity};
use uuid::Uuid;

use super::fill::{self, Full};
use super::mkfs::{self, Wanted};
use super::{read_only, sources};
use crate::args::Repart;
use crate::context::Context;
use crate::epoch;
use crate::exit::{ExitCode, Failure};

/// Rounds in which the smallest size is looked for.
const ROUNDS: u32 = 8;
/// What journals and the like take, and the least step from one size to the next.
const STEP: u64 = 4 << 20;
/// Bytes that are allowed for each file besides its contents.
const PER_FILE: u64 = 1 << 10;

/// A filesystem with all its files, in a file without a name.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) file: File,
    /// Bytes, a multiple of [`GRAIN`].
    pub(crate) size: u64,
    pub(crate) code: ExitCode,
}

/// What a filesystem is to be called, and where files without a name are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'a> {
    pub(crate) label: &'a str,
    /// Of the partition.
    pub(crate) uuid: Uuid,
    pub(crate) dir: &'a Path,
}

/// Makes the filesystem of a definition; `None`: it is to be made when the size of the
/// partition is known.
pub(crate) fn prepare(
    context: &Context<'_>,
    command: &Repart,
    definition: &Definition,
    named: Named<'_>,
) -> Result<Option<Prepared>, Failure> {
    if definition.is_read_only_format() {
        return read_only::make(context, command, definition, named).map(Some);
    }
    let format = match (definition.minimize, &definition.format) {
        (Minimize::Off, _) | (_, None) => return Ok(None),
        (_, Some(format)) => format,
    };
    let least = drupe_repart::least_size_of(format);
    let needed = measure(command, definition)?;
    let attempt = |size| attempt(context, command, definition, named, size);
    let mut too_small = needed.bytes.max(least.saturating_sub(GRAIN));
    let first = needed.bytes + needed.bytes / 16 + needed.files * PER_FILE + STEP;
    let mut size = up(first.max(least));
    let mut made = loop {
        match attempt(size) {
            Ok(made) => break made,
            Err(failure) if Full::is_it(&failure) && size < first.saturating_mul(4) => {
                too_small = size;
                size = up(size + (size / 4).max(STEP));
            }
            Err(failure) => return Err(failure),
        }
    };
    if definition.minimize == Minimize::Guess {
        return Ok(Some(made));
    }
    for _ in 0..ROUNDS {
        let between = up(too_small + made.size.saturating_sub(too_small) / 2);
        if between >= made.size || made.size - between < made.size / 64 {
            break;
        }
        context.check()?;
        match attempt(between) {
            Ok(smaller) => made = smaller,
            // Too small for the files, or for the tool.
            Err(_) => too_small = between,
        }
    }
    Ok(Some(made))
}

/// Makes a filesystem of this size, and fills it.
fn attempt(
    context: &Context<'_>,
    command: &Repart,
    definition: &Definition,
    named: Named<'_>,
    size: u64,
) -> Result<Prepared, Failure> {
    context.check()?;
    let format = definition.format.as_deref().unwrap_or("ext4");
    let wanted = Wanted {
        format,
        label: named.label,
        uuid: identity::of_filesystem(named.uuid),
        size,
        epoch: epoch::get()?.and_then(|time| u64::try_from(time.seconds).ok()),
        writes_zeroes: false,
    };
    let file = mkfs::make(&wanted, named.dir, &|| context.check())?;
    let disk = fill::disk_of(&file)?;
    let nothing = &mut |_: &drupe::Mount| Ok(());
    let code = fill::fill(
        context,
        command,
        disk,
        definition,
        Some(format),
        None,
        nothing,
    )?;
    Ok(Prepared { file, size, code })
}

/// What is copied into a filesystem.
#[derive(Debug, Default)]
pub(crate) struct Needed {
    /// Of the contents of files, in whole blocks, without holes.
    pub(crate) bytes: u64,
    pub(crate) files: u64,
}

/// What `CopyFiles=` brings, at most: what is excluded counts too.
pub(crate) fn measure(command: &Repart, definition: &Definition) -> Result<Needed, Failure> {
    let mut needed = Needed::default();
    let mut known = HashSet::new();
    for files in &definition.copy_files {
        let top = sources::resolve(command.root.as_deref(), &files.source)?;
        let mut stack = vec![top];
        while let Some(path) = stack.pop() {
            let found = fs::symlink_metadata(&path).with_context(|| path.display().to_string())?;
            needed.files += 1;
            if found.is_dir() {
                let names: io::Result<Vec<_>> =
                    fs::read_dir(&path).and_then(|entries| entries.collect());
                // The copy says what it cannot read.
                stack.extend(names.unwrap_or_default().iter().map(fs::DirEntry::path));
                needed.bytes += GRAIN;
            } else if found.is_file() && known.insert((found.dev(), found.ino())) {
                needed.bytes += up(found.len().min(found.blocks() * 512));
            }
        }
    }
    Ok(needed)
}

fn up(bytes: u64) -> u64 {
    bytes.checked_next_multiple_of(GRAIN).unwrap_or(bytes)
}
