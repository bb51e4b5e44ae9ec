//! `drupe ls`: lists files.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use drupe::{Metadata, Mount};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::args::{Global, Ls};
use crate::exit::{ExitCode, Failure};
use crate::location::ImagePath;
use crate::output::Names;
use crate::session::Session;

/// A file; the JSON output is an array of these.
#[derive(Serialize)]
struct Json<'a> {
    /// With replacement characters where it is not UTF-8.
    path: String,
    /// The true bytes, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<&'a [u8]>,
    #[serde(rename = "type")]
    kind: &'static str,
    /// Permissions, in octal.
    mode: String,
    nlink: u64,
    uid: u32,
    gid: u32,
    size: u64,
    ino: u64,
    /// Seconds since 1970, with nine digits behind the point.
    modified: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// Major and minor number of a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<(u32, u32)>,
}

struct Lister<'a, W: Write> {
    mount: Mount,
    label: String,
    command: &'a Ls,
    json: bool,
    names: Names,
    /// Found when first needed: that reads a directory of hundreds of files.
    zone: Option<TimeZone>,
    out: W,
    /// Something has been printed: a comma or an empty line comes first.
    begun: bool,
    code: ExitCode,
}

pub(crate) fn run(options: &Global, command: &Ls) -> Result<ExitCode, Failure> {
    let mut session = Session::new(options, None)?;
    let mut code = ExitCode::Success;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut begun = false;
    if options.json {
        out.write_all(b"[")?;
    }
    for argument in &command.paths {
        let location = ImagePath::parse(argument);
        let mut lister = Lister {
            mount: session.mount(&location.volume)?,
            label: location.volume.label(),
            command,
            json: options.json,
            names: Names::for_stdout(),
            zone: None,
            out: &mut out,
            begun,
            code,
        };
        lister.argument(&location.path)?;
        (begun, code) = (lister.begun, lister.code);
    }
    if options.json {
        out.write_all(if begun { b"\n]\n" } else { b"]\n" })?;
    }
    out.flush()?;
    drop(out);
    session.close()?;
    Ok(code)
}

