//! Files, directories and links in a filesystem that was just made: by the kernel, in the
//! image, before the partition is in a table.

use std::fmt;
use std::fs::{File, Permissions};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use drupe::{AttachedDisk, Mount, MountOptions, Partition};
use drupe_host::disk::{FileDisk, PartDisk};
use drupe_repart::{CopyFiles, Definition};
use drupe_tree::{CopyOptions, ImageLocation, Location, Overrides, Umask};

use super::exclude;
use super::image::Image;
use super::luks::{self, Contents, Key};
use super::sources;
use crate::args::Repart;
use crate::context::Context;
use crate::epoch;
use crate::exit::{ExitCode, Failure};
use crate::session::Session;

/// Permissions of directories that nothing is copied for.
const DIRECTORY: u32 = 0o755;

/// What goes into an encrypted partition: the key that opens it, and its first bytes.
pub(crate) struct Encrypted<'a> {
    pub(crate) key: &'a Key,
    pub(crate) contents: Option<Contents<'a>>,
}

/// The filesystem is full.
#[derive(Debug)]
pub(crate) struct Full(String);

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Full {}

impl Full {
    /// Whether a filesystem was filled in vain, since it is too small.
    pub(crate) fn is_it(failure: &Failure) -> bool {
        let error = failure.error.downcast_ref::<drupe::Error>();
        failure.error.is::<Full>() || error.is_some_and(|it| it.kind() == ErrorKind::StorageFull)
    }
}

/// What may be done with a filesystem that was filled.
pub(crate) type Then<'a> = &'a mut dyn FnMut(&Mount) -> Result<(), Failure>;

/// Bytes `range` of the image as a disk.
pub(crate) fn part_of(image: &Image, range: Range<u64>) -> Result<drupe::Disk, Failure> {
    let part = PartDisk::new(Arc::clone(&image.disk), range);
    let part = part.map_err(|error: io::Error| anyhow!("no such part of the image: {error}"))?;
    Ok(drupe::Disk::new(part))
}

/// A file without a name as a disk.
pub(crate) fn disk_of(file: &File) -> Result<drupe::Disk, Failure> {
    let shared = file.try_clone();
    let disk = shared.and_then(|file| FileDisk::from_file(file, false));
    Ok(drupe::Disk::new(
        disk.context("cannot use a new file as a disk")?,
    ))
}

/// Whether a definition puts anything into its filesystem.
pub(crate) fn is_empty(definition: &Definition) -> bool {
    definition.copy_files.is_empty()
        && definition.make_directories.is_empty()
        && definition.make_symlinks.is_empty()
        && definition.subvolumes.is_empty()
}

/// Fills a disk as the definition says, where a filesystem of type `format` or an
/// encrypted volume has been made. `format`: `None` if there is nothing to mount.
pub(crate) fn fill(
    context: &Context<'_>,
    command: &Repart,
    disk: drupe::Disk,
    definition: &Definition,
    format: Option<&str>,
    encrypted: Option<Encrypted<'_>>,
    then: Then<'_>,
) -> Result<ExitCode, Failure> {
    // A kernel that has not waited for a tool: with SOURCE_DATE_EPOCH, its clock stands
    // still only while it works.
    let session = Session::new(&context.options, None)?;
    let disk = session.kernel()?.add_disk(disk)?;
    let volume = volume(context, &session, &disk, encrypted);
    let filled = volume.and_then(|volume| {
        let Some(format) = format else {
            return Ok(ExitCode::Success);
        };
        let mount = volume.mount(MountOptions::new().fstype(format).no_atime(true))?;
        let filled = contents(context, command, &mount, definition);
        let filled = filled.and_then(|code| then(&mount).map(|()| code));
        let ended = mount.umount();
        let code = filled?;
        ended?;
        Ok(code)
    });
    // Whatever happened: the kernel lets go of the image, and its error counts.
    let ended = disk.remove();
    let code = filled?;
    ended?;
    session.close()?;
    Ok(code)
}

