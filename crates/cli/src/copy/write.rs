//! Makes in the target what the walker tells of the source.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use drupe::{Buffer, Errno, Kernel};

use super::data::{self, End, Extent, Side};
use super::event::{Attributes, Data, Event, Kind};
use super::keep::{Keep, Origin, Refused};
use super::problem::{Failed, Problem, Result};
use super::progress::Progress;
use super::side::{Entry, SourceFile, TargetDir, TargetFile};
use super::walk::Batch;
use crate::epoch::Unwritten;
use crate::interrupt::Interrupt;

/// Bytes of a large file copied at once; less if the kernel does not have that
/// much in one piece.
const PIECE: usize = 1 << 20;
/// Files larger than this are read and written by a thread each.
const OVERLAP: u64 = 4 * PIECE as u64;
/// Bytes of a stream copied at once.
const CHUNK: usize = 256 << 10;

/// What ends a copy before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    Interrupted,
    Problem(Problem),
}

/// What all groups of sources of one command share.
pub(crate) struct Job<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) keep: Keep<'a>,
    pub(super) interrupt: &'a Interrupt,
    pub(super) progress: Progress,
    /// For [`Data::Large`]; made when first needed.
    pub(super) buffers: Vec<Buffer>,
    /// Something could not be copied.
    pub(super) failed: bool,
    pub(super) refused: Refused,
}

impl Job<'_> {
    /// What there is to copy, or `None` and a line that says why not.
    pub(super) fn accept<T>(&mut self, found: std::result::Result<T, Problem>) -> Option<T> {
        found.map_err(|problem| self.report(&problem)).ok()
    }

    fn report(&mut self, problem: &Problem) {
        self.progress.error(&problem.to_string());
        self.failed = true;
    }
}

/// A directory being filled.
struct Level<D> {
    dir: D,
    attributes: Attributes,
    origin: Origin,
    /// For what is made in it.
    heirs: Option<(u32, u32)>,
}

pub(super) struct Writer<'a, 'b, D: TargetDir> {
    job: &'a mut Job<'b>,
    base: D,
    heirs: Option<(u32, u32)>,
    /// As problems name the base: the image, a colon, a path.
    shown: &'a Path,
    stack: Vec<Level<D>>,
    /// From the base.
    at: PathBuf,
    /// How deep we are in a directory that could not be entered.
    skipping: usize,
    unwritten: Unwritten,
}

type Flow = std::result::Result<(), Stop>;

impl<'a, 'b, D: TargetDir> Writer<'a, 'b, D> {
    pub(super) fn new(job: &'a mut Job<'b>, base: D, shown: &'a Path) -> Result<Self> {
        Ok(Writer {
            heirs: base.heirs()?,
            job,
            base,
            shown,
            stack: Vec::new(),
            at: PathBuf::new(),
            skipping: 0,
            unwritten: Unwritten::default(),
        })
    }

    /// Makes all that comes.
    pub(super) fn run<F: SourceFile>(
        mut self,
        batches: impl IntoIterator<Item = Batch<F>>,
    ) -> Flow {
        for event in batches.into_iter().flatten() {
            if self.job.interrupt.requested() {
                return Err(Stop::Interrupted);
            }
            self.event(event)?;
        }
        Ok(())
    }

