//! `Format=squashfs` and `Format=erofs`: filesystems that their tools make with all files.
//!
//! The kernel fills another filesystem first, in a file without a name, as it fills any:
//! so owners, excluded files and new directories are the same. Then the tool gets an
//! archive of that, or, if it takes none, a copy of the files in a directory of the host.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use drupe::{Mount, MountOptions};
use drupe_repart::{Definition, GRAIN, identity};
use drupe_tree::{ArchiveOptions, CopyOptions, ImageLocation, Location, Umask};

use super::mkfs::{self, Wanted, check_made};
use super::prepare::{self, Named, Prepared};
use super::tools::{self, Run, STDIN, Tool};
use super::{fill, scratch};
use crate::args::Repart;
use crate::context::Context;
use crate::epoch;
use crate::exit::{ExitCode, Failure};

/// The filesystem that is filled first, and how many bytes of it a file takes at least.
const STAGE: &str = "ext4";
const PER_FILE: u64 = 20 << 10;

/// Makes the filesystem of a definition, as large as it comes.
pub(crate) fn make(
    context: &Context<'_>,
    command: &Repart,
    definition: &Definition,
    named: Named<'_>,
) -> Result<Prepared, Failure> {
    let format = definition.format.as_deref().unwrap_or_default();
    let needed = prepare::measure(command, definition)?;
    let wanted = Wanted {
        format: STAGE,
        label: "",
        uuid: identity::of_filesystem(named.uuid),
        size: (64 << 20) + needed.bytes + (needed.bytes / 4).max(needed.files * PER_FILE),
        epoch: epoch()?,
        writes_zeroes: false,
    };
    let wanted = Wanted {
        size: wanted.size.next_multiple_of(GRAIN),
        ..wanted
    };
    let stage = mkfs::make(&wanted, named.dir, &|| context.check())?;
    without_lost_and_found(context, &stage)?;
    let new = || {
        let file = scratch::sparse(named.dir, 0);
        file.with_context(|| format!("cannot make a file in {}", named.dir.display()))
    };
    let mut file = new()?;
    let mut made = None;
    let mut then = |mount: &Mount| {
        made = Some(match format {
            "squashfs" => archived(context, mount, new()?)?,
            _ => copied(context, mount, named.dir)?,
        });
        Ok(())
    };
    let disk = fill::disk_of(&stage)?;
    let code = fill::fill(
        context,
        command,
        disk,
        definition,
        Some(STAGE),
        None,
        &mut then,
    )?;
    let made = made.context("the files were not read")?;
    drop(stage);
    let (out, path) = scratch::inherited(&file).context("cannot duplicate a descriptor")?;
    let (tool, input) = match &made {
        Made::Archive { archive, top } => (mksquashfs(&path, *top), archive),
        Made::Directory { dir, owner } => (mkfs_erofs(named, &dir.files(), *owner), &file),
    };
    let run = Run {
        setting: format!("Format={format}"),
        file: input,
        epoch: epoch()?,
        writes_zeroes: false,
    };
    tools::run(&tool, &run, &|| context.check())?;
    drop(out);
    check_made(&mut file, format, tool.name)?;
    let size = file.metadata().context("cannot look at a new file")?.len();
    let size = size.next_multiple_of(GRAIN);
    file.set_len(size)
        .context("cannot make a new file larger")?;
    Ok(Prepared { file, size, code })
}

fn epoch() -> Result<Option<u64>, Failure> {
    Ok(epoch::get()?.and_then(|time| u64::try_from(time.seconds).ok()))
}

/// Removes the directory that mke2fs makes: whatever is there later is the user's.
fn without_lost_and_found(context: &Context<'_>, stage: &File) -> Result<(), Failure> {
    let session = crate::session::Session::new(&context.options, None)?;
    let disk = session.kernel()?.add_disk(fill::disk_of(stage)?)?;
    let mount = disk.whole().mount(MountOptions::new().fstype(STAGE))?;
    mount.remove_dir("/lost+found")?;
    mount.umount()?;
    disk.remove()?;
    session.close()
}

/// What a tool takes.
enum Made {
    Archive {
        archive: File,
        top: Top,
    },
    Directory {
        dir: Temporary,
        /// Of all files, if they have the same.
        owner: Option<(u32, u32)>,
    },
}

/// The root directory, which mksquashfs does not take from an archive.
#[derive(Debug, Clone, Copy)]
struct Top {
    mode: u32,
    owner: (u32, u32),
    time: i64,
}

fn archived(context: &Context<'_>, mount: &Mount, mut file: File) -> Result<Made, Failure> {
    let options = ArchiveOptions {
        numeric_owner: true,
        ..ArchiveOptions::default()
    };
    let source = location(mount, "/");
    let code = context.work(false, |work| {
        let (interrupt, progress) = (work.interrupt, work.progress);
        let done = drupe_tree::archive(
            &source,
            &options,
            &mut file,
            "an archive",
            interrupt,
            progress,
        );
        Ok(done?.unwrap_or_default())
    })?;
    complete(code)?;
    file.seek(SeekFrom::Start(0))
        .context("cannot read a new file")?;
    let found = mount.symlink_metadata("/")?;
    Ok(Made::Archive {
        archive: file,
        top: Top {
            mode: found.mode() & 0o7777,
            owner: (found.uid(), found.gid()),
            time: found.mtime(),
        },
    })
}

