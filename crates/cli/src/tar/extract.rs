//! `drupe untar`: what is in an archive, into a directory of an image.
//!
//! The directory is a root for all that comes: `..` is refused, a slash in front
//! is dropped, symbolic links that are there or come lead nowhere else, and so
//! nothing outside is made, changed or linked to.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use anyhow::Context as _;
use drupe::{Dir, Errno, Mount, makedev};

use super::reader::{Kind, Member, Reader};
use super::{acl, compress};
use crate::args::Untar;
use crate::commands::glob;
use crate::context::Context;
use crate::copy::event::{Attributes, Stat};
use crate::copy::image::{ImageDir, ImageFile};
use crate::copy::keep::{Keep, Origin, Refused, Wanted};
use crate::copy::progress::Progress;
use crate::copy::replace::{self, Made};
use crate::copy::side::{Entry, TargetDir, TargetFile};
use crate::copy::warn_of_refusals;
use crate::epoch::{self, Unwritten};
use crate::exit::{ExitCode, Failure};
use crate::interrupt::{Interrupt, Waiting};
use crate::problem::{Failed, Result, host};
use crate::umask::Umask;
use crate::users::Names;

/// Bytes of contents copied at once.
const CHUNK: usize = 1 << 20;

pub(crate) fn run(
    context: &mut Context<'_>,
    command: &Untar,
) -> std::result::Result<ExitCode, Failure> {
    let dest = context.target(&command.path)?;
    let from = command
        .file
        .as_ref()
        .filter(|file| **file != Path::new("-"));
    if from.is_none() {
        context.own_stdin()?;
    }
    if from.is_none() && io::stdin().is_terminal() {
        return Err(Failure::usage(
            "an archive is not typed: give -f FILE, or redirect standard input",
        ));
    }
    let stream: Box<dyn Read> = match from {
        Some(path) => {
            let file = File::open(path);
            let file = file.with_context(|| format!("cannot open {}", path.display()))?;
            Box::new(Waiting(file))
        }
        None => Box::new(Waiting(io::stdin().lock())),
    };
    let name = from.map_or("standard input".to_owned(), |path| {
        path.display().to_string()
    });
    let mount = context.mount_for_writing(&dest.volume)?;
    let base = mount.open_dir(&dest.path);
    let base = base.map_err(|error| Failed::from(error).at(dest.label()))?;
    let wanted = Wanted {
        epoch: epoch::get()?,
        ..Wanted::default()
    };
    let umask = Umask::take();
    let mut extractor = Extractor {
        base,
        mount: &mount,
        label: dest.label(),
        command,
        keep: Keep {
            archive: true,
            umask: umask.bits,
            wanted: &wanted,
        },
        interrupt: &context.interrupt,
        progress: Progress::new(&context.options),
        owners: None,
        parent: None,
        dirs: BTreeMap::new(),
        refused: Refused::default(),
        chunk: vec![0; CHUNK],
        told_of_slashes: false,
        unwritten: Unwritten::default(),
        failed: false,
    };
    let stream = host("read", compress::reader(stream));
    context.interrupt.check()?;
    let stream = stream.map_err(|failed| failed.at(&name))?;
    let mut reader = Reader::new(stream);
    let extracted = extractor.run(&mut reader, &name);
    // Also after a failure: what there is has its attributes.
    let finished = extractor.finish();
    extractor.progress.finish();
    warn_of_refusals(&extractor.refused, &extractor.progress);
    extractor.interrupt.check()?;
    extracted.and(finished)?;
    Ok(match extractor.failed {
        true => ExitCode::Failed,
        false => ExitCode::Success,
    })
}

/// The users and groups of the image, as they are when first asked for.
struct Owners {
    users: Names,
    groups: Names,
}

/// A directory that is being filled.
struct Parent {
    path: Vec<u8>,
    dir: ImageDir,
    /// Owners of what is made in it, if they are known.
    heirs: Option<(u32, u32)>,
}

