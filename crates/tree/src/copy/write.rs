//! Makes files in the target from the walker's [`Event`]s.

mod node;

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use drupe::Errno;

use super::data::{self, DataError, End, Extent};
use super::event::{Attributes, Data, Event, Kind, Stat};
use super::job::Job;
use super::keep::{self, Origin};
use super::recycle::Giver;
use super::replace::{self, Made};
use super::traits::{Entry, SourceFile, TargetDir, TargetFile, World};
use super::walk::{Batch, is_kept};
use crate::error::{Error, Result};
use crate::unwritten::Unwritten;
use node::Node;

/// Files larger than this are read and written by a thread each.
const OVERLAP: u64 = 4 << 20;
/// Of a name that two sources have in the target, where case may not count.
const JUST_MADE: &str = "another source has just been copied to this name";
/// Bytes of a stream copied at once.
const CHUNK: usize = 256 << 10;

/// A directory being filled.
struct Level<D> {
    dir: D,
    attributes: Attributes,
    origin: Origin,
    /// The owners of new files in it.
    owners_of_new: Option<(u32, u32)>,
    /// Names made in it, in lower case, if it was there before.
    names: RefCell<HashSet<String>>,
}

pub(super) struct Writer<'a, 'b, D: TargetDir> {
    job: &'a mut Job<'b>,
    base: D,
    owners_of_new: Option<(u32, u32)>,
    /// The name of the base in errors: the image, a colon, a path.
    shown: &'a Path,
    /// The side of the sources. Only files of the same side can be compared.
    source: World,
    stack: Vec<Level<D>>,
    /// The current path from the base.
    at: PathBuf,
    /// The current depth in a directory that could not be entered.
    skipping: usize,
    unwritten: Unwritten,
    /// Names made in the directory that is copied into, in lower case.
    top: RefCell<HashSet<String>>,
    /// Takes the memory of files that are written.
    used: Giver,
}

impl<'a, 'b, D: TargetDir> Writer<'a, 'b, D> {
    pub(super) fn new(
        job: &'a mut Job<'b>,
        base: D,
        shown: &'a Path,
        source: World,
        used: Giver,
    ) -> Result<Self> {
        if job.keep.overrides.epoch.is_some() {
            base.write_back_late()?;
        }
        Ok(Writer {
            owners_of_new: base.owners_of_new()?,
            job,
            base,
            shown,
            source,
            used,
            stack: Vec::new(),
            top: RefCell::default(),
            at: PathBuf::new(),
            skipping: 0,
            unwritten: Unwritten::default(),
        })
    }

    /// Handles all events.
    pub(super) fn run<F: SourceFile>(
        mut self,
        batches: impl IntoIterator<Item = Batch<F>>,
    ) -> Result<()> {
        for event in batches.into_iter().flatten() {
            if self.job.interrupt.requested() {
                return Err(Error::interrupted("copy"));
            }
            self.event(event)?;
        }
        Ok(())
    }

    fn event<F: SourceFile>(&mut self, mut event: Event<F>) -> Result<()> {
        if let Some(attributes) = event.attributes_mut() {
            self.job.keep.adjust(attributes);
        }
        if self.job.progress.wants_names()
            && self.skipping == 0
            && let Some(name) = event.name()
        {
            let path = self.shown.join(&self.at).join(name);
            self.job.progress.name(&path.to_string_lossy());
        }
        match event {
            Event::Error(error) => self.job.report(&error),
            Event::Enter { .. } if self.skipping > 0 => self.skipping += 1,
            Event::Leave if self.skipping > 0 => self.skipping -= 1,
            _ if self.skipping > 0 => {}
            Event::Enter { name, attributes } => {
                self.at.push(&name);
                if let Err(failed) = self.enter(&name, attributes) {
                    self.failure(failed)?;
                    self.skipping = 1;
                    self.at.pop();
                }
            }
            Event::Leave => {
                let left = self.leave();
                self.settle(left)?;
                self.at.pop();
            }
            Event::File {
                name,
                attributes,
                data,
            } => {
                self.at.push(&name);
                self.file(&name, &attributes, data)?;
                self.at.pop();
                self.job.progress.file();
            }
            Event::Link { name, first } => self.entry(&name, |writer| {
                let link = |name: &OsStr| {
                    let second = writer.at.with_file_name(name);
                    writer.base.link(&first, &second)
                };
                let Some((made, ())) = writer.make(&name, None, link)? else {
                    return Ok(());
                };
                writer.commit(&made, &name)?;
                if made.instead_of.is_some() {
                    // Both were names of one file: rename(2) leaves them then.
                    replace::abandon(writer.dir(), &made);
                }
                Ok(())
            })?,
            Event::Symlink {
                name,
                target,
                attributes,
            } => self.entry(&name, |writer| {
                let dir = writer.dir();
                let symlink = |name: &OsStr| dir.symlink(&target, name);
                let made = writer.make(&name, Some(&attributes.stat), symlink)?;
                writer.finish_entry(made, &name, &attributes, 0o777, false)
            })?,
            Event::Node { name, attributes } => self.entry(&name, |writer| {
                let (dir, stat) = (writer.dir(), &attributes.stat);
                let mode = writer.job.keep.mode(&attributes);
                let node = stat.mode & libc::S_IFMT | mode;
                if writer.is_there(&name, stat) {
                    // Such as /dev/null of the host: it stays that very node.
                    let made = (Made::before(&name), ());
                    return writer.finish_entry(Some(made), &name, &attributes, mode, true);
                }
                let mknod = |name: &OsStr| dir.mknod(name, node, stat.rdev);
                let made = writer.make(&name, Some(stat), mknod)?;
                writer.finish_entry(made, &name, &attributes, mode, true)
            })?,
        }
        Ok(())
    }

