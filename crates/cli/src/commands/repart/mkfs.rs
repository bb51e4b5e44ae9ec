//! Filesystems made by their own tools, in a file of the host's without a name.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create};
use uuid::Uuid;

use crate::exit::Failure;
use crate::programs::find;

/// How often it is looked whether a tool has ended, or a signal has come.
const POLL: Duration = Duration::from_millis(5);

/// What the filesystem is to have.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// `Format=`
    pub(crate) format: &'a str,
    pub(crate) label: &'a str,
    pub(crate) uuid: Uuid,
    /// Bytes.
    pub(crate) size: u64,
    /// `SOURCE_DATE_EPOCH`: seconds since 1970.
    pub(crate) epoch: Option<u64>,
}

/// A tool, and the package of Debian's that has it.
struct Tool {
    name: &'static str,
    package: &'static str,
    arguments: Vec<OsString>,
}

/// Whether a format is one of those that can be made.
pub(crate) fn is_known(format: &str) -> bool {
    let any = Wanted {
        format,
        label: "",
        uuid: Uuid::nil(),
        size: 0,
        epoch: None,
    };
    tool(&any).is_some()
}

fn tool(wanted: &Wanted<'_>) -> Option<Tool> {
    let Wanted {
        format,
        label,
        uuid,
        epoch,
        ..
    } = *wanted;
    let text = |arguments: &[&str]| arguments.iter().map(OsString::from).collect::<Vec<_>>();
    let uuid_text = uuid.hyphenated().to_string();
    // Filesystems with an ID of 32 bits have the first ones.
    let id = format!("{:08x}", uuid.as_fields().0);
    let (name, package, arguments) = match format {
        "ext2" | "ext3" | "ext4" => {
            let seed = format!("hash_seed={uuid_text},nodiscard,lazy_itable_init=1,root_owner=0:0");
            let size = ["-m", "0", "-b", "4096", "-I", "256"];
            let mut all = text(&["-q", "-F", "-t", format, "-T", "default", "-U", &uuid_text]);
            all.extend(text(&size));
            all.extend(text(&["-L", &cut(label, 16), "-E", &seed]));
            ("mke2fs", "e2fsprogs", all)
        }
        "vfat" => {
            let label = fat_label(label);
            let mut all = text(&["-F", "32", "-i", &id, "-n", &label]);
            if epoch.is_some() {
                // The time of the label is a constant then.
                all.extend(text(&["--invariant"]));
            }
            ("mkfs.fat", "dosfstools", all)
        }
        "xfs" => {
            let meta = format!("uuid={uuid_text}");
            let label = cut(label, 12);
            (
                "mkfs.xfs",
                "xfsprogs",
                text(&["-q", "-K", "-m", &meta, "-L", &label]),
            )
        }
        "btrfs" => {
            let label = cut(label, 255);
            (
                "mkfs.btrfs",
                "btrfs-progs",
                text(&["-q", "-K", "-U", &uuid_text, "-L", &label]),
            )
        }
        "f2fs" => {
            let mut all = text(&["-q", "-f", "-t", "0", "-R", "0:0", "-U", &uuid_text]);
            all.extend(text(&["-l", label]));
            if let Some(epoch) = epoch {
                all.extend(text(&["-r", "-T", &epoch.to_string()]));
            }
            ("mkfs.f2fs", "f2fs-tools", all)
        }
        // Its tool takes no UUID and no serial number.
        "exfat" => ("mkfs.exfat", "exfatprogs", text(&["-L", &cut(label, 11)])),
        "swap" => {
            let label = cut(label, 16);
            (
                "mkswap",
                "util-linux",
                text(&["-q", "-U", &uuid_text, "-L", &label]),
            )
        }
        _ => return None,
    };
    Some(Tool {
        name,
        package,
        arguments,
    })
}

/// At most so many bytes of a label, whole characters.
fn cut(label: &str, most: usize) -> String {
    label[..label.floor_char_boundary(most)].to_owned()
}

/// What FAT takes: eleven characters of ASCII, in capitals.
fn fat_label(label: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_ ".contains(c);
    let label: String = label.chars().filter(|&c| allowed(c)).take(11).collect();
    match label.trim() {
        "" => "NO NAME".to_owned(),
        label => label.to_ascii_uppercase(),
    }
}