struct Extractor<'a> {
    base: Dir,
    mount: &'a Mount,
    label: String,
    command: &'a Untar,
    keep: Keep<'a>,
    interrupt: &'a Interrupt,
    progress: Progress,
    owners: Option<Owners>,
    /// The directory of the member before.
    parent: Option<Parent>,
    /// Attributes of directories, which filling them would change.
    dirs: BTreeMap<Vec<u8>, Attributes>,
    refused: Refused,
    chunk: Vec<u8>,
    told_of_slashes: bool,
    unwritten: Unwritten,
    failed: bool,
}

/// How a member's contents ended.
enum Filled {
    Complete,
    Interrupted,
    Failed(Failed),
    /// The archive's fault.
    Archive(io::Error),
}

/// Names of a path, without empty ones and ".". `None`: there is a "..".
fn names(path: &[u8]) -> Option<Vec<&[u8]>> {
    let parts = path.split(|&byte| byte == b'/');
    let names: Vec<&[u8]> = parts.filter(|part| !matches!(*part, b"" | b".")).collect();
    (!names.contains(&&b".."[..])).then_some(names)
}

/// An owner that an archive tells; the last number of 32 bits stands for none.
fn owner(which: &str, number: i64) -> Result<u32> {
    let fits = u32::try_from(number).ok().filter(|&id| id != u32::MAX);
    fits.ok_or_else(|| {
        let cause = format!("{which} {number} is none of 0 to {}", u32::MAX - 1);
        Failed::new("extract", &cause)
    })
}

fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