fn location(mount: &Mount, path: &str) -> ImageLocation {
    ImageLocation {
        mount: mount.clone(),
        label: "the new filesystem".to_owned(),
        path: PathBuf::from(path),
    }
}

fn complete(code: ExitCode) -> Result<(), Failure> {
    match code {
        ExitCode::Success => Ok(()),
        _ => Err(anyhow!("not all files could be read again").into()),
    }
}

/// Only root can give files of the host away: other users need files that all have the
/// same owner, which the tool is told.
fn copied(context: &Context<'_>, mount: &Mount, dir: &Path) -> Result<Made, Failure> {
    let owner = common_owner(mount)?;
    if owner.is_none() && !rustix::process::geteuid().is_root() {
        let failure = Failure::from(anyhow!(
            "the files have different owners, and mkfs.erofs takes those of files of the host"
        ));
        return Err(failure.with_hint(
            "run drupe as root, or use Format=squashfs, or copy a directory to / that has the same owner",
        ));
    }
    let temporary = Temporary::new(dir)?;
    let options = CopyOptions {
        archive: true,
        ..CopyOptions::default()
    };
    let dest = Location::Host(temporary.files());
    let source = [Location::Image(location(mount, "/."))];
    let code = context.work(false, |work| {
        let umask = Umask::take();
        drupe_tree::copy(
            &source,
            &dest,
            &options,
            &umask,
            work.interrupt,
            work.progress,
        )
    })?;
    complete(code)?;
    Ok(Made::Directory {
        dir: temporary,
        owner,
    })
}

/// The owner and group of all files, if they are the same.
fn common_owner(mount: &Mount) -> Result<Option<(u32, u32)>, Failure> {
    let found = mount.symlink_metadata("/")?;
    let owner = (found.uid(), found.gid());
    let mut stack = vec![PathBuf::from("/")];
    while let Some(dir) = stack.pop() {
        for entry in mount.read_dir(&dir)? {
            let path = dir.join(entry?.file_name());
            let found = mount.symlink_metadata(&path)?;
            if (found.uid(), found.gid()) != owner {
                return Ok(None);
            }
            if found.is_dir() {
                stack.push(path);
            }
        }
    }
    Ok(Some(owner))
}

/// A directory of the host that is removed with its contents.
struct Temporary(PathBuf);

impl Temporary {
    fn new(dir: &Path) -> Result<Temporary, Failure> {
        let is_taken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::AlreadyExists;
        // For this user alone: what is in it may not have been for others.
        let mut builder = fs::DirBuilder::new();
        let builder = builder.mode(0o700);
        let made = drupe_tree::make_temporary(is_taken, |name| builder.create(dir.join(name)));
        let made = made.with_context(|| format!("cannot make a directory in {}", dir.display()));
        let temporary = Temporary(dir.join(made?.0));
        fs::create_dir(temporary.files()).context("cannot make a directory")?;
        Ok(temporary)
    }

    /// The directory in it that gets the attributes of the root directory.
    fn files(&self) -> PathBuf {
        self.0.join("files")
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Of some directories, their owner may not remove files.
        let mut stack = vec![self.0.clone()];
        while let Some(dir) = stack.pop() {
            let _ = fs::set_permissions(&dir, fs::Permissions::from_mode(0o700));
            let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
            let is_dir = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|it| it.is_dir());
            stack.extend(entries.filter(is_dir).map(|entry| entry.path()));
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mksquashfs(out: &str, top: Top) -> Tool {
    let fixed = ["-", out, "-tar", "-noappend", "-quiet", "-no-progress"];
    let mut arguments: Vec<_> = fixed.map(Into::into).into();
    for (option, value) in [
        ("-root-mode", format!("{:o}", top.mode)),
        ("-root-uid", top.owner.0.to_string()),
        ("-root-gid", top.owner.1.to_string()),
        ("-root-time", top.time.max(0).to_string()),
    ] {
        arguments.extend([option.into(), value.into()]);
    }
    Tool {
        name: "mksquashfs",
        package: "squashfs-tools",
        arguments,
    }
}

fn mkfs_erofs(named: Named<'_>, dir: &Path, owner: Option<(u32, u32)>) -> Tool {
    let uuid = identity::of_filesystem(named.uuid);
    let mut arguments = vec![format!("-U{uuid}").into(), "--quiet".into()];
    if let Some((user, group)) = owner {
        arguments.push(format!("--force-uid={user}").into());
        arguments.push(format!("--force-gid={group}").into());
    }
    arguments.extend([STDIN.into(), dir.into()]);
    Tool {
        name: "mkfs.erofs",
        package: "erofs-utils",
        arguments,
    }
}
