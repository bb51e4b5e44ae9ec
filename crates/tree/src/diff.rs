//! [`diff`]: what differs between two trees of files, on the host or in images.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::copy::event::{Kind, Stat};
use crate::copy::host::HostDir;
use crate::copy::image::ImageDir;
use crate::copy::traits::{SourceDir, SourceFile, Xattrs};
use crate::{Interrupt, Location, Outcome, Progress, Result};

/// Bytes of both files that are compared at once.
const PIECE: usize = 256 << 10;

/// An attribute that differs, before and after, in text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// "type", "mode", "uid", "gid", "size", "mtime", "device", "target", "content", or
    /// "xattr NAME".
    pub name: String,
    /// Its value in the first tree; empty for content, and where there is none.
    pub before: String,
    /// Its value in the second tree.
    pub after: String,
}

/// How a file differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Only the second tree has it.
    Added,
    /// Only the first tree has it.
    Removed,
    /// Both have it, with these differences.
    Changed(Vec<Field>),
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its path in the trees, from `/` on.
    pub path: PathBuf,
    /// How it differs.
    pub change: Change,
}

/// What is not compared.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiffOptions {
    /// Times of modification.
    pub ignore_times: bool,
    /// Owners and groups.
    pub ignore_owners: bool,
    /// Extended attributes, and with them ACLs, labels and capabilities.
    pub ignore_xattrs: bool,
}

/// Compares the directories `before` and `after`, and calls `found` for each file that
/// differs, in the order of their paths. Sizes of directories are not compared.
///
/// # Errors
///
/// Those of `found`, one of the directories cannot be opened, `interrupt`. Other files
/// that cannot be read are told to `progress`, and counted.
pub fn diff(
    before: &Location,
    after: &Location,
    options: &DiffOptions,
    interrupt: &Interrupt,
    progress: &dyn Progress,
    found: &mut dyn FnMut(Difference) -> Result<()>,
) -> Result<Outcome> {
    let mut work = Work {
        options,
        interrupt,
        progress,
        found,
        outcome: Outcome::default(),
        pieces: [vec![0; PIECE], vec![0; PIECE]],
    };
    match (before, after) {
        (Location::Host(a), Location::Host(b)) => {
            work.run(host(a, interrupt)?, host(b, interrupt)?)?;
        }
        (Location::Host(a), Location::Image(b)) => {
            work.run(host(a, interrupt)?, image(b)?)?;
        }
        (Location::Image(a), Location::Host(b)) => {
            work.run(image(a)?, host(b, interrupt)?)?;
        }
        (Location::Image(a), Location::Image(b)) => work.run(image(a)?, image(b)?)?,
    }
    Ok(work.outcome)
}

fn host(path: &Path, interrupt: &Interrupt) -> Result<HostDir> {
    HostDir::open(path, interrupt).map_err(|error| error.at(path.display().to_string()))
}

fn image(place: &crate::ImageLocation) -> Result<ImageDir> {
    ImageDir::open(&place.mount, &place.path).map_err(|error| error.at(place.shown()))
}

/// A directory of one tree or of both, and the names in it that are still to be compared.
struct Level<A, B> {
    a: Option<A>,
    b: Option<B>,
    path: PathBuf,
    /// With whether the first and the second have them; in reverse order.
    names: Vec<(OsString, bool, bool)>,
}

struct Work<'a> {
    options: &'a DiffOptions,
    interrupt: &'a Interrupt,
    progress: &'a dyn Progress,
    found: &'a mut dyn FnMut(Difference) -> Result<()>,
    outcome: Outcome,
    pieces: [Vec<u8>; 2],
}

impl<A: SourceDir, B: SourceDir> Level<A, B> {
    fn new(a: Option<A>, b: Option<B>, path: PathBuf) -> Result<Level<A, B>> {
        let (first, second) = (names(a.as_ref())?, names(b.as_ref())?);
        let all = first.union(&second);
        let both = |name: &OsString| (name.clone(), first.contains(name), second.contains(name));
        let mut names: Vec<_> = all.map(both).collect();
        names.reverse();
        Ok(Level { a, b, path, names })
    }
}