impl<W: Write> Lister<'_, W> {
    /// One argument: a directory's entries, or a file itself. Errors returned
    /// are those of the output.
    fn argument(&mut self, path: &Path) -> io::Result<()> {
        let metadata = match self.mount.symlink_metadata(path) {
            // A link to a directory is listed as that, unless -l asks about links.
            Ok(link) if link.is_symlink() && !self.command.long => {
                self.mount.metadata(path).or(Ok(link))
            }
            result => result,
        };
        match metadata {
            Ok(metadata) if metadata.is_dir() => self.tree(path),
            Ok(metadata) => self.file(path, path.as_os_str(), Some(&metadata)),
            Err(error) => {
                self.failed(&error);
                Ok(())
            }
        }
    }

    fn failed(&mut self, error: &drupe::Error) {
        eprintln!("drupe: {}: {error}", self.label);
        self.code = ExitCode::Failed;
    }

    /// A directory, and those in it with -R. A stack, since trees may be deep.
    fn tree(&mut self, top: &Path) -> io::Result<()> {
        let heads = self.command.recursive || self.command.paths.len() > 1;
        let mut stack = vec![top.to_owned()];
        while let Some(dir) = stack.pop() {
            let mut entries = match self.entries(&dir) {
                Ok(entries) => entries,
                Err(error) => {
                    self.failed(&error);
                    continue;
                }
            };
            entries.sort();
            if heads && !self.json {
                if self.begun {
                    writeln!(self.out)?;
                }
                self.out.write_all(&self.names.show(dir.as_os_str()))?;
                self.out.write_all(b":\n")?;
                self.begun = true;
            }
            let mut below = Vec::new();
            for (name, is_dir) in entries {
                let path = dir.join(&name);
                self.entry(&path, &name)?;
                if is_dir && self.command.recursive {
                    below.push(path);
                }
            }
            stack.extend(below.into_iter().rev());
        }
        Ok(())
    }

    /// Names, and which of them are directories.
    fn entries(&self, dir: &Path) -> drupe::Result<Vec<(OsString, bool)>> {
        self.mount
            .read_dir(dir)?
            .filter(|entry| match entry {
                Ok(entry) => self.command.all || !entry.name().as_bytes().starts_with(b"."),
                Err(_) => true,
            })
            .map(|entry| {
                let entry = entry?;
                Ok((entry.file_name(), entry.file_type()?.is_dir()))
            })
            .collect()
    }

    fn entry(&mut self, path: &Path, name: &OsStr) -> io::Result<()> {
        if !self.command.long && !self.json {
            return self.file(path, name, None);
        }
        match self.mount.symlink_metadata(path) {
            Ok(metadata) => self.file(path, name, Some(&metadata)),
            Err(error) => {
                self.failed(&error);
                Ok(())
            }
        }
    }

    /// One line, or one object.
    fn file(&mut self, path: &Path, name: &OsStr, metadata: Option<&Metadata>) -> io::Result<()> {
        let target = match metadata {
            Some(metadata) if metadata.is_symlink() => self.mount.read_link(path).ok(),
            _ => None,
        };
        match metadata {
            Some(metadata) if self.json => return self.object(path, metadata, target),
            Some(metadata) if self.command.long => self.details(metadata)?,
            _ => {}
        }
        self.out.write_all(&self.names.show(name))?;
        if let Some(target) = target.filter(|_| self.command.long) {
            self.out.write_all(b" -> ")?;
            self.out.write_all(&self.names.show(target.as_os_str()))?;
        }
        self.begun = true;
        writeln!(self.out)
    }

    fn details(&mut self, metadata: &Metadata) -> io::Result<()> {
        let size = match device(metadata) {
            Some((major, minor)) => format!("{major}, {minor}"),
            None => metadata.len().to_string(),
        };
        let time = metadata.modified().ok().and_then(|time| self.time(time));
        write!(
            self.out,
            "{} {:>3} {:>5} {:>5} {size:>10} {} ",
            mode_string(metadata),
            metadata.nlink(),
            metadata.uid(),
            metadata.gid(),
            time.as_deref().unwrap_or("?               "),
        )
    }

    fn time(&mut self, time: SystemTime) -> Option<String> {
        let zone = self.zone.get_or_insert_with(TimeZone::system).clone();
        let time = Timestamp::try_from(time).ok()?.to_zoned(zone);
        Some(time.strftime("%Y-%m-%d %H:%M").to_string())
    }

    fn object(
        &mut self,
        path: &Path,
        metadata: &Metadata,
        target: Option<PathBuf>,
    ) -> io::Result<()> {
        let object = Json {
            path: path.to_string_lossy().into_owned(),
            path_bytes: path.to_str().is_none().then(|| path.as_os_str().as_bytes()),
            kind: kind(metadata).1,
            mode: format!("{:04o}", metadata.mode() & 0o7777),
            nlink: metadata.nlink(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            size: metadata.len(),
            ino: metadata.ino(),
            modified: metadata.modified().map(seconds).unwrap_or_default(),
            target: target.map(|target| target.to_string_lossy().into_owned()),
            device: device(metadata),
        };
        self.out
            .write_all(if self.begun { b",\n" } else { b"\n" })?;
        self.begun = true;
        serde_json::to_writer(&mut self.out, &object).map_err(io::Error::from)
    }
}

/// "-1.500000000" is a second and a half before 1970.
fn seconds(time: SystemTime) -> String {
    let (sign, distance) = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => ("", after),
        Err(before) => ("-", before.duration()),
    };
    format!(
        "{sign}{}.{:09}",
        distance.as_secs(),
        distance.subsec_nanos()
    )
}

fn device(metadata: &Metadata) -> Option<(u32, u32)> {
    let kind = metadata.file_type();
    let is_device = kind.is_block_device() || kind.is_char_device();
    let dev = metadata.rdev();
    is_device.then(|| (libc::major(dev), libc::minor(dev)))
}

/// The letter of ls(1), and a word.
fn kind(metadata: &Metadata) -> (char, &'static str) {
    let kind = metadata.file_type();
    match () {
        () if kind.is_dir() => ('d', "directory"),
        () if kind.is_symlink() => ('l', "symlink"),
        () if kind.is_block_device() => ('b', "block_device"),
        () if kind.is_char_device() => ('c', "char_device"),
        () if kind.is_fifo() => ('p', "fifo"),
        () if kind.is_socket() => ('s', "socket"),
        () => ('-', "file"),
    }
}

/// "drwxr-xr-x".
fn mode_string(metadata: &Metadata) -> String {
    let mode = metadata.mode();
    let mut text = String::from(kind(metadata).0);
    for (shift, special, set, plain) in [
        (6, 0o4000, 's', 'S'),
        (3, 0o2000, 's', 'S'),
        (0, 0o1000, 't', 'T'),
    ] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => set,
            (true, false) => plain,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn seconds_before_1970() {
        let before = UNIX_EPOCH - Duration::from_millis(1500);
        assert_eq!(seconds(before), "-1.500000000");
        assert_eq!(seconds(UNIX_EPOCH + Duration::from_nanos(1)), "0.000000001");
    }
}