impl Extractor<'_> {
    fn run(
        &mut self,
        reader: &mut Reader<impl Read>,
        name: &str,
    ) -> std::result::Result<(), Failure> {
        let broken = |error: io::Error| match error.raw_os_error() {
            Some(_) => match host::<()>("read", Err(error)) {
                Err(failed) => failed.at(name).into(),
                Ok(()) => Failure::usage(name),
            },
            None => anyhow::anyhow!("{name}: {error}").into(),
        };
        while let Some(mut member) = reader.next().map_err(broken)? {
            self.interrupt.check()?;
            let Some(path) = self.accept(&mut member) else {
                continue;
            };
            let shown = String::from_utf8_lossy(&path).into_owned();
            if self.command.verbose {
                eprintln!("{shown}");
            }
            let shown = format!("{}/{shown}", self.label.trim_end_matches('/'));
            let extracted = self.member(&path, &member, reader);
            for failed in self.refused.take_failed() {
                self.problem(&failed.at(&shown).to_string());
            }
            match extracted {
                Ok(Filled::Complete) => {}
                Ok(Filled::Interrupted) => self.interrupt.check()?,
                Ok(Filled::Archive(error)) => return Err(broken(error)),
                Ok(Filled::Failed(failed)) | Err(failed) => {
                    let fatal = failed.is_fatal();
                    let problem = failed.at(shown);
                    if fatal {
                        let text = format!("{problem}; what was extracted before it is complete");
                        return Err(anyhow::Error::msg(text).into());
                    }
                    self.problem(&problem.to_string());
                }
            }
            self.progress.file();
        }
        // Whoever writes the archive may not be done with what pads it.
        reader.drain().map_err(broken)
    }

    fn problem(&mut self, text: &str) {
        self.progress.error(text);
        self.failed = true;
    }

    /// The member's path from the directory, if it is to be extracted.
    fn accept(&mut self, member: &mut Member) -> Option<Vec<u8>> {
        let shown = || String::from_utf8_lossy(&member.path).into_owned();
        if let Kind::Other(kind) = member.kind {
            let text = format!(
                "{:?} is of a type ({:?}) that there is no file for",
                shown(),
                char::from(kind)
            );
            self.problem(&text);
            return None;
        }
        let Some(names) = names(&member.path) else {
            let text = format!("{:?} has .. in its path, and is left out", shown());
            self.problem(&text);
            return None;
        };
        if member.path.starts_with(b"/") && !self.told_of_slashes {
            self.told_of_slashes = true;
            self.progress
                .warning("the slash in front of members' names is left out");
        }
        let strip = self.command.strip_components;
        if names.len() < strip || names.len() == strip && strip > 0 {
            return None;
        }
        let path = names[strip..].join(&b'/');
        let mut patterns = self
            .command
            .exclude
            .iter()
            .map(|pattern| pattern.as_bytes());
        // What is in a directory that is left out is left out too.
        let prefixes = (1..=names.len()).map(|len| names[..len].join(&b'/'));
        let prefixes: Vec<Vec<u8>> = prefixes.collect();
        let excluded = patterns.any(|pattern| {
            names.iter().any(|name| glob::matches(pattern, name, false))
                || prefixes
                    .iter()
                    .any(|prefix| glob::matches(pattern, prefix, false))
        });
        (!excluded).then_some(path)
    }

    fn member(
        &mut self,
        path: &[u8],
        member: &Member,
        reader: &mut Reader<impl Read>,
    ) -> Result<Filled> {
        let mut attributes = self.attributes(member)?;
        self.keep.adjust(&mut attributes);
        if path.is_empty() {
            return match member.kind {
                Kind::Dir => {
                    self.dirs.insert(Vec::new(), attributes);
                    Ok(Filled::Complete)
                }
                _ => Err(Failed::new("extract", "it has no name")),
            };
        }
        let at = path.iter().rposition(|&byte| byte == b'/');
        let (above, name) = match at {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&b""[..], path),
        };
        self.enter(above)?;
        let Some(Parent {
            dir: parent, heirs, ..
        }) = &self.parent
        else {
            return Err(Failed::new("extract", "its directory is gone"));
        };
        let name = OsStr::from_bytes(name);
        let mode = self.keep.mode(&attributes);
        let heirs = *heirs;
        let origin = Origin::Made { mode, heirs };
        match member.kind {
            Kind::Dir => {
                make_dir(
                    parent,
                    name,
                    mode | 0o700,
                    self.command.keep_directory_symlink,
                )?;
                self.dirs.insert(path.to_owned(), attributes);
                return Ok(Filled::Complete);
            }
            Kind::File => {
                let (made, file) = anew(parent, name, |name| parent.create(name, mode))?;
                let still = self.keep.wanted.epoch.is_some();
                let filled = fill(&file, member, reader, &mut self.chunk, |bytes| {
                    self.progress.bytes(bytes);
                    if still && self.unwritten.add(bytes + 4096) {
                        parent.settle()?;
                    }
                    Ok(!self.interrupt.requested())
                });
                if !matches!(filled, Filled::Complete) {
                    drop(file);
                    // Half a file is worse than none.
                    replace::abandon(parent, &made);
                    return Ok(filled);
                }
                self.keep
                    .apply(&file, &attributes, origin, true, &mut self.refused);
                drop(file);
                replace::commit(parent, &made, name, None)?;
                return Ok(filled);
            }
            Kind::Link => {
                let Some(names) = names(&member.link) else {
                    return Err(Failed::new("link", "its target has .. in it"));
                };
                let strip = self.command.strip_components;
                let names = names.get(strip..).filter(|names| !names.is_empty());
                let Some((last, above)) = names.and_then(<[_]>::split_last) else {
                    return Err(Failed::new("link", "its target has no name"));
                };
                let dir = self.base.open_dir_within(path_of(&above.join(&b'/')))?;
                let last = OsStr::from_bytes(last);
                // Onto itself would remove it.
                let there = dir.symlink_metadata(last)?;
                if there.is_dir() {
                    return Err(Failed::new("link", "its target is a directory"));
                }
                if let Ok(own) = parent.dir.symlink_metadata(name)
                    && own.ino() == there.ino()
                {
                    return Ok(Filled::Complete);
                }
                let link = |name: &OsStr| Ok(parent.dir.hard_link(&dir, last, name)?);
                let (made, ()) = anew(parent, name, link)?;
                replace::commit(parent, &made, name, None)?;
                return Ok(Filled::Complete);
            }
            Kind::Symlink | Kind::Char | Kind::Block | Kind::Fifo | Kind::Other(_) => {}
        }
        let (is_link, stat) = (member.kind == Kind::Symlink, &attributes.stat);
        let (made, ()) = anew(parent, name, |name| match is_link {
            true => TargetDir::symlink(parent, path_of(&member.link), name),
            false => TargetDir::mknod(parent, name, stat.mode & libc::S_IFMT | mode, stat.rdev),
        })?;
        let entry = Entry {
            dir: parent,
            name: &made.name,
        };
        let origin = match is_link {
            true => Origin::Made { mode: 0o777, heirs },
            false => origin,
        };
        self.keep
            .apply(&entry, &attributes, origin, !is_link, &mut self.refused);
        replace::commit(parent, &made, name, None)?;
        Ok(Filled::Complete)
    }

    /// Opens the directory that the next member is in, and makes what is missing
    /// above it.
    fn enter(&mut self, path: &[u8]) -> Result<()> {
        if self
            .parent
            .as_ref()
            .is_some_and(|parent| parent.path == path)
        {
            return Ok(());
        }
        let dir = match self.base.open_dir_within(path_of(path)) {
            Err(error) if error.errno() == Some(Errno::NOENT) => {
                let mut dir = self.base.try_clone()?;
                let mut end = 0;
                for name in path.split(|&byte| byte == b'/') {
                    end += name.len() + usize::from(end > 0);
                    let below = path_of(&path[..end]);
                    dir = match self.base.open_dir_within(below) {
                        Err(error) if error.errno() == Some(Errno::NOENT) => {
                            dir.create_dir(OsStr::from_bytes(name), 0o777 & !self.keep.umask)?;
                            dir.open_dir(OsStr::from_bytes(name))?
                        }
                        found => found?,
                    };
                }
                dir
            }
            found => found?,
        };
        let dir = ImageDir::of(dir);
        self.parent = Some(Parent {
            path: path.to_owned(),
            heirs: dir.heirs()?,
            dir,
        });
        Ok(())
    }

    fn attributes(&mut self, member: &Member) -> Result<Attributes> {
        let (mut uid, mut gid) = (None, None);
        if self.command.names {
            let owners = self.owners()?;
            let find = |names: &Names, name: &[u8]| names.numbers.get(name).copied();
            uid = find(&owners.users, &member.user);
            gid = find(&owners.groups, &member.group);
        }
        let uid = uid.map_or_else(|| owner("user", member.uid), Ok)?;
        let gid = gid.map_or_else(|| owner("group", member.gid), Ok)?;
        let xattrs = member.xattrs.iter();
        let mut xattrs: Vec<(OsString, Vec<u8>)> = xattrs
            .map(|(name, value)| (OsString::from_vec(name.clone()), value.clone()))
            .collect();
        for (name, text) in &member.acls {
            let owners = self.owners()?;
            let Some(value) = acl::from_text(text, &owners.users, &owners.groups) else {
                let path = String::from_utf8_lossy(&member.path).into_owned();
                let text = format!(
                    "{path:?} has an ACL that makes no sense, or is about somebody who is not in the image"
                );
                self.problem(&text);
                continue;
            };
            xattrs.retain(|(known, _)| known != name);
            // An empty default ACL is none.
            if value.len() > 4 {
                xattrs.push((OsString::from(name), value));
            }
        }
        let kind = match member.kind {
            Kind::File | Kind::Link | Kind::Other(_) => libc::S_IFREG,
            Kind::Dir => libc::S_IFDIR,
            Kind::Symlink => libc::S_IFLNK,
            Kind::Char => libc::S_IFCHR,
            Kind::Block => libc::S_IFBLK,
            Kind::Fifo => libc::S_IFIFO,
        };
        let (major, minor) = member.device;
        Ok(Attributes {
            stat: Stat {
                mode: kind | member.mode,
                uid,
                gid,
                size: member.size,
                blocks: 0,
                nlink: 1,
                dev: 0,
                ino: 0,
                rdev: makedev(major, minor),
                accessed: member.accessed.unwrap_or(member.modified),
                modified: member.modified,
            },
            xattrs,
        })
    }

    fn owners(&mut self) -> Result<&Owners> {
        if self.owners.is_none() {
            let read = |names: std::result::Result<Names, Failure>| {
                names.map_err(|failure| Failed::new("look up owners", &failure.error.to_string()))
            };
            self.owners = Some(Owners {
                users: read(Names::users(self.mount))?,
                groups: read(Names::groups(self.mount))?,
            });
        }
        self.owners
            .as_ref()
            .ok_or_else(|| Failed::new("look up owners", "there are none"))
    }

    /// Sets the attributes of directories, those below first.
    fn finish(&mut self) -> std::result::Result<(), Failure> {
        self.parent = None;
        for (path, attributes) in std::mem::take(&mut self.dirs).into_iter().rev() {
            let applied = self
                .base
                .open_dir_within(path_of(&path))
                .map_err(Failed::from);
            let applied = applied.map(|dir| {
                let dir = ImageDir::of(dir);
                let refused = &mut self.refused;
                self.keep
                    .apply(&dir, &attributes, Origin::Existed, true, refused);
            });
            let mut failed = self.refused.take_failed();
            failed.extend(applied.err());
            for failed in failed {
                let path = String::from_utf8_lossy(&path);
                let shown = format!("{}/{path}", self.label.trim_end_matches('/'));
                self.problem(&failed.at(shown).to_string());
            }
        }
        Ok(())
    }
}

