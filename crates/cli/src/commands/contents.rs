//! `drupe truncate` and `drupe write`: what is in files.

use std::fs::Permissions;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::PermissionsExt;

use drupe::{File, Mount};

use crate::args::{Truncate, Write};
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::interrupt::Waiting;
use crate::location::ImagePath;
use crate::output::Report;
use crate::problem::{Failed, Result, host};
use crate::umask::Umask;

/// Bytes copied at once.
const CHUNK: usize = 256 << 10;

pub(crate) fn truncate(
    context: &mut Context<'_>,
    command: &Truncate,
) -> std::result::Result<ExitCode, Failure> {
    let umask = Umask::get();
    let mut report = Report::default();
    for (path, mount) in context.targets(&command.paths)? {
        let resize = || -> Result<()> {
            let mut options = mount.options();
            options.write(true).mode(0o666 & !umask);
            let file = match options.create(!command.no_create).open(&path.path) {
                Err(error) if command.no_create && error.errno() == Some(drupe::Errno::NOENT) => {
                    return Ok(());
                }
                file => file?,
            };
            let size = command.size.apply(file.metadata()?.len());
            let size = size.ok_or_else(|| Failed::new("set length", "that is too large"))?;
            Ok(file.set_len(size)?)
        };
        report.accept(path.label(), resize());
    }
    Ok(report.code())
}

pub(crate) fn write(
    context: &mut Context<'_>,
    command: &Write,
) -> std::result::Result<ExitCode, Failure> {
    context.own_stdin()?;
    let path = context.target(&command.path)?;
    let mount = context.mount_for_writing(&path.volume)?;
    let owners = match &command.chown {
        Some(owners) => owners.resolve(&mount)?,
        None => (None, None),
    };
    let fresh = mount.symlink_metadata(&path.path).is_err();
    let written = fill(context, &mount, &path, command, owners);
    if written.is_err() && fresh {
        // Half a file is worse than none. If that fails too, the first failure
        // is still the one to tell.
        let _ = mount.remove_file(&path.path);
    }
    context.check()?;
    let mut report = Report::default();
    report.accept(path.label(), written);
    Ok(report.code())
}

fn fill(
    context: &Context<'_>,
    mount: &Mount,
    path: &ImagePath,
    command: &Write,
    (uid, gid): (Option<u32>, Option<u32>),
) -> Result<()> {
    let umask = Umask::get();
    let mut options = mount.options();
    options.create(true).mode(0o666 & !umask);
    match command.append {
        true => options.append(true),
        false => options.write(true).truncate(true),
    };
    let file = options.open(&path.path)?;
    copy_stdin(context, &file)?;
    if uid.is_some() || gid.is_some() {
        file.chown(uid, gid)?;
    }
    if let Some(change) = &command.mode {
        let mode = change.apply(file.metadata()?.mode(), false, umask);
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn copy_stdin(context: &Context<'_>, file: &File) -> Result<()> {
    let mut stdin = Waiting(io::stdin().lock());
    let mut chunk = vec![0; CHUNK];
    loop {
        if context.interrupt.requested() {
            return Err(Failed::new("write", "interrupted"));
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