/// The disk itself, or the volume on it, with its first bytes.
fn volume(
    context: &Context<'_>,
    session: &Session<'_>,
    disk: &AttachedDisk,
    encrypted: Option<Encrypted<'_>>,
) -> Result<Partition, Failure> {
    let Some(Encrypted { key, contents }) = encrypted else {
        return Ok(disk.whole());
    };
    let volume = luks::open(context, session, disk, key)?;
    if let Some(contents) = contents {
        luks::put(context, session, contents, &volume)?;
    }
    Ok(volume)
}

fn contents(
    context: &Context<'_>,
    command: &Repart,
    mount: &Mount,
    definition: &Definition,
) -> Result<ExitCode, Failure> {
    let mut code = ExitCode::Success;
    make_subvolumes(mount, definition)?;
    for files in &definition.copy_files {
        if copy(context, command, mount, definition, files)? != ExitCode::Success {
            code = ExitCode::Failed;
        }
    }
    for directory in &definition.make_directories {
        make_directories(mount, Path::new(directory))?;
    }
    for (path, target) in &definition.make_symlinks {
        make_directories(mount, drupe_tree::paths::parent(Path::new(path)))?;
        mount.symlink(target, path)?;
    }
    for subvolume in definition.subvolumes.iter().filter(|it| it.read_only) {
        mount.set_subvolume_read_only(&subvolume.path, true)?;
    }
    if let Some(path) = &definition.default_subvolume {
        mount.set_default_subvolume(path)?;
    }
    Ok(code)
}

/// Makes the subvolumes of btrfs, and directories above them.
fn make_subvolumes(mount: &Mount, definition: &Definition) -> Result<(), Failure> {
    let mut paths: Vec<_> = definition.subvolumes.iter().map(|one| &one.path).collect();
    // Those above others first.
    paths.sort();
    paths.dedup();
    for path in paths {
        make_directories(mount, drupe_tree::paths::parent(Path::new(path)))?;
        mount.create_subvolume(path)?;
        mount.set_permissions(path, Permissions::from_mode(DIRECTORY))?;
    }
    Ok(())
}

fn copy(
    context: &Context<'_>,
    command: &Repart,
    mount: &Mount,
    definition: &Definition,
    files: &CopyFiles,
) -> Result<ExitCode, Failure> {
    let source = sources::resolve(command.root.as_deref(), &files.source)?;
    let Some(left_out) = exclude::of(command.root.as_deref(), definition, files, &source) else {
        return Ok(ExitCode::Success);
    };
    let found = source
        .metadata()
        .with_context(|| source.display().to_string())?;
    let target = Path::new(&files.target);
    let source = match found.is_dir() {
        // Its contents and its attributes, into what may be there.
        true => {
            make_directories(mount, target)?;
            source.join(".")
        }
        false => {
            make_directories(mount, drupe_tree::paths::parent(target))?;
            source
        }
    };
    let dest = Location::Image(ImageLocation {
        mount: mount.clone(),
        label: definition.file.clone(),
        path: PathBuf::from(target),
    });
    let options = CopyOptions {
        archive: true,
        overrides: Overrides {
            epoch: epoch::get()?,
            ..Overrides::default()
        },
        left_out: left_out.entirely,
        emptied: left_out.below,
        ..CopyOptions::default()
    };
    let mut full = None;
    let copied = context.work(false, |work| {
        let umask = Umask::take();
        let copied = drupe_tree::copy(
            &[Location::Host(source)],
            &dest,
            &options,
            &umask,
            work.interrupt,
            work.progress,
        );
        let error = copied.as_ref().err();
        full = error
            .filter(|it| it.kind() == ErrorKind::StorageFull)
            .map(|it| Full(it.to_string()));
        copied
    });
    match full {
        Some(full) => Err(full.into()),
        None => copied,
    }
}

/// Makes a directory with those above it, unless they are there.
fn make_directories(mount: &Mount, path: &Path) -> Result<(), Failure> {
    for path in path.ancestors().collect::<Vec<_>>().into_iter().rev() {
        if path.parent().is_none() || mount.metadata(path).is_ok() {
            continue;
        }
        mount.create_dir(path)?;
        mount.set_permissions(path, Permissions::from_mode(DIRECTORY))?;
    }
    Ok(())
}