/// Makes a directory, unless there is one.
fn make_dir(parent: &ImageDir, name: &OsStr, mode: u32, follow: bool) -> Result<()> {
    match parent.create_dir(name, mode) {
        Err(failed) if failed.errno() == Some(Errno::EXIST) => {}
        made => return made,
    }
    let found = parent.dir.symlink_metadata(name)?;
    if found.is_dir() || follow && found.is_symlink() {
        return Ok(());
    }
    let made = replace::make(
        parent,
        name,
        |_| Ok(true),
        |name| parent.create_dir(name, mode),
    )?;
    let Some((made, ())) = made else {
        return Err(Failed::new("replace", "it exists"));
    };
    // rename(2) puts no directory in the place of a file.
    let put = TargetDir::remove(parent, name).and_then(|()| parent.rename(&made.name, name));
    if put.is_err() {
        // The first failure is the one to tell.
        let _ = parent.remove_dir(&made.name);
    }
    put
}

/// Makes something of a name, or, where that is taken, under another name that it
/// exchanges for its own when it is complete. A directory with something in it stays.
fn anew<T>(
    parent: &ImageDir,
    name: &OsStr,
    make: impl Fn(&OsStr) -> Result<T>,
) -> Result<(Made, T)> {
    let made = replace::make(parent, name, |_| Ok(true), make)?;
    made.ok_or_else(|| Failed::new("replace", "it exists"))
}

