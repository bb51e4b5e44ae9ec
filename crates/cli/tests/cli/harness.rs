//! Helpers of the tests: making images and trees, running the command.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use drupe_testing::anyone::{self, NOBODY};
use tempfile::TempDir;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// A directory with images and files, in which the command runs.
pub(crate) struct Place {
    dir: TempDir,
}

/// What a run of the command gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Sets the umask that the tests are written for, whoever runs them: the command
/// goes by it. It is the same for all tests of a process.
fn usual_umask() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
}

/// The command's path as a word of a shell's script.
pub(crate) fn command_in_shell() -> Outcome<Cow<'static, str>> {
    Ok(shlex::try_quote(env!("CARGO_BIN_EXE_drupe"))?)
}

impl Place {
    pub(crate) fn new() -> Outcome<Place> {
        usual_umask();
        let dir = tempfile::tempdir()?;
        Ok(Place { dir })
    }

    /// The same in a directory that every user can reach and read.
    pub(crate) fn for_anyone() -> Outcome<Place> {
        usual_umask();
        let dir = anyone::directory()?;
        Ok(Place { dir })
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A fresh ext4 image; `options` for mkfs.ext4.
    pub(crate) fn ext4(&self, name: &str, size: u64, options: &[&str]) -> Outcome<PathBuf> {
        let image = self.path(name);
        File::create(&image)?.set_len(size)?;
        tool("mkfs.ext4", |mkfs| mkfs.arg("-q").args(options).arg(&image))?;
        Ok(image)
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> Outcome {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(fs::write(path, contents)?)
    }

    pub(crate) fn read(&self, name: &str) -> Outcome<String> {
        let path = self.path(name);
        Ok(fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?)
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drupe"));
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    /// Another program, which runs in the directory.
    pub(crate) fn command_of(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    /// Runs the command.
    pub(crate) fn drupe<S: AsRef<OsStr>>(&self, args: &[S]) -> Outcome<Run> {
        let output = self.command().args(args).output()?;
        Ok(Run {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs it; it must succeed and complain of nothing.
    pub(crate) fn ok<S: AsRef<OsStr>>(&self, args: &[S]) -> Outcome<String> {
        let run = self.drupe(args)?;
        let args: Vec<_> = args.iter().map(AsRef::as_ref).collect();
        match run.code == Some(0) && run.stderr.is_empty() {
            true => Ok(run.stdout),
            false => Err(format!("{args:?}: {run:?}").into()),
        }
    }

    /// Runs a script of sh in the place, which must succeed. Returns its standard error.
    pub(crate) fn in_shell(&self, script: &str) -> Outcome<String> {
        let mut sh = Command::new("sh");
        let output = sh
            .args(["-c", script])
            .current_dir(self.path("."))
            .output()?;
        match output.status.success() {
            true => Ok(String::from_utf8(output.stderr)?),
            false => Err(format!("{script}: {output:?}").into()),
        }
    }

    /// Runs it; it must fail with this code and one line, which is returned.
    pub(crate) fn fails<S: AsRef<OsStr>>(&self, code: i32, args: &[S]) -> Outcome<String> {
        let run = self.drupe(args)?;
        let args: Vec<_> = args.iter().map(AsRef::as_ref).collect();
        // A line, and maybe one that says what to do.
        let mut lines = run.stderr.lines();
        let told = lines.next().is_some_and(|line| line.starts_with("drupe: "));
        let hinted = lines.next().is_none_or(|line| line.starts_with("hint: "));
        match run.code == Some(code) && told && hinted && lines.next().is_none() {
            true => Ok(run.stderr),
            false => Err(format!("{args:?}: {run:?}").into()),
        }
    }
}

/// Runs another tool; its output is in the error.
pub(crate) fn tool(
    name: &str,
    arguments: impl FnOnce(&mut Command) -> &mut Command,
) -> Outcome<String> {
    let mut command = Command::new(name);
    arguments(&mut command);
    succeeds(&mut command)
}

/// Runs a program that must succeed; what it printed.
pub(crate) fn succeeds(command: &mut Command) -> Outcome<String> {
    let output = command.output().map_err(|error| {
        let name = command.get_program().display();
        format!("{name}: {error}; is it installed?")
    })?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}\n{stdout}{stderr}", output.status).into())
}

/// A copy of the command that every user can run.
pub(crate) fn command_for_anyone() -> Outcome<Arc<anyone::Program>> {
    Ok(anyone::program(Path::new(env!("CARGO_BIN_EXE_drupe")))?)
}

/// `setpriv` with the arguments that make the program behind them run as a user
/// who owns nothing.
pub(crate) fn as_nobody() -> Command {
    let mut command = Command::new("setpriv");
    command.args([
        format!("--reuid={NOBODY}"),
        format!("--regid={NOBODY}"),
        "--clear-groups".into(),
    ]);
    command
}

/// Clean, by the word of e2fsck.
pub(crate) fn check_ext4(image: &Path) -> Outcome {
    tool("e2fsck", |fsck| fsck.arg("-fn").arg(image)).map(drop)
}

pub(crate) fn strings<'a>(args: &[&'a str]) -> Vec<&'a OsStr> {
    args.iter().map(|arg| OsStr::new(*arg)).collect()
}

/// Everything about the files of a tree that a copy must keep, by path.
pub(crate) fn manifest(top: &Path) -> Outcome<BTreeMap<Vec<u8>, String>> {
    let mut manifest = BTreeMap::new();
    // The first name of each inode stands for it.
    let mut inodes: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut stack = vec![top.to_owned()];
    while let Some(path) = stack.pop() {
        let stat = fs::symlink_metadata(&path)?;
        let name = path.strip_prefix(top)?.as_os_str().as_bytes().to_owned();
        if stat.is_dir() {
            let mut names: Vec<PathBuf> = fs::read_dir(&path)?
                .map(|entry| Ok(entry?.path()))
                .collect::<std::io::Result<_>>()?;
            names.sort();
            stack.extend(names.into_iter().rev());
        }
        let contents = match () {
            () if stat.is_file() => digest(&fs::read(&path)?),
            () if stat.is_symlink() => fs::read_link(&path)?.display().to_string(),
            () => String::new(),
        };
        let mut xattrs = Vec::new();
        for name in xattr::list(&path)? {
            xattrs.push(format!("{name:?}={:?}", xattr::get(&path, &name)?));
        }
        xattrs.sort();
        let first = match stat.is_dir() {
            true => &name,
            false => inodes.entry(stat.ino()).or_insert_with(|| name.clone()),
        };
        let line = format!(
            "mode {:o} owner {}:{} size {} mtime {}.{:09} rdev {} same as {:?} {contents} {xattrs:?}",
            stat.mode(),
            stat.uid(),
            stat.gid(),
            if stat.is_dir() { 0 } else { stat.len() },
            stat.mtime(),
            stat.mtime_nsec(),
            stat.rdev(),
            String::from_utf8_lossy(first),
        );
        manifest.insert(name, line);
    }
    Ok(manifest)
}

/// Short, and enough to tell contents apart (FNV-1a).
pub(crate) fn digest(bytes: &[u8]) -> String {
    let digest = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |digest, &byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{digest:016x}")
}

/// Bytes that don't repeat.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = len as u64;
    let mut next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as u8
    };
    (0..len).map(|_| next()).collect()
}
