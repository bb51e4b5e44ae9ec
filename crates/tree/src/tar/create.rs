//! [`archive`]: writes an archive of a directory in an image.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::Builder;

use drupe::{Buffer, Mount};
use tar::EntryType;

use super::Extents;
use super::compress::{Compression, Compressor};
use super::writer::{Entry, Writer, kind};
use crate::copy::event::{Attributes, Data, Event};
use crate::copy::image::{ImageDir, ImageFile};
use crate::copy::recycle::{self, Giver};
use crate::copy::traits::{SourceDir, SourceFile};
use crate::copy::walk::{Batch, Root, RootFile, Walker, measure};
use crate::copy::{QUEUE, allocate};
use crate::error::{Error, Result, host};
use crate::location::ImageLocation;
use crate::paths::base_name;
use crate::time::Time;
use crate::users::Names;
use crate::{Interrupt, Outcome, Progress, glob};

/// Options of writing an archive; see tar(1).
#[derive(Debug, Clone, Default)]
pub struct ArchiveOptions {
    /// The compression.
    pub compression: Compression,
    /// Writes owners only as numbers, not also by the names of the image's users.
    pub numeric_owner: bool,
    /// Patterns of paths or last names to leave out.
    pub exclude: Vec<OsString>,
    /// Paths in the directory to archive; empty: everything.
    pub members: Vec<OsString>,
    /// The latest time that is kept (`SOURCE_DATE_EPOCH`): later times become this one.
    pub epoch: Option<Time>,
}

/// Writes an archive of the directory `source`, with all attributes, to `output`, which
/// errors call `name`. `None`: there was nothing to archive, which has been reported.
///
/// # Errors
///
/// Errors that end it: writing the output failed, or `interrupt`
/// ([`Error::is_interrupted`]).
pub fn archive(
    source: &ImageLocation,
    options: &ArchiveOptions,
    output: impl Write,
    name: &str,
    interrupt: &Interrupt,
    progress: &dyn Progress,
) -> Result<Option<Outcome>> {
    let mount = &source.mount;
    let names = |read: fn(&Mount) -> Result<Names>| match options.numeric_owner {
        true => Ok(Names::default()),
        false => read(mount),
    };
    let output = BufWriter::with_capacity(256 << 10, output);
    let compressor = host("write", Compressor::new(options.compression, output));
    let compressor = compressor.map_err(|error| error.at(name))?;
    let (giver, taker) = recycle::channel();
    let mut archiver = Archiver {
        writer: Writer::new(compressor),
        users: names(Names::users)?,
        groups: names(Names::groups)?,
        epoch: options.epoch,
        label: source.label.clone(),
        mount: mount.clone(),
        buffer: None,
        used: giver,
        output: name,
        interrupt,
        progress,
        at: Vec::new(),
        linked: HashMap::new(),
        errors: 0,
    };
    let roots = roots(&options.members, mount, &source.path, &mut archiver);
    if progress.wants_total() {
        progress.add_total(measure(&roots));
    }
    if roots.is_empty() {
        return Ok(None);
    }
    let label = format!("{}:", source.label);
    let exclude = &options.exclude;
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(QUEUE);
        let walk = move || {
            // The receiver is gone: the archiver has stopped, and says why.
            let _ = Walker::new(true, &label, sender, taker)
                .leaving_out(|path| is_excluded(exclude, path))
                .run(roots);
        };
        host("start thread", Builder::new().spawn_scoped(scope, walk))?;
        archiver.run(receiver)
    })?;
    let errors = archiver.errors;
    let finished = archiver.writer.finish().and_then(Compressor::finish);
    host("write", finished).map_err(|error| error.at(name))?;
    Ok(Some(Outcome { errors }))
}

/// The sources: the directory itself, or members of it.
fn roots(
    members: &[OsString],
    mount: &Mount,
    base: &Path,
    archiver: &mut Archiver<'_, impl Write>,
) -> Vec<Root<ImageDir>> {
    let here = [OsString::from(".")];
    let members = match members.is_empty() {
        true => &here[..],
        false => members,
    };
    let mut roots = Vec::new();
    for member in members {
        let path = base.join(member);
        let open = || -> Result<RootFile<ImageDir>> {
            match base_name(Path::new(member)) {
                Some(name) => {
                    let dir = ImageDir::open(mount, path.parent().unwrap_or(base))?;
                    dir.stat_of(&name)?;
                    Ok(RootFile::Entry(dir, name))
                }
                // "." of what is no directory: that file.
                None => match (ImageDir::open(mount, &path), base_name(base)) {
                    (Err(failed), Some(name)) if failed.errno() == Some(drupe::Errno::NOTDIR) => {
                        let parent = base.parent().unwrap_or(Path::new("/"));
                        Ok(RootFile::Entry(ImageDir::open(mount, parent)?, name))
                    }
                    (dir, _) => Ok(RootFile::Dir(dir?)),
                },
            }
        };
        match open() {
            Ok(file) => {
                let target = match &file {
                    RootFile::Entry(_, name) if *member == *"." => name.clone(),
                    _ => member.clone(),
                };
                roots.push(Root {
                    file,
                    target,
                    shown: path,
                });
            }
            Err(failed) => {
                let path = format!("{}:{}", archiver.label, path.display());
                archiver.problem(&failed.at(path));
            }
        }
    }
    roots
}