/// Copies the contents of a member; what is zeroes in a sparse one is not
/// written.
fn fill(
    file: &ImageFile,
    member: &Member,
    reader: &mut Reader<impl Read>,
    chunk: &mut [u8],
    mut proceed: impl FnMut(u64) -> Result<bool>,
) -> Filled {
    let whole = [(0, member.size)];
    let extents = member.extents.as_deref().unwrap_or(&whole);
    for &(offset, len) in extents {
        let mut done = 0;
        while done < len {
            let want = (len - done).min(chunk.len() as u64) as usize;
            let got = match reader.read(&mut chunk[..want]) {
                Ok(0) => {
                    let message = "the archive ends in the middle of a file";
                    return Filled::Archive(io::Error::new(io::ErrorKind::InvalidData, message));
                }
                Ok(got) => got,
                Err(error) => return Filled::Archive(error),
            };
            if let Err(error) = file.0.write_all_at(&chunk[..got], offset + done) {
                return Filled::Failed(error.into());
            }
            match proceed(got as u64) {
                Ok(true) => {}
                Ok(false) => return Filled::Interrupted,
                Err(failed) => return Filled::Failed(failed),
            }
            done += got as u64;
        }
    }
    // It ends with a hole.
    let end = extents.last().map_or(0, |(offset, len)| offset + len);
    match end < member.size {
        true => file
            .set_len(member.size)
            .map_or_else(Filled::Failed, |()| Filled::Complete),
        false => Filled::Complete,
    }
}
