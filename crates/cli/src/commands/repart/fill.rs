//! Files, directories and links in a filesystem that was just made: by the kernel, in the
//! image, before the partition is in a table.

use std::fs::{File, Permissions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use drupe::{AttachedDisk, Mount, MountOptions};
use drupe_host::disk::PartDisk;
use drupe_repart::{CopyFiles, Definition};
use drupe_tree::{CopyOptions, ImageLocation, Location, Overrides, Umask};

use super::exclude;
use super::image::Image;
use super::luks::{self, Key};
use super::sources;
use crate::args::Repart;
use crate::context::Context;
use crate::epoch;
use crate::exit::{ExitCode, Failure};
use crate::session::Session;

/// Permissions of directories that nothing is copied for.
const DIRECTORY: u32 = 0o755;

/// What goes into an encrypted partition: the key that opens it, and a file with its first
/// bytes.
pub(crate) struct Encrypted<'a> {
    pub(crate) key: &'a Key,
    pub(crate) contents: Option<(&'a File, u64)>,
}

/// Fills bytes `range` of the image as the definition says, where a filesystem or an
/// encrypted volume has been made.
pub(crate) fn fill(
    context: &Context<'_>,
    command: &Repart,
    image: &Image,
    definition: &Definition,
    range: Range<u64>,
    encrypted: Option<Encrypted<'_>>,
) -> Result<ExitCode, Failure> {
    let is_empty = definition.copy_files.is_empty()
        && definition.make_directories.is_empty()
        && definition.make_symlinks.is_empty()
        && definition.subvolumes.is_empty();
    if is_empty && encrypted.is_none() {
        return Ok(ExitCode::Success);
    }
    let part = PartDisk::new(Arc::clone(&image.disk), range);
    let part = part.map_err(|error: io::Error| anyhow!("no such part of the image: {error}"))?;
    // A kernel that has not waited for a tool: with SOURCE_DATE_EPOCH, its clock stands
    // still only while it works.
    let session = Session::new(&context.options, None)?;
    let disk = session.kernel().add_disk(drupe::Disk::new(part))?;
    let filled = fill_disk(context, command, &session, &disk, definition, encrypted);
    // Whatever happened: the kernel lets go of the image, and its error counts.
    let ended = disk.remove();
    let code = filled?;
    ended?;
    session.close()?;
    Ok(code)
}

fn fill_disk(
    context: &Context<'_>,
    command: &Repart,
    session: &Session<'_>,
    disk: &AttachedDisk,
    definition: &Definition,
    encrypted: Option<Encrypted<'_>>,
) -> Result<ExitCode, Failure> {
    let volume = match encrypted {
        None => disk.whole(),
        Some(Encrypted { key, contents }) => {
            let volume = luks::open(context, session, disk, key)?;
            if let Some((file, len)) = contents {
                luks::put(context, session, file, len, &volume)?;
            }
            volume
        }
    };
    let Some(format) = definition.format.as_deref().filter(|&it| it != "swap") else {
        return Ok(ExitCode::Success);
    };
    let mount = volume.mount(MountOptions::new().fstype(format).no_atime(true))?;
    let filled = contents(context, command, &mount, definition);
    let ended = mount.umount();
    let code = filled?;
    ended?;
    Ok(code)
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
    context.work(false, |work| {
        let umask = Umask::take();
        drupe_tree::copy(
            &[Location::Host(source)],
            &dest,
            &options,
            &umask,
            work.interrupt,
            work.progress,
        )
    })
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
