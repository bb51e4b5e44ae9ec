//! `drupe ls`: lists files.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::SystemTime;

use drupe::{Metadata, Mount};
use drupe_tree::Names as Users;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::args::Ls;
use crate::context::Context;
use crate::describe::{Json, device, human, mode_string};
use crate::exit::{ExitCode, Failure};
use crate::interrupt::Signals;
use crate::json_list::JsonList;
use crate::location::{ImagePath, prefixes};
use crate::output::{Names, Report, Stdout};

struct Lister<'a, W: Write> {
    mount: Mount,
    label: String,
    /// What stands before paths: the image, if there are several.
    prefix: String,
    /// Names of users and groups; `None`: numbers are shown.
    owners: Option<(Users, Users)>,
    command: &'a Ls,
    json: Option<&'a mut JsonList>,
    names: Names,
    /// Found when first needed: that reads a directory of hundreds of files.
    zone: Option<TimeZone>,
    out: W,
    /// Something has been printed: a comma or an empty line comes first.
    begun: bool,
    report: &'a mut Report,
    signals: &'a Signals,
}

pub(crate) fn run(context: &mut Context<'_>, command: &Ls) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    let mut out = Stdout::buffered();
    let mut begun = false;
    let mut json = JsonList::new(&context.options);
    let locations = command.paths.iter().map(|argument| context.path(argument));
    let locations: Vec<ImagePath> = locations.collect::<Result<_, _>>()?;
    let prefixes = prefixes(&locations);
    for (location, prefix) in locations.into_iter().zip(prefixes) {
        let mounted = context.session.mount(&location.volume);
        let Some(mount) = report.settle(mounted)? else {
            continue;
        };
        let owners = match command.long && !command.numeric && json.is_none() {
            true => Some((Users::users(&mount)?, Users::groups(&mount)?)),
            false => None,
        };
        let mut lister = Lister {
            mount,
            owners,
            prefix,
            label: location.volume.label(),
            command,
            json: json.as_mut(),
            names: Names::for_stdout(),
            zone: None,
            out: &mut out,
            begun,
            report: &mut report,
            signals: &context.signals,
        };
        lister.argument(&location.path)?;
        begun = lister.begun;
    }
    if let Some(json) = json {
        json.finish(&mut out)?;
    }
    out.flush()?;
    context.check()?;
    Ok(report.code())
}

impl<W: Write> Lister<'_, W> {
    /// One argument: a directory's entries, or a file itself. Errors returned
    /// are those of the output.
    fn argument(&mut self, path: &Path) -> io::Result<()> {
        let metadata = match self.mount.symlink_metadata(path) {
            // A link to a directory is listed as that, unless -l asks about links.
            Ok(link) if link.is_symlink() && !self.is_long() && !self.command.directory => {
                self.mount.metadata(path).or(Ok(link))
            }
            result => result,
        };
        match metadata {
            Ok(metadata) if metadata.is_dir() && !self.command.directory => self.tree(path),
            Ok(metadata) => self.file(path, &self.shown(path), Some(&metadata)),
            Err(error) => {
                self.failed(&error);
                Ok(())
            }
        }
    }

    /// A path as it is shown: with its image if there are several.
    fn shown(&self, path: &Path) -> OsString {
        let mut shown = OsString::from(&self.prefix);
        shown.push(path);
        shown
    }

    fn failed(&mut self, error: &drupe::Error) {
        self.report.error(&format!("{}: {error}", self.label));
    }

    /// A directory, and those in it with -R. A stack, since trees may be deep.
    fn tree(&mut self, top: &Path) -> io::Result<()> {
        let heads = self.command.recursive || self.command.paths.len() > 1;
        let mut stack = vec![top.to_owned()];
        while let Some(dir) = stack.pop() {
            if self.signals.requested() {
                break;
            }
            let mut entries = match self.entries(&dir) {
                Ok(entries) => entries,
                Err(error) => {
                    self.failed(&error);
                    continue;
                }
            };
            entries.sort();
            if heads && self.json.is_none() {
                if self.begun {
                    writeln!(self.out)?;
                }
                self.out.write_all(&self.names.show(&self.shown(&dir)))?;
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

    fn is_long(&self) -> bool {
        self.command.long || self.command.numeric
    }

    /// Only names are shown.
    fn is_brief(&self) -> bool {
        !self.is_long() && !self.command.inode && self.json.is_none()
    }

    fn entry(&mut self, path: &Path, name: &OsStr) -> io::Result<()> {
        if self.is_brief() {
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
        if let (Some(metadata), Some(json)) = (metadata, &mut self.json) {
            return json.push(&mut self.out, &Json::new(path, metadata, &self.mount));
        }
        let target = match metadata {
            Some(metadata) if metadata.is_symlink() => self.mount.read_link(path).ok(),
            _ => None,
        };
        if let Some(metadata) = metadata {
            if self.command.inode {
                write!(self.out, "{:>7} ", metadata.ino())?;
            }
            if self.is_long() {
                self.details(metadata)?;
            }
        }
        self.out.write_all(&self.names.show(name))?;
        if let Some(target) = target.filter(|_| self.is_long()) {
            self.out.write_all(b" -> ")?;
            self.out.write_all(&self.names.show(target.as_os_str()))?;
        }
        self.begun = true;
        writeln!(self.out)
    }

    fn details(&mut self, metadata: &Metadata) -> io::Result<()> {
        let size = match device(metadata) {
            Some((major, minor)) => format!("{major}, {minor}"),
            None if self.command.human => human(metadata.len()),
            None => metadata.len().to_string(),
        };
        let time = metadata.modified().ok().and_then(|time| self.time(time));
        let (user, group) = match &self.owners {
            Some((users, groups)) => (users.name(metadata.uid()), groups.name(metadata.gid())),
            None => (metadata.uid().to_string(), metadata.gid().to_string()),
        };
        write!(
            self.out,
            "{} {:>3} {user:<8} {group:<8} {size:>10} {} ",
            mode_string(metadata),
            metadata.nlink(),
            time.as_deref().unwrap_or("?               "),
        )
    }

    fn time(&mut self, time: SystemTime) -> Option<String> {
        let zone = self.zone.get_or_insert_with(TimeZone::system).clone();
        let time = Timestamp::try_from(time).ok()?.to_zoned(zone);
        Some(time.strftime("%Y-%m-%d %H:%M").to_string())
    }
}