/// An empty file in `dir` that has no name, and is gone with its last descriptor, whatever
/// happens to this process.
pub(crate) fn nameless(dir: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::open(dir, flags, Mode::from_raw_mode(0o666))?;
    Ok(file.into())
}

/// Whether there are no files without a name on this filesystem.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errnos = [Errno::OPNOTSUPP, Errno::ISDIR, Errno::INVAL];
    errnos
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// A new file `.drupe-0` in `dir`, or the first number that is free, and its path.
pub(crate) fn temporary(dir: &Path) -> io::Result<(File, PathBuf)> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    let is_taken = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
    let (name, file) = drupe_tree::make_temporary(is_taken, |name| options.open(dir.join(name)))?;
    Ok((file, dir.join(name)))
}

/// A file without a name, as large as the filesystem is to be.
fn scratch(dir: &Path, size: u64) -> io::Result<File> {
    let file = match nameless(dir) {
        Err(error) if is_unsupported(&error) => {
            let (file, name) = temporary(dir)?;
            std::fs::remove_file(name)?;
            file
        }
        file => file?,
    };
    file.set_len(size)?;
    Ok(file)
}

/// Makes a filesystem in a new file without a name, in `dir`. `check` ends it early.
pub(crate) fn make(
    wanted: &Wanted<'_>,
    dir: &Path,
    check: &dyn Fn() -> Result<(), Failure>,
) -> Result<File, Failure> {
    let tool = tool(wanted).ok_or_else(|| anyhow!("Format={} is not supported", wanted.format))?;
    let file = scratch(dir, wanted.size)
        .with_context(|| format!("cannot make a file in {}", dir.display()))?;
    let program = find(tool.name).ok_or_else(|| {
        let missing = anyhow!(
            "Format={} needs {}, which is not installed",
            wanted.format,
            tool.name
        );
        Failure::from(missing).with_hint(format!("Debian has it in the package {}", tool.package))
    })?;
    let mut said = memfd_create("drupe-mkfs", MemfdFlags::CLOEXEC)
        .map(File::from)
        .context("cannot make a file in memory")?;
    let shared = |file: &File| file.try_clone().context("cannot duplicate a descriptor");
    let mut command = Command::new(program);
    command
        .args(&tool.arguments)
        // The tool has it as its standard input: nothing else is inherited.
        .arg("/proc/self/fd/0")
        .stdin(Stdio::from(shared(&file)?))
        .stdout(Stdio::null())
        .stderr(Stdio::from(shared(&said)?))
        .env("LC_ALL", "C");
    if let Some(epoch) = wanted.epoch {
        command
            .env("SOURCE_DATE_EPOCH", epoch.to_string())
            .env("E2FSPROGS_FAKE_TIME", epoch.to_string());
    }
    let named = || format!("cannot run {}", tool.name);
    let mut child = command.spawn().with_context(named)?;
    let status = loop {
        if let Some(status) = child.try_wait().with_context(named)? {
            break status;
        }
        if let Err(stop) = check() {
            // It may have ended by the same signal.
            let _ = child.kill();
            child.wait().with_context(named)?;
            return Err(stop);
        }
        std::thread::sleep(POLL);
    };
    let mut text = Vec::new();
    said.seek(SeekFrom::Start(0)).with_context(named)?;
    said.take(1 << 16)
        .read_to_end(&mut text)
        .with_context(named)?;
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("it said nothing");
    let first = first.escape_debug();
    if !status.success() {
        return Err(anyhow!("{} failed: {first}", tool.name).into());
    }
    let size = file.metadata().with_context(named)?.len();
    if size != wanted.size {
        let (name, wanted) = (tool.name, wanted.size);
        return Err(anyhow!("{name} made {size} bytes instead of {wanted}").into());
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        assert_eq!(fat_label("root-x86-64-verity"), "ROOT-X86-64");
        assert_eq!(fat_label("Größe"), "GRE");
        assert_eq!(fat_label("*"), "NO NAME");
        assert_eq!(cut("Größe", 3), "Gr");
        assert_eq!(cut("ab", 16), "ab");
    }
}
