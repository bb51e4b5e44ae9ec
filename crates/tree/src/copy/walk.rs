//! Walks the source and tells what it finds, in [`Event`]s, to another thread:
//! what the two sides wait for overlaps.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;

use super::LARGE;
use super::event::{Attributes, Data, Event, Kind, Stat};
use super::traits::{SourceDir, SourceFile};
use crate::error::{Error, Result};

/// Events sent at once: a message may wake a thread.
const BATCH: usize = 32;
/// Bytes of contents sent at once.
const BATCH_BYTES: usize = 512 << 10;

/// Extended attributes that mean the same everywhere. Others are a filesystem's
/// own view of something: NTFS keeps its flags in some.
const KEPT: [&[u8]; 4] = [b"user.", b"trusted.", b"security.", b"system.posix_acl_"];
/// What XFS shows of an ACL a second time, in its own format.
const XFS_ACL: &[u8] = b"trusted.SGI_ACL_";

/// Whether an extended attribute is copied.
pub(super) fn is_kept(name: &OsStr) -> bool {
    let name = name.as_bytes();
    KEPT.iter().any(|space| name.starts_with(space)) && !name.starts_with(XFS_ACL)
}

/// Events on their way.
pub(crate) type Batch<F> = Vec<Event<F>>;

/// Something to copy.
pub(crate) struct Root<D: SourceDir> {
    pub(crate) file: RootFile<D>,
    /// Its name in the target; empty: the directory copied into.
    pub(crate) target: OsString,
    /// As problems name it.
    pub(crate) shown: PathBuf,
}

pub(crate) enum RootFile<D: SourceDir> {
    /// A file that was named, through symbolic links or not.
    File(D::File),
    Dir(D),
    /// An entry of a directory, of any type.
    Entry(D, OsString),
}

/// The receiver has gone: it has had enough.
pub(crate) struct ReceiverGone;

type Sent<T = ()> = std::result::Result<T, ReceiverGone>;

pub(crate) struct Walker<'a, D: SourceDir> {
    /// Attributes and hard links are kept.
    archive: bool,
    /// Whether something is left out, by its path in the target.
    left_out: Box<dyn Fn(&Path) -> bool + 'a>,
    /// In front of paths in problems: the image and a colon.
    label: &'a str,
    sender: SyncSender<Batch<D::File>>,
    batch: Batch<D::File>,
    batch_bytes: usize,
    /// Where files with several names went first.
    first: HashMap<(u64, u64), PathBuf>,
    /// Of the source.
    shown: PathBuf,
    /// In the target, from where the copy started.
    at: PathBuf,
}

/// A directory being walked: it, and what is still to do.
struct Level<D> {
    dir: D,
    entries: std::vec::IntoIter<(OsString, Option<Kind>)>,
}

impl<'a, D: SourceDir> Walker<'a, D> {
    pub(crate) fn new(archive: bool, label: &'a str, sender: SyncSender<Batch<D::File>>) -> Self {
        Walker {
            archive,
            left_out: Box::new(|_| false),
            label,
            sender,
            batch: Vec::new(),
            batch_bytes: 0,
            first: HashMap::new(),
            shown: PathBuf::new(),
            at: PathBuf::new(),
        }
    }

    /// Leaves out some, with all that is below; a file with several names is there if
    /// one of them is.
    pub(crate) fn leaving_out(mut self, which: impl Fn(&Path) -> bool + 'a) -> Self {
        self.left_out = Box::new(which);
        self
    }

    /// Walks all of them; hard links are kept among them.
    pub(crate) fn run(&mut self, roots: Vec<Root<D>>) -> Sent {
        for root in roots {
            self.root(root)?;
        }
        self.flush()
    }

    fn root(&mut self, root: Root<D>) -> Sent {
        let Root {
            file,
            target,
            shown,
        } = root;
        self.shown = shown;
        self.at = PathBuf::from(&target);
        if (self.left_out)(&self.at) {
            return Ok(());
        }
        let level = match file {
            RootFile::File(file) => {
                let event = self.opened(file, &target);
                self.tell_or_fail(event)?;
                None
            }
            RootFile::Dir(dir) => self.enter(Ok(dir), &target)?,
            RootFile::Entry(dir, name) => self.entry(&dir, &name, &target, None)?,
        };
        level.map_or(Ok(()), |level| self.below(level))
    }

