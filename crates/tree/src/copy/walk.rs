//! Walks the source, and sends [`Event`]s to the writing thread, so that reading and
//! writing overlap.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;

use super::LARGE;
use super::event::{Attributes, Data, Event, Kind, Stat};
use super::recycle::Taker;
use super::traits::{SourceDir, SourceFile};
use crate::error::{Error, Result};

/// How many events are sent at once, since each message may wake a thread.
const BATCH: usize = 32;
/// Bytes of contents sent at once.
const BATCH_BYTES: usize = 512 << 10;

/// Prefixes of extended attributes that have the same meaning on all filesystems. Others
/// belong to one filesystem: NTFS has its flags in some.
const KEPT: [&[u8]; 4] = [b"user.", b"trusted.", b"security.", b"system.posix_acl_"];
/// Attributes in which XFS shows ACLs a second time, in its own format.
const XFS_ACL: &[u8] = b"trusted.SGI_ACL_";

/// Whether an extended attribute is copied.
pub(super) fn is_kept(name: &OsStr) -> bool {
    let name = name.as_bytes();
    KEPT.iter().any(|space| name.starts_with(space)) && !name.starts_with(XFS_ACL)
}

/// Events that are sent together.
pub(crate) type Batch<F> = Vec<Event<F>>;

/// A source of the copy.
pub(crate) struct Root<D: SourceDir> {
    pub(crate) file: RootFile<D>,
    /// Its name in the target; empty: the target directory itself.
    pub(crate) target: OsString,
    /// Its name in errors.
    pub(crate) shown: PathBuf,
}

pub(crate) enum RootFile<D: SourceDir> {
    /// An opened file.
    File(D::File),
    Dir(D),
    /// An entry of a directory, of any type.
    Entry(D, OsString),
}

/// The receiver has ended, because of an error or an interrupt.
pub(crate) struct ReceiverGone;

type Sent<T = ()> = std::result::Result<T, ReceiverGone>;

pub(crate) struct Walker<'a, D: SourceDir> {
    /// Whether attributes and hard links are kept.
    archive: bool,
    /// Whether to leave a file out, by its path in the target.
    left_out: Box<dyn Fn(&Path) -> bool + 'a>,
    /// The prefix of paths in errors: the image and a colon.
    label: &'a str,
    sender: SyncSender<Batch<D::File>>,
    batch: Batch<D::File>,
    batch_bytes: usize,
    /// Memory of files that have been written.
    used: Taker,
    /// The first path in the target of files with several names.
    first: HashMap<(u64, u64), PathBuf>,
    /// The current path in the source.
    shown: PathBuf,
    /// The current path in the target.
    at: PathBuf,
}

/// A directory that is being walked, with its remaining entries.
struct Level<D> {
    dir: D,
    entries: std::vec::IntoIter<(OsString, Option<Kind>)>,
}

impl<'a, D: SourceDir> Walker<'a, D> {
    pub(crate) fn new(
        archive: bool,
        label: &'a str,
        sender: SyncSender<Batch<D::File>>,
        used: Taker,
    ) -> Self {
        Walker {
            archive,
            left_out: Box::new(|_| false),
            label,
            sender,
            batch: Vec::new(),
            batch_bytes: 0,
            used,
            first: HashMap::new(),
            shown: PathBuf::new(),
            at: PathBuf::new(),
        }
    }

    /// Leaves out files with everything below them. A file with several names is copied
    /// under those that are not left out.
    pub(crate) fn leaving_out(mut self, which: impl Fn(&Path) -> bool + 'a) -> Self {
        self.left_out = Box::new(which);
        self
    }

    /// Walks all sources. Hard links between them are kept.
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

    /// Walks everything below a directory, with a stack instead of recursion, since trees
    /// may be deep.
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

    /// Sends one entry. If it is a directory, it has been entered, and is returned.
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
            true => Some(read_small(&file, stat.size, self.used.take())?),
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

    /// The path in the target of a file with several names, if another of them was sent
    /// before.
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

    /// The current path in the source, for errors.
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

/// Reads a whole file whose size is known, usually with one call.
/// `bytes` is memory to use for it.
fn read_small(file: &impl SourceFile, size: u64, mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    // One byte more shows the end without another call.
    bytes.resize(size as usize + 1, 0);
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

/// Bytes of all files, for a progress bar. Unreadable files count as empty.
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

/// The size of a file. A directory is put onto the stack.
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