    /// Does one step for the entry `name`, whose errors name it.
    fn entry(&mut self, name: &OsStr, step: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.at.push(name);
        let done = step(self);
        self.settle(done)?;
        self.at.pop();
        Ok(())
    }

    fn dir(&self) -> &D {
        self.stack.last().map_or(&self.base, |level| &level.dir)
    }

    /// The owners of new files in the current directory, if they are known.
    fn owners_of_new(&self) -> Option<(u32, u32)> {
        self.stack
            .last()
            .map_or(self.owners_of_new, |level| level.owners_of_new)
    }

    fn enter(&mut self, name: &OsStr, attributes: Attributes) -> Result<()> {
        let parent = self.dir();
        let owners_of_new = self.owners_of_new();
        // We must be able to fill it.
        let mode = self.job.keep.mode(&attributes) | 0o700;
        let (dir, made) = if name.is_empty() {
            (parent.again()?, false)
        } else {
            match parent.create_dir(name, mode) {
                Ok(()) => (parent.open_dir(name)?, true),
                Err(failed) if failed.errno() == Some(Errno::EXIST) => {
                    if self.is_new() {
                        return Err(Error::new("create directory", JUST_MADE));
                    }
                    if parent.stat_of(name)?.kind() != Kind::Dir {
                        let cause = "it exists and is not a directory";
                        return Err(Error::new("create directory", cause));
                    }
                    (parent.open_dir(name)?, false)
                }
                Err(failed) => return Err(failed),
            }
        };
        self.stack.push(Level {
            names: RefCell::default(),
            owners_of_new: if made {
                owners_of_new
            } else {
                dir.owners_of_new()?
            },
            origin: match made {
                true => Origin::Made {
                    mode,
                    owners_of_new,
                },
                false => Origin::Existed,
            },
            dir,
            attributes,
        });
        Ok(())
    }

    /// Sets a directory's attributes, after its entries, since filling it changes its
    /// times.
    fn leave(&mut self) -> Result<()> {
        let Some(level) = self.stack.pop() else {
            return Ok(());
        };
        let keep = self.job.keep;
        if let (false, Origin::Made { mode, .. }) = (keep.archive, level.origin) {
            let overrides = keep.mode(&level.attributes);
            if overrides != mode {
                level.dir.chmod(overrides)?;
            }
        }
        let refused = &mut self.job.refused;
        keep.apply(&level.dir, &level.attributes, level.origin, true, refused);
        self.tell_of_attributes();
        Ok(())
    }

    /// Reports the errors of setting the current file's attributes.
    fn tell_of_attributes(&mut self) {
        let shown = || self.shown.join(&self.at).display().to_string();
        for problem in self.job.refused.take_failed(shown) {
            self.job.report(&problem);
        }
    }

    /// Sets the attributes of a new file, and gives it its final name.
    fn finish_entry(
        &mut self,
        made: Option<(Made, ())>,
        name: &OsStr,
        attributes: &Attributes,
        mode: u32,
        has_mode: bool,
    ) -> Result<()> {
        let Some((made, ())) = made else {
            return Ok(());
        };
        let owners_of_new = self.owners_of_new();
        let dir = self.stack.last().map_or(&self.base, |level| &level.dir);
        let entry = Entry {
            dir,
            name: &made.name,
        };
        let origin = match made.existed {
            true => Origin::Existed,
            false => Origin::Made {
                mode,
                owners_of_new,
            },
        };
        let refused = &mut self.job.refused;
        self.job
            .keep
            .apply(&entry, attributes, origin, has_mode, refused);
        self.tell_of_attributes();
        self.commit(&made, name)
    }

