//! `drupe edit`: changes a file of an image with the user's editor.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, anyhow};
use drupe::File;
use drupe_tree::{CopyOptions, Umask};

use crate::args::Edit;
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::output;

pub(crate) fn run(context: &mut Context<'_>, command: &Edit) -> Result<ExitCode, Failure> {
    let path = context.target(&command.path)?;
    let mount = context.mount_for_writing(&path.volume)?;
    // What a symbolic link leads to is replaced, not the link.
    let real = mount.canonicalize(&path.path)?;
    let metadata = mount.metadata(&real)?;
    if !metadata.is_file() {
        return Err(anyhow!("{}: it is no regular file", path.label()).into());
    }
    let dir = Scratch::new()?;
    let name = real.file_name().unwrap_or(OsStr::new("file"));
    let copy = dir.path.join(name);
    let before = copy_out(&mount.open(&real)?, &copy)?;
    edit(&copy)?;
    // Ctrl-C was the editor's: many use it there.
    context.signals.reset();
    let after = fs::read(&copy).with_context(|| format!("cannot read {}", copy.display()))?;
    if before == after {
        return Ok(ExitCode::Success);
    }
    let dest = drupe_tree::ImageLocation {
        path: real.clone(),
        ..path.on(&mount)
    };
    // A file that is replaced keeps its owners, mode and attributes.
    let written = context.work(false, |work| {
        drupe_tree::write_file(
            &copy,
            &dest,
            &CopyOptions::default(),
            &Umask::take(),
            work.interrupt,
            work.progress,
        )
    });
    let kept = format!("what was edited is kept in {}", copy.display());
    match written {
        Ok(ExitCode::Success) => written,
        Ok(_) => {
            dir.keep();
            output::error(&kept);
            written
        }
        Err(failure) => {
            dir.keep();
            Err(failure.with_hint(kept))
        }
    }
}

/// Copies a file to the host, where nobody else can read it.
fn copy_out(file: &File, to: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut &*file, &mut bytes)?;
    let mut options = fs::File::options();
    let open = options.write(true).create_new(true).mode(0o600).open(to);
    let written = open.and_then(|mut copy| std::io::Write::write_all(&mut copy, &bytes));
    written.with_context(|| format!("cannot write {}", to.display()))?;
    Ok(bytes)
}

/// Runs the editor, as a shell would: it may have arguments.
fn edit(file: &Path) -> Result<(), Failure> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let editor = set("VISUAL")
        .or_else(|| set("EDITOR"))
        .unwrap_or("vi".into());
    let status = Command::new("/bin/sh")
        .arg("-c")
        .arg("exec $0 \"$1\"")
        .arg(&editor)
        .arg(file)
        .status()
        .context("cannot run /bin/sh")?;
    match status.success() {
        true => Ok(()),
        false => {
            let message = anyhow!("{}: {status}; nothing is changed", editor.display());
            Err(Failure::from(message).with_hint("EDITOR names the editor"))
        }
    }
}

/// A directory of the host, which is removed with what is in it.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new() -> Result<Scratch, Failure> {
        let base = env::temp_dir();
        let is_taken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::AlreadyExists;
        let made = drupe_tree::make_temporary(is_taken, |name| {
            fs::DirBuilder::new().mode(0o700).create(base.join(name))
        });
        let (name, ()) =
            made.with_context(|| format!("cannot make a directory in {}", base.display()))?;
        Ok(Scratch {
            path: base.join(name),
        })
    }
}

impl Scratch {
    /// Leaves the directory on the host.
    fn keep(mut self) {
        self.path = PathBuf::new();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // There is nothing else to be done about it; an empty path names nothing.
        let _ = fs::remove_dir_all(&self.path);
    }
}