    /// All that is below a directory: a stack, since trees may be deep.
    fn below(&mut self, top: Level<D>) -> Sent {
        let mut stack = vec![top];
        while let Some(level) = stack.last_mut() {
            let Some((name, kind)) = level.entries.next() else {
                self.tell(Event::Leave)?;
                stack.pop();
                if !stack.is_empty() {
                    self.shown.pop();
                    self.at.pop();
                }
                continue;
            };
            self.shown.push(&name);
            self.at.push(&name);
            if (self.left_out)(&self.at) {
                self.shown.pop();
                self.at.pop();
                continue;
            }
            match self.entry(&level.dir, &name, &name, kind)? {
                Some(level) => stack.push(level),
                None => {
                    self.shown.pop();
                    self.at.pop();
                }
            }
        }
        Ok(())
    }

    /// One entry. A directory has been entered when it is returned.
    fn entry(
        &mut self,
        dir: &D,
        name: &OsStr,
        target: &OsStr,
        kind: Option<Kind>,
    ) -> Sent<Option<Level<D>>> {
        let kind = match kind.map_or_else(|| dir.stat_of(name).map(|stat| stat.kind()), Ok) {
            Ok(kind) => kind,
            Err(failed) => return self.problem(failed).map(|()| None),
        };
        let event = match kind {
            Kind::Dir => return self.enter(dir.open_dir(name), target),
            Kind::File => self.file(dir, name, target),
            Kind::Symlink => self.symlink(dir, name, target),
            Kind::Node => self.node(dir, name, target),
        };
        self.tell_or_fail(event)?;
        Ok(None)
    }

    fn tell_or_fail(&mut self, event: Result<Event<D::File>>) -> Sent {
        match event {
            Ok(event) => self.tell(event),
            Err(failed) => self.problem(failed),
        }
    }

    fn enter(&mut self, dir: Result<D>, target: &OsStr) -> Sent<Option<Level<D>>> {
        let read = || {
            let dir = dir?;
            let mut entries = dir.entries()?;
            // The same tree makes the same image.
            entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            let attributes = self.attributes(dir.stat()?, || dir.xattrs())?;
            Ok((dir, entries, attributes))
        };
        match read() {
            Ok((dir, entries, attributes)) => {
                let name = target.to_owned();
                self.tell(Event::Enter { name, attributes })?;
                let entries = entries.into_iter();
                Ok(Some(Level { dir, entries }))
            }
            Err(failed) => self.problem(failed).map(|()| None),
        }
    }

    fn attributes(
        &self,
        stat: Stat,
        xattrs: impl FnOnce() -> Result<super::traits::Xattrs>,
    ) -> Result<Attributes> {
        let mut xattrs = match self.archive {
            true => xattrs()?,
            false => Vec::new(),
        };
        xattrs.retain(|(name, _)| is_kept(name));
        Ok(Attributes { stat, xattrs })
    }

    fn file(&mut self, dir: &D, name: &OsStr, target: &OsStr) -> Result<Event<D::File>> {
        self.opened(dir.open(name)?, target)
    }

    fn opened(&mut self, file: D::File, target: &OsStr) -> Result<Event<D::File>> {
        let stat = file.stat()?;
        if stat.kind() == Kind::Dir {
            let cause = "it is a directory, and neither -r nor -a was given";
            return Err(Error::new("copy", cause));
        }
        if let Some(first) = self.seen(&stat) {
            let name = target.to_owned();
            return Ok(Event::Link { name, first });
        }
        let is_file = stat.kind() == Kind::File && !file.is_stream();
        let small = match is_file && stat.size < LARGE && !stat.is_sparse() {
            true => Some(read_small(&file, stat.size)?),
            false => None,
        };
        let attributes = self.attributes(stat, || file.xattrs())?;
        let data = match small {
            Some(bytes) => Data::Small(bytes),
            None if is_file => Data::Large(file, self.show()),
            None => Data::Stream(file, self.show()),
        };
        let name = target.to_owned();
        Ok(Event::File {
            name,
            attributes,
            data,
        })
    }

    fn symlink(&mut self, dir: &D, name: &OsStr, target: &OsStr) -> Result<Event<D::File>> {
        let stat = dir.stat_of(name)?;
        if let Some(first) = self.seen(&stat) {
            let name = target.to_owned();
            return Ok(Event::Link { name, first });
        }
        Ok(Event::Symlink {
            name: target.to_owned(),
            target: dir.read_link(name)?,
            attributes: self.attributes(stat, || dir.xattrs_of(name))?,
        })
    }