    /// Makes a file in the current directory; if the name is taken, under a temporary
    /// name. `None`: the existing file is to stay.
    fn make<T>(
        &self,
        name: &OsStr,
        source: Option<&Stat>,
        make: impl Fn(&OsStr) -> Result<T>,
    ) -> Result<Option<(Made, T)>> {
        let dir = self.dir();
        let is_own = self.is_new() || !self.remember(name);
        let allows = |found: &Stat| {
            if is_own {
                return Err(Error::new("copy", JUST_MADE));
            }
            let is_same = source.is_some_and(|source| {
                self.source == D::WORLD && (source.dev, source.ino) == (found.dev, found.ino)
            });
            if is_same {
                return Err(Error::new("copy", "they are the same file"));
            }
            let shown = self.shown.join(&self.at).display().to_string();
            self.job.replacing.allows(dir, name, found, &shown)
        };
        replace::make(dir, name, allows, make)
    }

    /// Remembers a name in a directory that was there before this copy. `false`: this copy
    /// has made it already, maybe in other case.
    fn remember(&self, name: &OsStr) -> bool {
        let names = self.stack.last().map_or(&self.top, |level| &level.names);
        let folded = name.to_string_lossy().to_lowercase();
        names.borrow_mut().insert(folded)
    }

    fn commit(&self, made: &Made, name: &OsStr) -> Result<()> {
        replace::commit(self.dir(), made, name, self.job.replacing.backup.as_ref())
    }

    /// Whether the target already has this device, FIFO or socket.
    fn is_there(&self, name: &OsStr, overrides: &Stat) -> bool {
        D::WORLD == World::Host
            && self.dir().stat_of(name).is_ok_and(|found| {
                let kind = |stat: &Stat| (stat.mode & libc::S_IFMT, stat.rdev);
                kind(&found) == kind(overrides)
            })
    }

    /// Whether this copy has made the current directory, so that it has no other files.
    fn is_new(&self) -> bool {
        let level = self.stack.last();
        level.is_some_and(|level| matches!(level.origin, Origin::Made { .. }))
    }

    /// Gives a replacement the owners and permissions of the existing file, without `-a`.
    fn inherit(&mut self, file: &D::File, name: &OsStr) -> Result<()> {
        let dir = self.stack.last().map_or(&self.base, |level| &level.dir);
        let attributes = Attributes {
            stat: dir.stat_of(name)?,
            xattrs: dir.xattrs_of(name)?,
        };
        let is_kept = |(name, _): &(OsString, _)| is_kept(name) && name != "security.capability";
        keep::inherit(
            file,
            &Attributes {
                xattrs: attributes.xattrs.into_iter().filter(is_kept).collect(),
                ..attributes
            },
            &mut self.job.refused,
        );
        Ok(())
    }

    fn file<F: SourceFile>(
        &mut self,
        name: &OsStr,
        attributes: &Attributes,
        data: Data<F>,
    ) -> Result<()> {
        let mode = self.job.keep.mode(attributes);
        let made = match self.dir().create(name, mode) {
            // Only a name that is taken can be that of a device or a FIFO.
            Err(taken) if taken.errno() == Some(Errno::EXIST) => {
                match self.open_node(name) {
                    Ok(Node::None) => {}
                    Ok(Node::Open(file)) => return self.write_into(file, attributes, data),
                    Ok(Node::Kept) => return Ok(()),
                    Err(failed) => return self.failure(failed),
                }
                if self.job.interrupt.requested() {
                    return Err(Error::interrupted("copy"));
                }
                let create = |name: &OsStr| self.dir().create(name, mode);
                self.make(name, Some(&attributes.stat), create)
            }
            Ok(file) => {
                if !self.is_new() {
                    self.remember(name);
                }
                Ok(Some((Made::at(name), file)))
            }
            Err(failed) => Err(failed),
        };
        let (made, file) = match made {
            Ok(Some(made)) => made,
            Ok(None) => return Ok(()),
            Err(failed) => return self.failure(failed),
        };
        let filled = self.fill(&file, attributes, data).and_then(|end| {
            self.finish(&file, &made, name, attributes)
                .map_err(|failed| self.name(failed))?;
            Ok(end)
        });
        let closed = file.close().map_err(|failed| self.name(failed));
        let filled = filled.and_then(|end| closed.map(|()| end));
        // An empty file is something to write too.
        let bytes = attributes.stat.size + 4096;
        if self.job.keep.overrides.epoch.is_some() && self.unwritten.add(bytes) {
            let settled = self.dir().settle();
            self.settle(settled)?;
        }
        if !matches!(filled, Ok(End::Complete)) {
            // Half a file is worse than none.
            replace::abandon(self.dir(), &made);
        }
        match filled {
            Ok(End::Complete) => {
                let committed = self.commit(&made, name);
                self.settle(committed)
            }
            Ok(End::Stopped) => Err(Error::interrupted("copy")),
            Err(problem) => self.problem(problem),
        }
    }