    fn event<F: SourceFile>(&mut self, mut event: Event<F>) -> Flow {
        if let Some(attributes) = event.attributes_mut() {
            self.job.keep.adjust(attributes);
        }
        match event {
            Event::Problem(problem) => self.job.report(&problem),
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
                let second = &writer.at;
                writer.anew(&name, || writer.base.link(&first, second))
            })?,
            Event::Symlink {
                name,
                target,
                attributes,
            } => self.entry(&name, |writer| {
                let dir = writer.dir();
                writer.anew(&name, || dir.symlink(&target, &name))?;
                writer.finish_entry(&name, &attributes, 0o777, false)
            })?,
            Event::Node { name, attributes } => self.entry(&name, |writer| {
                let (dir, stat) = (writer.dir(), &attributes.stat);
                let mode = writer.job.keep.mode(&attributes);
                let node = stat.mode & libc::S_IFMT | mode;
                writer.anew(&name, || dir.mknod(&name, node, stat.rdev))?;
                writer.finish_entry(&name, &attributes, mode, true)
            })?,
        }
        Ok(())
    }

    /// One step at a name.
    fn entry(&mut self, name: &OsStr, step: impl FnOnce(&mut Self) -> Result<()>) -> Flow {
        self.at.push(name);
        let done = step(self);
        self.settle(done)?;
        self.at.pop();
        Ok(())
    }

    fn dir(&self) -> &D {
        self.stack.last().map_or(&self.base, |level| &level.dir)
    }

    /// What is made where we are inherits this.
    fn heirs(&self) -> Option<(u32, u32)> {
        self.stack.last().map_or(self.heirs, |level| level.heirs)
    }

    fn enter(&mut self, name: &OsStr, attributes: Attributes) -> Result<()> {
        let parent = self.dir();
        let heirs = self.heirs();
        // We must be able to fill it.
        let mode = self.job.keep.mode(&attributes) | 0o700;
        let (dir, made) = if name.is_empty() {
            (parent.again()?, false)
        } else {
            match parent.create_dir(name, mode) {
                Ok(()) => (parent.open_dir(name)?, true),
                Err(failed) if failed.errno() == Some(Errno::EXIST) => {
                    if parent.kind_of(name)? != Kind::Dir {
                        let cause = "it exists and is not a directory";
                        return Err(Failed::new("create directory", cause));
                    }
                    (parent.open_dir(name)?, false)
                }
                Err(failed) => return Err(failed),
            }
        };
        self.stack.push(Level {
            heirs: if made { heirs } else { dir.heirs()? },
            origin: match made {
                true => Origin::Made { mode, heirs },
                false => Origin::Existed,
            },
            dir,
            attributes,
        });
        Ok(())
    }

    /// A directory's own attributes come last: filling it changes its times.
    fn leave(&mut self) -> Result<()> {
        let Some(level) = self.stack.pop() else {
            return Ok(());
        };
        let keep = self.job.keep;
        if let (false, Origin::Made { mode, .. }) = (keep.archive, level.origin) {
            let wanted = keep.mode(&level.attributes);
            if wanted != mode {
                level.dir.chmod(wanted)?;
            }
        }
        let refused = &mut self.job.refused;
        keep.apply(&level.dir, &level.attributes, level.origin, true, refused)
    }

    fn finish_entry(
        &mut self,
        name: &OsStr,
        attributes: &Attributes,
        mode: u32,
        has_mode: bool,
    ) -> Result<()> {
        let heirs = self.heirs();
        let dir = self.stack.last().map_or(&self.base, |level| &level.dir);
        let (entry, origin) = (Entry { dir, name }, Origin::Made { mode, heirs });
        let refused = &mut self.job.refused;
        self.job
            .keep
            .apply(&entry, attributes, origin, has_mode, refused)
    }

    /// Makes a name; what has it is replaced, unless it is a directory.
    fn anew(&self, name: &OsStr, make: impl Fn() -> Result<()>) -> Result<()> {
        match make() {
            Err(failed) if failed.errno() == Some(Errno::EXIST) => {
                self.displace(name)?;
                make()
            }
            result => result,
        }
    }

    fn displace(&self, name: &OsStr) -> Result<()> {
        let dir = self.dir();
        match dir.kind_of(name)? {
            Kind::Dir => Err(Failed::new("replace", "it is a directory")),
            _ => dir.remove(name),
        }
    }

    /// Opens a file to write: a new one, an old one emptied, or one in place of
    /// a link or device. A symbolic link is never written through: it might
    /// lead anywhere.
    fn open(&self, name: &OsStr, mode: u32) -> Result<(D::File, Origin)> {
        let dir = self.dir();
        let heirs = self.heirs();
        let made = Origin::Made { mode, heirs };
        match dir.create(name, mode) {
            Err(failed) if failed.errno() == Some(Errno::EXIST) => {
                if dir.kind_of(name)? == Kind::File {
                    return Ok((dir.truncate(name)?, Origin::Existed));
                }
                self.displace(name)?;
                Ok((dir.create(name, mode)?, made))
            }
            result => Ok((result?, made)),
        }
    }

    fn file<F: SourceFile>(
        &mut self,
        name: &OsStr,
        attributes: &Attributes,
        data: Data<F>,
    ) -> Flow {
        let mode = self.job.keep.mode(attributes);
        let (file, origin) = match self.open(name, mode) {
            Ok(opened) => opened,
            Err(failed) => return self.failure(failed),
        };
        let filled = self.fill(&file, attributes, data).and_then(|end| {
            let refused = &mut self.job.refused;
            let keep = self.job.keep;
            keep.apply(&file, attributes, origin, true, refused)
                .map_err(|failed| self.name(failed))?;
            Ok(end)
        });
        drop(file);
        // An empty file is something to write too.
        let bytes = attributes.stat.size + 4096;
        if self.job.keep.wanted.epoch.is_some() && self.unwritten.add(bytes) {
            let settled = self.dir().settle();
            self.settle(settled)?;
        }
        if !matches!(filled, Ok(End::Complete)) {
            // Half a file is worse than none. If that fails too, the first
            // failure is still the one to tell.
            let _ = self.dir().remove(name);
        }
        match filled {
            Ok(End::Complete) => Ok(()),
            Ok(End::Stopped) => Err(Stop::Interrupted),
            Err(problem) => self.problem(problem),
        }
    }

    fn fill<F: SourceFile>(
        &mut self,
        file: &D::File,
        attributes: &Attributes,
        data: Data<F>,
    ) -> std::result::Result<End, Problem> {
        match data {
            Data::Small(bytes) => {
                if !bytes.is_empty() {
                    file.write_all(&bytes).map_err(|failed| self.name(failed))?;
                }
                self.job.progress.bytes(bytes.len() as u64);
                Ok(End::Complete)
            }
            Data::Large(source, shown) => {
                let stat = &attributes.stat;
                let count = if stat.size > OVERLAP { 2 } else { 1 };
                let mut buffers = self.buffers(count).map_err(|failed| self.name(failed))?;
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
                    Side::Source(failed) => failed.at(shown),
                    Side::Target(failed) => self.name(failed),
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
                        Err(failed) => return Err(failed.at(shown)),
                    };
                    let written = file.write_all(&chunk[..len]);
                    written.map_err(|failed| self.name(failed))?;
                    self.job.progress.bytes(len as u64);
                }
            }
        }
    }

    /// Takes buffers from those there are, or makes them.
    fn buffers(&mut self, count: usize) -> Result<Vec<Buffer>> {
        while self.job.buffers.len() < count {
            self.job.buffers.push(allocate(self.job.kernel)?);
        }
        let rest = self.job.buffers.len() - count;
        Ok(self.job.buffers.split_off(rest))
    }

    /// A failure where we are.
    fn name(&self, failed: Failed) -> Problem {
        failed.at(self.shown.join(&self.at).display().to_string())
    }

    fn settle(&mut self, result: Result<()>) -> Flow {
        result.or_else(|failed| self.failure(failed))
    }

    fn failure(&mut self, failed: Failed) -> Flow {
        let problem = self.name(failed);
        self.problem(problem)
    }

    fn problem(&mut self, problem: Problem) -> Flow {
        match problem.failed.is_fatal() {
            true => Err(Stop::Problem(problem)),
            false => {
                self.job.report(&problem);
                Ok(())
            }
        }
    }
}

/// As large a buffer as the kernel has in one piece.
pub(crate) fn allocate(kernel: &Kernel) -> Result<Buffer> {
    let mut len = PIECE;
    loop {
        match kernel.buffer(len) {
            Err(error) if error.errno() == Some(Errno::NOMEM) && len > 64 << 10 => len /= 2,
            result => return Ok(result?),
        }
    }
}
