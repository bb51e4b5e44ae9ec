//! `drupe tar`: an archive of a directory in an image.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use anyhow::Context as _;
use drupe::{Buffer, Kernel, Mount};
use tar::EntryType;

use super::Extents;
use super::compress::{Compression, Compressor};
use super::writer::{Entry, Writer, kind};
use crate::args::Tar;
use crate::commands::glob;
use crate::context::Context;
use crate::copy::event::{Attributes, Data, Event};
use crate::copy::image::{ImageDir, ImageFile};
use crate::copy::progress::Progress;
use crate::copy::side::{SourceDir, SourceFile};
use crate::copy::walk::{Batch, Top, Walker, What, measure};
use crate::copy::{QUEUE, allocate};
use crate::epoch;
use crate::exit::{ExitCode, Failure};
use crate::host_output::HostOutput;
use crate::interrupt::Interrupt;
use crate::location::ImagePath;
use crate::output::Stdout;
use crate::paths::base_name;
use crate::problem::Failed;
use crate::time::Time;
use crate::users::Names;

pub(crate) fn run(context: &mut Context<'_>, command: &Tar) -> Result<ExitCode, Failure> {
    let source = context.path(&command.path)?;
    let compression = match (command.compression(), &command.file) {
        (Some(compression), _) => compression,
        (None, Some(file)) => Compression::of_name(file.as_os_str()),
        (None, None) => Compression::None,
    };
    let Some(path) = command
        .file
        .as_ref()
        .filter(|file| **file != Path::new("-"))
    else {
        if io::stdout().is_terminal() {
            return Err(Failure::usage(
                "an archive is nothing for a terminal: give -f FILE, or redirect the output",
            ));
        }
        let code = create(context, command, &source, compression, Stdout::lines())?;
        return Ok(code.unwrap_or(ExitCode::Failed));
    };
    context.interrupt.install()?;
    let output = match context.output.take() {
        Some(output) => output,
        None => {
            // The image is open then, and its file known.
            context.session.mount(&source.volume)?;
            let images = context.session.image_files();
            HostOutput::create(path, command.force, &images, &context.interrupt)?
        }
    };
    let Some(code) = create(context, command, &source, compression, output.stream())? else {
        return Ok(ExitCode::Failed);
    };
    let committed = output.commit();
    committed.with_context(|| format!("cannot create {}", path.display()))?;
    Ok(code)
}

/// Writes the archive. `None`: there is nothing to put into one, as has been told.
fn create(
    context: &mut Context<'_>,
    command: &Tar,
    source: &ImagePath,
    compression: Compression,
    stream: impl Write,
) -> Result<Option<ExitCode>, Failure> {
    let mount = context.session.mount(&source.volume)?;
    let stream = BufWriter::with_capacity(256 << 10, stream);
    let mut archiver = Archiver {
        writer: Writer::new(Compressor::new(compression, stream)?),
        users: names(command, &mount, Names::users)?,
        groups: names(command, &mount, Names::groups)?,
        epoch: epoch::get()?,
        label: source.volume.label(),
        kernel: context.session.kernel().clone(),
        buffer: None,
        interrupt: &context.interrupt,
        progress: Progress::new(&context.options),
        at: Vec::new(),
        linked: HashMap::new(),
        failed: false,
    };
    let tops = tops(command, &mount, &source.path, &mut archiver);
    if archiver.progress.is_shown() {
        archiver.progress.add_total(measure(&tops));
    }
    if tops.is_empty() {
        archiver.progress.finish();
        return Ok(None);
    }
    let label = format!("{}:", source.volume.label());
    let exclude = &command.exclude;
    let walked = std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(QUEUE);
        scope.spawn(move || {
            // Gone: the archiver has stopped, and says why.
            let _ = Walker::new(true, &label, sender)
                .leaving_out(|path| is_excluded(exclude, path))
                .run(tops);
        });
        archiver.run(receiver)
    });
    archiver.progress.finish();
    let (writer, failed) = (archiver.writer, archiver.failed);
    walked?;
    writer.finish()?.finish()?;
    Ok(Some(match failed {
        true => ExitCode::Failed,
        false => ExitCode::Success,
    }))
}

/// Names of owners, unless numbers are to do.
fn names(
    command: &Tar,
    mount: &Mount,
    read: fn(&Mount) -> Result<Names, Failure>,
) -> Result<Names, Failure> {
    match command.numeric_owner {
        true => Ok(Names::default()),
        false => read(mount),
    }
}

