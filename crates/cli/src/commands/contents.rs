//! `drupe truncate` and `drupe write`: change the contents of files.

use std::fs::Permissions;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::PermissionsExt;

use drupe::{File, Mount, OpenOptions};

use crate::args::{Truncate, Write};
use crate::context::Context;
use crate::epoch;
use crate::exit::{ExitCode, Failure};
use crate::location::ImagePath;
use crate::output::Report;
use drupe_tree::{CopyOptions, Error, Overrides, Result, Umask, host};

/// Bytes copied at once.
const CHUNK: usize = 256 << 10;

pub(crate) fn truncate(
    context: &mut Context<'_>,
    command: &Truncate,
) -> std::result::Result<ExitCode, Failure> {
    let umask = Umask::get();
    let mut report = Report::default();
    for (path, mount) in context.targets(&command.paths, &mut report)? {
        let resize = || -> Result<()> {
            let mut options = OpenOptions::new();
            options.write(true).mode(0o666 & !umask);
            options.create(!command.no_create);
            let file = match mount.open_with(&path.path, &options) {
                Err(error) if command.no_create && error.errno() == Some(drupe::Errno::NOENT) => {
                    return Ok(());
                }
                file => file?,
            };
            let size = command.size.apply(file.metadata()?.len());
            let size = size.ok_or_else(|| Error::new("set length", "that is too large"))?;
            Ok(file.set_len(size)?)
        };
        report.accept(path.label(), resize());
    }
    Ok(report.code())
}

/// Standard input becomes a file: what was there stays until the new one is complete.
/// With `--append` it is added to the end of the file, or not at all.
pub(crate) fn write(
    context: &mut Context<'_>,
    command: &Write,
) -> std::result::Result<ExitCode, Failure> {
    context.own_stdin()?;
    let path = context.target(&command.path)?;
    let mount = context.mount_for_writing(&path.volume)?;
    let (uid, gid) = match &command.chown {
        Some(owners) => owners.resolve(&mount)?,
        None => (None, None),
    };
    if command.append {
        let mut report = Report::default();
        let appended = append(context, &mount, &path, command, (uid, gid));
        context.check()?;
        report.accept(path.label(), appended);
        return Ok(report.code());
    }
    let options = CopyOptions {
        overrides: Overrides {
            uid,
            gid,
            mode: command.mode.clone(),
            modified: None,
            epoch: epoch::get()?,
        },
        ..CopyOptions::default()
    };
    let dest = context.locate_image(path)?;
    context.work(false, |work| {
        let umask = Umask::take();
        drupe_tree::write_stream(&dest, &options, &umask, work.interrupt, work.progress)
    })
}

fn append(
    context: &Context<'_>,
    mount: &Mount,
    path: &ImagePath,
    command: &Write,
    (uid, gid): (Option<u32>, Option<u32>),
) -> Result<()> {
    let umask = Umask::get();
    let existed = mount.metadata(&path.path).is_ok();
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o666 & !umask);
    let file = mount.open_with(&path.path, &options)?;
    let old_len = file.metadata()?.len();
    let change = || -> Result<()> {
        copy_stdin(context, &file)?;
        if uid.is_some() || gid.is_some() {
            file.chown(uid, gid)?;
        }
        if let Some(change) = &command.mode {
            let mode = change.apply(file.metadata()?.mode(), false, umask);
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        Ok(())
    };
    let changed = change();
    if changed.is_err() {
        // The first failure is the one to tell.
        let _ = match existed {
            true => file.set_len(old_len),
            false => mount.remove_file(&path.path),
        };
    }
    changed
}

fn copy_stdin(context: &Context<'_>, file: &File) -> Result<()> {
    let mut stdin = context.signals.interrupt().waiting(io::stdin().lock());
    let mut chunk = vec![0; CHUNK];
    loop {
        if context.signals.requested() {
            return Err(Error::new("write", "interrupted"));
        }
        let len = match stdin.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            len => host("read standard input for", len)?,
        };
        if len == 0 {
            return Ok(());
        }
        host("write", (&mut &*file).write_all(&chunk[..len]))?;
    }
}