struct Archiver<'a, W: Write> {
    writer: Writer<Compressor<W>>,
    users: Names,
    groups: Names,
    epoch: Option<Time>,
    label: String,
    mount: Mount,
    /// A buffer for large files, allocated when first needed.
    buffer: Option<Buffer>,
    /// Takes the memory of files that are written.
    used: Giver,
    /// The archive's name in errors.
    output: &'a str,
    interrupt: &'a Interrupt,
    progress: &'a dyn Progress,
    /// The current path in the archive.
    at: Vec<u8>,
    /// Attributes of files with several names, by the path of the first.
    linked: HashMap<PathBuf, Attributes>,
    errors: u64,
}

/// Whether one of the patterns matches this path in the archive, or its last name.
fn is_excluded(patterns: &[OsString], path: &Path) -> bool {
    let path = path.as_os_str().as_bytes();
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    let path = path.strip_prefix(b"./").unwrap_or(path);
    patterns.iter().any(|pattern| {
        let pattern = pattern.as_bytes();
        let pattern = pattern.strip_prefix(b"./").unwrap_or(pattern);
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
    fn problem(&mut self, error: &Error) {
        self.progress.error(error);
        self.errors += 1;
    }

    fn run(&mut self, batches: impl IntoIterator<Item = Batch<ImageFile>>) -> Result<()> {
        for event in batches.into_iter().flatten() {
            self.interrupt.check("archive")?;
            self.event(event)?;
        }
        Ok(())
    }

    fn event(&mut self, mut event: Event<ImageFile>) -> Result<()> {
        if let (Some(attributes), Some(epoch)) = (event.attributes_mut(), self.epoch) {
            let modified = &mut attributes.stat.modified;
            *modified = (*modified).min(epoch);
        }
        match event {
            Event::Error(error) => self.problem(&error),
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
    fn member(&mut self, path: &[u8], attributes: &Attributes, link: &[u8]) -> Result<()> {
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
    ) -> Result<()> {
        if self.progress.wants_names() {
            self.progress.name(&String::from_utf8_lossy(entry.path));
        }
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
        host("write", write(&mut self.writer, entry)).map_err(|error| error.at(self.output))
    }

    fn file(&mut self, path: &[u8], attributes: &Attributes, data: Data<ImageFile>) -> Result<()> {
        let entry = entry(path, EntryType::Regular, attributes);
        let (source, shown) = match data {
            Data::Small(bytes) => {
                self.progress.bytes(bytes.len() as u64);
                self.named(&entry, |writer, entry| {
                    let size = bytes.len() as u64;
                    writer.begin(&Entry { size, ..entry })?;
                    writer.write(&bytes)?;
                    writer.end()
                })?;
                self.used.give(bytes);
                return Ok(());
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
            self.problem(&failed.at(shown));
        }
        host("write", self.writer.end()).map_err(|error| error.at(self.output))
    }

    /// Writes parts of a file. Parts that cannot be read are written as zeroes, since the
    /// header has the length already.
    fn contents(&mut self, source: &ImageFile, extents: &Extents) -> Result<Option<Error>> {
        let mut buffer = match self.buffer.take() {
            Some(buffer) => buffer,
            None => allocate(&self.mount).map_err(|failed| failed.at("the kernel"))?,
        };
        let mut failed = None;
        for &(offset, len) in extents {
            let mut done = 0;
            while done < len {
                self.interrupt.check("archive")?;
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
                    failed.get_or_insert_with(|| Error::new("read", "it has shrunk"));
                }
                let written = host("write", self.writer.write(&buffer[..want]));
                written.map_err(|error| error.at(self.output))?;
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

/// The parts of a file that are not holes, and an empty one at its end, which marks its
/// length.
fn extents(source: &ImageFile, size: u64) -> Result<Extents> {
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