    /// Sets the attributes of a file whose contents are complete.
    fn finish(
        &mut self,
        file: &D::File,
        made: &Made,
        name: &OsStr,
        attributes: &Attributes,
    ) -> Result<()> {
        let keep = self.job.keep;
        let mode = keep.mode(attributes);
        let mut origin = Origin::Made {
            mode,
            owners_of_new: self.owners_of_new(),
        };
        if !keep.archive && made.instead_of == Some(Kind::File) {
            self.inherit(file, name)?;
            origin = Origin::Existed;
        }
        let refused = &mut self.job.refused;
        keep.apply(file, attributes, origin, true, refused);
        self.tell_of_attributes();
        Ok(())
    }

    /// Writes into a device or FIFO, whose attributes are not changed.
    fn write_into<F: SourceFile>(
        &mut self,
        file: D::File,
        attributes: &Attributes,
        data: Data<F>,
    ) -> Result<()> {
        let data = match data {
            // From the beginning to the end.
            Data::Large(source, shown) => Data::Stream(source, shown),
            data => data,
        };
        let filled = self.fill(&file, attributes, data);
        let closed = file.close().map_err(|failed| self.name(failed));
        match filled.and_then(|end| closed.map(|()| end)) {
            Ok(End::Complete) => Ok(()),
            Ok(End::Stopped) => Err(Error::interrupted("copy")),
            Err(problem) => self.problem(problem),
        }
    }

    fn fill<F: SourceFile>(
        &mut self,
        file: &D::File,
        attributes: &Attributes,
        data: Data<F>,
    ) -> Result<End> {
        match data {
            Data::Small(bytes) => {
                if !bytes.is_empty() {
                    match file.write_all(&bytes) {
                        Err(_) if self.job.interrupt.requested() => return Ok(End::Stopped),
                        written => written.map_err(|failed| self.name(failed))?,
                    }
                }
                self.job.progress.bytes(bytes.len() as u64);
                self.used.give(bytes);
                Ok(End::Complete)
            }
            Data::Large(source, shown) => {
                let stat = &attributes.stat;
                let count = if stat.size > OVERLAP { 2 } else { 1 };
                let mut buffers = self
                    .job
                    .take_buffers(count)
                    .map_err(|failed| self.name(failed))?;
                let (interrupt, progress) = (self.job.interrupt, &self.job.progress);
                let proceed = |bytes| {
                    progress.bytes(bytes);
                    !interrupt.requested()
                };
                let extent = Extent {
                    size: stat.size,
                    sparse: stat.is_sparse(),
                };
                let end = data::copy(&source, file, extent, &mut buffers, proceed);
                self.job.buffers.append(&mut buffers);
                end.map_err(|side| match side {
                    DataError::Source(failed) => failed.at(shown),
                    DataError::Target(failed) => self.name(failed),
                })
            }
            Data::Stream(source, shown) => {
                let mut chunk = vec![0; CHUNK];
                loop {
                    if self.job.interrupt.requested() {
                        return Ok(End::Stopped);
                    }
                    let len = match source.read(&mut chunk) {
                        Ok(0) => return Ok(End::Complete),
                        Ok(len) => len,
                        Err(_) if self.job.interrupt.requested() => return Ok(End::Stopped),
                        Err(failed) => return Err(failed.at(shown)),
                    };
                    match file.write_all(&chunk[..len]) {
                        Err(_) if self.job.interrupt.requested() => return Ok(End::Stopped),
                        written => written.map_err(|failed| self.name(failed))?,
                    }
                    self.job.progress.bytes(len as u64);
                }
            }
        }
    }

    /// Adds the current path to an error.
    fn name(&self, failed: Error) -> Error {
        failed.at(self.shown.join(&self.at).display().to_string())
    }

    fn settle(&mut self, result: Result<()>) -> Result<()> {
        result.or_else(|failed| self.failure(failed))
    }

    fn failure(&mut self, failed: Error) -> Result<()> {
        let problem = self.name(failed);
        self.problem(problem)
    }

    fn problem(&mut self, problem: Error) -> Result<()> {
        match problem.is_fatal() {
            true => Err(problem),
            false => {
                self.job.report(&problem);
                Ok(())
            }
        }
    }
}