    fn node(&mut self, dir: &D, name: &OsStr, target: &OsStr) -> Result<Event<D::File>> {
        let stat = dir.stat_of(name)?;
        if let Some(first) = self.seen(&stat) {
            let name = target.to_owned();
            return Ok(Event::Link { name, first });
        }
        Ok(Event::Node {
            name: target.to_owned(),
            attributes: self.attributes(stat, || dir.xattrs_of(name))?,
        })
    }

    /// Where a file with several names went, if one of them came by already.
    fn seen(&mut self, stat: &Stat) -> Option<PathBuf> {
        if !self.archive || stat.nlink < 2 {
            return None;
        }
        use std::collections::hash_map::Entry;
        match self.first.entry((stat.dev, stat.ino)) {
            Entry::Occupied(first) => Some(first.get().clone()),
            Entry::Vacant(vacant) => {
                vacant.insert(self.at.clone());
                None
            }
        }
    }

    fn problem(&mut self, failed: Error) -> Sent {
        let problem = failed.at(self.show());
        self.tell(Event::Error(problem))
    }

    /// Where we are in the source.
    fn show(&self) -> String {
        format!("{}{}", self.label, self.shown.display())
    }

    fn tell(&mut self, event: Event<D::File>) -> Sent {
        if let Event::File {
            data: Data::Small(bytes),
            ..
        } = &event
        {
            self.batch_bytes += bytes.len();
        }
        self.batch.push(event);
        if self.batch.len() >= BATCH || self.batch_bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Sent {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        self.sender.send(batch).map_err(|_| ReceiverGone)
    }
}

/// All of a file whose size is known, in one call if nobody writes to it.
fn read_small(file: &impl SourceFile, size: u64) -> Result<Vec<u8>> {
    // One byte more shows the end without another call.
    let mut bytes = vec![0; size as usize + 1];
    let mut filled = 0;
    loop {
        let len = file.read(&mut bytes[filled..])?;
        filled += len;
        let short = filled < bytes.len();
        if len == 0 || (short && filled == size as usize) {
            break;
        }
        if !short {
            // It has grown.
            bytes.resize(bytes.len() * 2, 0);
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Bytes of all files, for a progress bar; what can't be read counts nothing.
pub(crate) fn measure<D: SourceDir>(roots: &[Root<D>]) -> u64 {
    let mut total = 0;
    let mut stack = Vec::new();
    for root in roots {
        match &root.file {
            RootFile::File(file) => total += file.stat().map_or(0, |stat| stat.size),
            RootFile::Dir(dir) => total += measure_dir(dir, &mut stack),
            RootFile::Entry(dir, name) => total += measure_entry(dir, name, None, &mut stack),
        }
        while let Some(dir) = stack.pop() {
            total += measure_dir(&dir, &mut stack);
        }
    }
    total
}

fn measure_dir<D: SourceDir>(dir: &D, below: &mut Vec<D>) -> u64 {
    let entries = dir.entries().unwrap_or_default();
    let sizes = entries
        .iter()
        .map(|(name, kind)| measure_entry(dir, name, *kind, below));
    sizes.sum()
}

/// The size of a file; a directory goes onto the stack.
fn measure_entry<D: SourceDir>(
    dir: &D,
    name: &OsStr,
    kind: Option<Kind>,
    below: &mut Vec<D>,
) -> u64 {
    let stat = match kind {
        Some(Kind::Symlink | Kind::Node) => return 0,
        Some(Kind::Dir) => None,
        Some(Kind::File) | None => dir.stat_of(name).ok(),
    };
    match stat {
        Some(stat) if stat.kind() == Kind::File => stat.size,
        Some(stat) if stat.kind() != Kind::Dir => 0,
        _ => {
            below.extend(dir.open_dir(name));
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_kept;
    use std::ffi::OsStr;

    #[test]
    fn what_means_the_same_everywhere_is_kept() {
        for (name, kept) in [
            ("user.mime_type", true),
            ("security.capability", true),
            ("system.posix_acl_default", true),
            ("trusted.overlay.opaque", true),
            ("trusted.SGI_ACL_FILE", false),
            ("system.ntfs_attrib", false),
        ] {
            assert_eq!(is_kept(OsStr::new(name)), kept, "{name}");
        }
    }
}