fn names<D: SourceDir>(dir: Option<&D>) -> Result<BTreeSet<OsString>> {
    let entries = dir.map_or(Ok(Vec::new()), |dir| dir.entries())?;
    Ok(entries.into_iter().map(|(name, _)| name).collect())
}

impl Work<'_> {
    fn run<A: SourceDir, B: SourceDir>(&mut self, a: A, b: B) -> Result<()> {
        let top = PathBuf::from("/");
        let mut fields = Vec::new();
        self.stats(&mut fields, &a.stat()?, &b.stat()?);
        self.xattrs(&mut fields, &a.xattrs()?, &b.xattrs()?);
        self.tell(&top, Change::Changed(fields))?;
        let mut stack = vec![Level::new(Some(a), Some(b), top)?];
        while let Some(level) = stack.last_mut() {
            self.interrupt.check("compare")?;
            let Some((name, in_a, in_b)) = level.names.pop() else {
                stack.pop();
                continue;
            };
            let path = level.path.join(&name);
            let below = self.entry(level, &name, (in_a, in_b), &path);
            match below {
                Ok(Some((a, b))) => match Level::new(a, b, path.clone()) {
                    Ok(level) => stack.push(level),
                    Err(error) => self.problem(&path, error)?,
                },
                Ok(None) => {}
                Err(error) if error.is_interrupted() || error.is_fatal() => return Err(error),
                Err(error) => self.problem(&path, error)?,
            }
        }
        Ok(())
    }

    fn problem(&mut self, path: &Path, error: crate::Error) -> Result<()> {
        if error.is_fatal() {
            return Err(error);
        }
        self.progress.error(&error.at(path.display().to_string()));
        self.outcome.errors += 1;
        Ok(())
    }

    fn tell(&mut self, path: &Path, change: Change) -> Result<()> {
        if matches!(&change, Change::Changed(fields) if fields.is_empty()) {
            return Ok(());
        }
        (self.found)(Difference {
            path: path.to_owned(),
            change,
        })
    }

    /// Compares an entry; what is to be compared beneath it.
    fn entry<A: SourceDir, B: SourceDir>(
        &mut self,
        level: &Level<A, B>,
        name: &OsStr,
        (in_a, in_b): (bool, bool),
        path: &Path,
    ) -> Result<Option<(Option<A>, Option<B>)>> {
        let a = level.a.as_ref().filter(|_| in_a);
        let b = level.b.as_ref().filter(|_| in_b);
        let stat_a = a.map(|dir| dir.stat_of(name)).transpose()?;
        let stat_b = b.map(|dir| dir.stat_of(name)).transpose()?;
        match (a.zip(stat_a.as_ref()), b.zip(stat_b.as_ref())) {
            (Some((a, stat_a)), Some((b, stat_b))) => {
                let fields = self.both(a, b, name, stat_a, stat_b)?;
                self.tell(path, Change::Changed(fields))?;
            }
            (Some(_), None) => self.tell(path, Change::Removed)?,
            (None, _) => self.tell(path, Change::Added)?,
        }
        let is_dir =
            |stat: &Option<Stat>| stat.as_ref().is_some_and(|stat| stat.kind() == Kind::Dir);
        let a = a.filter(|_| is_dir(&stat_a)).map(|dir| dir.open_dir(name));
        let b = b.filter(|_| is_dir(&stat_b)).map(|dir| dir.open_dir(name));
        let (a, b) = (a.transpose()?, b.transpose()?);
        Ok((a.is_some() || b.is_some()).then_some((a, b)))
    }

    fn both<A: SourceDir, B: SourceDir>(
        &mut self,
        a: &A,
        b: &B,
        name: &OsStr,
        stat_a: &Stat,
        stat_b: &Stat,
    ) -> Result<Vec<Field>> {
        let mut fields = Vec::new();
        self.stats(&mut fields, stat_a, stat_b);
        if stat_a.mode & libc::S_IFMT != stat_b.mode & libc::S_IFMT {
            return Ok(fields);
        }
        match stat_a.kind() {
            Kind::Symlink => {
                let (from, to) = (a.read_link(name)?, b.read_link(name)?);
                let text = |path: &Path| path.to_string_lossy().into_owned();
                if from != to {
                    fields.push(field("target", text(&from), text(&to)));
                }
            }
            Kind::File if stat_a.size != stat_b.size => {
                let (from, to) = (stat_a.size.to_string(), stat_b.size.to_string());
                fields.push(field("size", from, to));
                fields.push(field("content", String::new(), String::new()));
            }
            Kind::File
                if stat_a.size > 0 && !self.same_content(&a.open(name)?, &b.open(name)?)? =>
            {
                fields.push(field("content", String::new(), String::new()));
            }
            _ => {}
        }
        self.xattrs(&mut fields, &a.xattrs_of(name)?, &b.xattrs_of(name)?);
        Ok(fields)
    }

    fn same_content(&mut self, a: &impl SourceFile, b: &impl SourceFile) -> Result<bool> {
        loop {
            self.interrupt.check("compare")?;
            let [first, second] = &mut self.pieces;
            let (len_a, len_b) = (fill(a, first)?, fill(b, second)?);
            if first[..len_a] != second[..len_b] {
                return Ok(false);
            }
            if len_a == 0 {
                return Ok(true);
            }
        }
    }

    fn stats(&self, fields: &mut Vec<Field>, a: &Stat, b: &Stat) {
        if a.mode & libc::S_IFMT != b.mode & libc::S_IFMT {
            fields.push(field("type", kind(a.mode).into(), kind(b.mode).into()));
        }
        let mode = |stat: &Stat| format!("{:04o}", stat.mode & 0o7777);
        if mode(a) != mode(b) {
            fields.push(field("mode", mode(a), mode(b)));
        }
        if !self.options.ignore_owners {
            if a.uid != b.uid {
                fields.push(field("uid", a.uid.to_string(), b.uid.to_string()));
            }
            if a.gid != b.gid {
                fields.push(field("gid", a.gid.to_string(), b.gid.to_string()));
            }
        }
        if !self.options.ignore_times && a.modified != b.modified {
            let time =
                |stat: &Stat| format!("{}.{:09}", stat.modified.seconds, stat.modified.nanos);
            fields.push(field("mtime", time(a), time(b)));
        }
        let is_device =
            |stat: &Stat| matches!(stat.mode & libc::S_IFMT, libc::S_IFBLK | libc::S_IFCHR);
        if is_device(a) && is_device(b) && a.rdev != b.rdev {
            let device = |dev: u64| format!("{},{}", libc::major(dev), libc::minor(dev));
            fields.push(field("device", device(a.rdev), device(b.rdev)));
        }
    }

    fn xattrs(&self, fields: &mut Vec<Field>, a: &Xattrs, b: &Xattrs) {
        if self.options.ignore_xattrs {
            return;
        }
        let names: BTreeSet<&OsString> = a.iter().chain(b).map(|(name, _)| name).collect();
        for name in names {
            let value = |all: &Xattrs| {
                let found = all.iter().find(|(known, _)| known == name);
                found.map(|(_, value)| value.iter().map(|byte| format!("{byte:02x}")).collect())
            };
            let (from, to): (Option<String>, Option<String>) = (value(a), value(b));
            if from != to {
                let name = format!("xattr {}", name.to_string_lossy());
                fields.push(field(
                    &name,
                    from.unwrap_or_default(),
                    to.unwrap_or_default(),
                ));
            }
        }
    }
}

fn field(name: &str, before: String, after: String) -> Field {
    Field {
        name: name.to_owned(),
        before,
        after,
    }
}

fn kind(mode: u32) -> &'static str {
    match mode & libc::S_IFMT {
        libc::S_IFREG => "file",
        libc::S_IFDIR => "directory",
        libc::S_IFLNK => "symlink",
        libc::S_IFBLK => "block device",
        libc::S_IFCHR => "char device",
        libc::S_IFIFO => "fifo",
        _ => "socket",
    }
}

/// Reads until the piece is full or the file ends.
fn fill(file: &impl SourceFile, piece: &mut [u8]) -> Result<usize> {
    let mut len = 0;
    while len < piece.len() {
        match file.read(&mut piece[len..])? {
            0 => break,
            read => len += read,
        }
    }
    Ok(len)
}
