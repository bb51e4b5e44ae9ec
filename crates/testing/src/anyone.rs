//! Directories and programs that every user of the machine can reach, for tests as other
//! users.
//!
//! Other users often cannot reach the command that cargo has built: it is below a home
//! directory of mode 0700, or was made with a umask of 077. The same may hold for
//! `TMPDIR`. A test that becomes another user copies what it needs to a [`directory`].

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, Permissions};
use std::io::{Error, Result};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::fs::{StatVfsMountFlags, statvfs};
use tempfile::TempDir;

/// User and group that own no files: `nobody` and `nogroup`.
pub const NOBODY: u32 = 65534;

/// Where such directories are made if not every user can reach `TMPDIR`.
const PLACES: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// A new directory of mode 0755 that every user can reach, and run programs
/// from. It is removed when dropped.
///
/// # Errors
///
/// Not every user can reach and run programs from `TMPDIR`, `/tmp`, `/var/tmp` and
/// `/dev/shm`.
pub fn directory() -> Result<TempDir> {
    let candidates = [env::temp_dir()].into_iter();
    let candidates: Vec<_> = candidates.chain(PLACES.map(PathBuf::from)).collect();
    let place = first_open(&candidates)?;
    let directory = tempfile::Builder::new()
        .prefix("drupe-")
        .tempdir_in(place)?;
    // Not with the directory: the umask would have a say.
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
    Ok(directory)
}

/// The first directory that every user can reach and run programs from.
fn first_open(candidates: &[PathBuf]) -> Result<&Path> {
    let mut reasons = Vec::new();
    for candidate in candidates {
        match obstacle(candidate) {
            Ok(None) => return Ok(candidate),
            Ok(Some(reason)) => reasons.push(reason),
            Err(error) => reasons.push(format!("{}: {error}", candidate.display())),
        }
    }
    Err(Error::other(format!(
        "no directory for another user; set TMPDIR to one: {}",
        reasons.join("; ")
    )))
}

/// Why not every user can run a program in `directory`; `None`: all can.
fn obstacle(directory: &Path) -> Result<Option<String>> {
    let path = directory.canonicalize()?;
    for above in path.ancestors() {
        if fs::metadata(above)?.permissions().mode() & 0o001 == 0 {
            return Ok(Some(format!("{}: not open to others", above.display())));
        }
    }
    let noexec = statvfs(&path)?.f_flag.contains(StatVfsMountFlags::NOEXEC);
    Ok(noexec.then(|| format!("{}: mounted noexec", path.display())))
}

/// A copy of a program that every user can run. It is removed when dropped.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    _directory: TempDir,
}

impl Program {
    /// Where the copy is. Its name is that of the original.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A copy of `program` that every user can run. Tests of this process that use it at the
/// same time share it.
///
/// # Errors
///
/// There is no [`directory`] for it, or `install` (coreutils) failed.
pub fn program(program: &Path) -> Result<Arc<Program>> {
    static COPIES: Mutex<BTreeMap<PathBuf, Weak<Program>>> = Mutex::new(BTreeMap::new());
    let mut copies = COPIES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(copy) = copies.get(program).and_then(Weak::upgrade) {
        return Ok(copy);
    }
    let name = program
        .file_name()
        .ok_or_else(|| Error::other(format!("{}: names no program", program.display())))?;
    let directory = directory()?;
    let path = directory.path().join(name);
    // Another process writes it. If this one did, a test beside this one that
    // starts a process would hand the open file on, and the copy could not be
    // run meanwhile (ETXTBSY).
    let output = Command::new("install")
        .args(["-m", "755", "--"])
        .args([program, &path])
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::other(format!("install: {}", said.trim())));
    }
    let copy = Arc::new(Program {
        path,
        _directory: directory,
    });
    copies.insert(program.to_owned(), Arc::downgrade(&copy));
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_closed_directory_above_is_an_obstacle() {
        let open = directory().unwrap();
        assert_eq!(mode(open.path()), 0o755);
        let (above, within) = (open.path().join("above"), open.path().join("above/within"));
        fs::create_dir_all(&within).unwrap();
        fs::set_permissions(&within, Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(&above, Permissions::from_mode(0o700)).unwrap();
        let said = first_open(std::slice::from_ref(&within))
            .unwrap_err()
            .to_string();
        assert!(said.contains("above: not open to others"), "{said}");
        assert!(said.contains("set TMPDIR"), "{said}");
        let candidates = [within, "/no/such".into(), open.path().to_owned()];
        assert_eq!(first_open(&candidates).unwrap(), open.path());
    }

    #[test]
    fn a_copy_is_shared_can_be_run_and_goes() {
        let private = tempfile::tempdir().unwrap();
        let original = private.path().join("tool");
        fs::copy("/bin/true", &original).unwrap();
        fs::set_permissions(&original, Permissions::from_mode(0o700)).unwrap();
        let copy = program(&original).unwrap();
        assert_eq!(mode(copy.path()), 0o755);
        assert_eq!(copy.path().file_name().unwrap(), "tool");
        assert_eq!(obstacle(copy.path().parent().unwrap()).unwrap(), None);
        assert!(Arc::ptr_eq(&copy, &program(&original).unwrap()));
        assert!(Command::new(copy.path()).status().unwrap().success());
        let path = copy.path().to_owned();
        drop(copy);
        assert!(!path.exists());
        // The next one is a new one.
        assert!(program(&original).unwrap().path().exists());
    }
}