/// What goes into the archive: the directory itself, or members of it.
fn tops(
    command: &Tar,
    mount: &Mount,
    base: &Path,
    archiver: &mut Archiver<'_, impl Write>,
) -> Vec<Top<ImageDir>> {
    let here = [OsString::from(".")];
    let members = match command.members.is_empty() {
        true => &here[..],
        false => &command.members,
    };
    let mut tops = Vec::new();
    for member in members {
        let path = base.join(member);
        let open = || -> Result<What<ImageDir>, Failed> {
            match base_name(Path::new(member)) {
                Some(name) => {
                    let dir = ImageDir::open(mount, path.parent().unwrap_or(base))?;
                    dir.stat_of(&name)?;
                    Ok(What::Entry(dir, name))
                }
                // "." of what is no directory: that file.
                None => match (ImageDir::open(mount, &path), base_name(base)) {
                    (Err(failed), Some(name)) if failed.errno() == Some(drupe::Errno::NOTDIR) => {
                        let parent = base.parent().unwrap_or(Path::new("/"));
                        Ok(What::Entry(ImageDir::open(mount, parent)?, name))
                    }
                    (dir, _) => Ok(What::Dir(dir?)),
                },
            }
        };
        match open() {
            Ok(what) => {
                let target = match &what {
                    What::Entry(_, name) if *member == *"." => name.clone(),
                    _ => member.clone(),
                };
                tops.push(Top {
                    what,
                    target,
                    shown: path,
                });
            }
            Err(failed) => {
                let path = format!("{}:{}", archiver.label, path.display());
                archiver.problem(&failed.at(path).to_string());
            }
        }
    }
    tops
}

struct Archiver<'a, W: Write> {
    writer: Writer<Compressor<W>>,
    users: Names,
    groups: Names,
    epoch: Option<Time>,
    label: String,
    kernel: Kernel,
    /// For large files; made when first needed.
    buffer: Option<Buffer>,
    interrupt: &'a Interrupt,
    progress: Progress,
    /// Where we are in the archive.
    at: Vec<u8>,
    /// Of files with several names, by the path of the first.
    linked: HashMap<PathBuf, Attributes>,
    failed: bool,
}

/// Whether one of the patterns is this path in the archive, or its last name.
fn is_excluded(patterns: &[OsString], path: &Path) -> bool {
    let path = path.as_os_str().as_bytes();
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    let path = path.strip_prefix(b"./").unwrap_or(path);
    patterns.iter().any(|pattern| {
        let pattern = pattern.as_bytes();
        glob::matches(pattern, path, false) || glob::matches(pattern, name, false)
    })
}

/// "a/b" of "a" and "b".
fn join(at: &[u8], name: &OsStr) -> Vec<u8> {
    let mut path = at.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend(name.as_bytes());
    path
}

impl<W: Write> Archiver<'_, W> {
    fn problem(&mut self, text: &str) {
        self.progress.error(text);
        self.failed = true;
    }

    fn run(&mut self, batches: impl IntoIterator<Item = Batch<ImageFile>>) -> Result<(), Failure> {
        for event in batches.into_iter().flatten() {
            self.interrupt.check()?;
            self.event(event)?;
        }
        Ok(())
    }

    fn event(&mut self, mut event: Event<ImageFile>) -> Result<(), Failure> {
        if let (Some(attributes), Some(epoch)) = (event.attributes_mut(), self.epoch) {
            let modified = &mut attributes.stat.modified;
            *modified = (*modified).min(epoch);
        }
        match event {
            Event::Problem(problem) => self.problem(&problem.to_string()),
            Event::Enter { name, attributes } => {
                self.at = join(&self.at, &name);
                let mut path = self.at.clone();
                path.push(b'/');
                self.member(&path, &attributes, b"")?;
            }
            Event::Leave => {
                let end = self.at.iter().rposition(|&byte| byte == b'/');
                self.at.truncate(end.unwrap_or(0));
            }
            Event::Link { name, first } => {
                let path = join(&self.at, &name);
                if let Some(attributes) = self.linked.get(&first).cloned() {
                    let entry = entry(&path, EntryType::Link, &attributes);
                    let link = first.as_os_str().as_bytes();
                    self.named(&entry, |writer, entry| {
                        writer.begin(&Entry { link, ..entry })?;
                        writer.end()
                    })?;
                }
            }
            Event::Symlink {
                name,
                target,
                attributes,
            } => {
                let path = join(&self.at, &name);
                self.remember(&path, &attributes);
                self.member(&path, &attributes, target.as_os_str().as_bytes())?;
            }
            Event::Node { name, attributes } => {
                let path = join(&self.at, &name);
                self.remember(&path, &attributes);
                self.member(&path, &attributes, b"")?;
            }
            Event::File {
                name,
                attributes,
                data,
            } => {
                let path = join(&self.at, &name);
                self.remember(&path, &attributes);
                self.file(&path, &attributes, data)?;
                self.progress.file();
            }
        }
        Ok(())
    }

    fn remember(&mut self, path: &[u8], attributes: &Attributes) {
        if attributes.stat.nlink > 1 {
            let path = PathBuf::from(OsStr::from_bytes(path));
            self.linked.insert(path, attributes.clone());
        }
    }

    /// A member without contents.
    fn member(&mut self, path: &[u8], attributes: &Attributes, link: &[u8]) -> Result<(), Failure> {
        let Some(kind) = kind(&attributes.stat) else {
            let path = String::from_utf8_lossy(path).into_owned();
            self.progress
                .warning(&format!("{path} is a socket, which archives don't have"));
            return Ok(());
        };
        self.named(&entry(path, kind, attributes), |writer, entry| {
            writer.begin(&Entry { link, ..entry })?;
            writer.end()
        })
    }

    /// Adds the names of owners to an entry.
    fn named(
        &mut self,
        entry: &Entry<'_>,
        write: impl FnOnce(&mut Writer<Compressor<W>>, Entry<'_>) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let stat = &entry.attributes.stat;
        let user = self
            .users
            .names
            .get(&stat.uid)
            .map_or(&b""[..], Vec::as_slice);
        let group = self
            .groups
            .names
            .get(&stat.gid)
            .map_or(&b""[..], Vec::as_slice);
        let entry = Entry {
            user,
            group,
            ..*entry
        };
        Ok(write(&mut self.writer, entry)?)
    }

    fn file(
        &mut self,
        path: &[u8],
        attributes: &Attributes,
        data: Data<ImageFile>,
    ) -> Result<(), Failure> {
        let entry = entry(path, EntryType::Regular, attributes);
        let (source, shown) = match data {
            Data::Small(bytes) => {
                self.progress.bytes(bytes.len() as u64);
                return self.named(&entry, |writer, entry| {
                    let size = bytes.len() as u64;
                    writer.begin(&Entry { size, ..entry })?;
                    writer.write(&bytes)?;
                    writer.end()
                });
            }
            Data::Large(source, shown) | Data::Stream(source, shown) => (source, shown),
        };
        let stat = &attributes.stat;
        let extents = match stat.is_sparse() {
            true => extents(&source, stat.size).map_err(|failed| failed.at(&shown))?,
            false => vec![(0, stat.size)],
        };
        match &extents[..] {
            [(0, len)] if *len == stat.size => self.named(&entry, |writer, entry| {
                writer.begin(&Entry {
                    size: stat.size,
                    ..entry
                })
            })?,
            _ => self.named(&entry, |writer, entry| {
                writer.begin_sparse(&entry, stat.size, &extents)
            })?,
        }
        if let Some(failed) = self.contents(&source, &extents)? {
            self.problem(&failed.at(shown).to_string());
        }
        Ok(self.writer.end()?)
    }

    /// Writes parts of a file. What can't be read of it, or is not there any
    /// more, is zeroes: the archive must go on where the header says.
    fn contents(
        &mut self,
        source: &ImageFile,
        extents: &Extents,
    ) -> Result<Option<Failed>, Failure> {
        let mut buffer = match self.buffer.take() {
            Some(buffer) => buffer,
            None => allocate(&self.kernel).map_err(|failed| failed.at("the kernel"))?,
        };
        let mut failed = None;
        for &(offset, len) in extents {
            let mut done = 0;
            while done < len {
                self.interrupt.check()?;
                let want = (len - done).min(buffer.len() as u64) as usize;
                let got = match &failed {
                    None => source.read_at(&mut buffer, 0..want, offset + done),
                    Some(_) => Ok(0),
                };
                let got = got.unwrap_or_else(|error| {
                    failed = Some(error);
                    0
                });
                if got < want {
                    buffer[got..want].fill(0);
                    failed.get_or_insert_with(|| Failed::new("read", "it has shrunk"));
                }
                self.writer.write(&buffer[..want])?;
                self.progress.bytes(want as u64);
                done += want as u64;
            }
        }
        self.buffer = Some(buffer);
        Ok(failed)
    }
}

fn entry<'a>(path: &'a [u8], kind: EntryType, attributes: &'a Attributes) -> Entry<'a> {
    Entry {
        path,
        kind,
        attributes,
        user: b"",
        group: b"",
        link: b"",
        size: 0,
    }
}

/// The parts of a file that are not holes, with an empty one at its end, which
/// says how long it is.
fn extents(source: &ImageFile, size: u64) -> Result<Extents, Failed> {
    let mut extents = Extents::new();
    let mut at = 0;
    while at < size {
        let Some(data) = source.next_data(at, size)? else {
            break;
        };
        let end = data.end.min(size);
        if data.start >= end {
            break;
        }
        extents.push((data.start, end - data.start));
        at = end;
    }
    if at < size || extents.is_empty() {
        extents.push((size, 0));
    }
    Ok(extents)
}
