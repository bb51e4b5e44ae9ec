//! [`extract`]: extracts an archive into a directory of an image.
//!
//! Nothing outside of the directory is made, changed or linked to: `..` is refused, a
//! leading slash is dropped, and symbolic links, existing or extracted, do not lead out
//! of it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use drupe::{Dir, Errno, Mount, makedev};

use super::reader::{Kind, Member, Reader};
use super::{acl, compress};
use crate::copy::event::{Attributes, Stat};
use crate::copy::image::{ImageDir, ImageFile};
use crate::copy::keep::{Keep, Origin, Overrides, Refused};
use crate::copy::replace::{self, Made};
use crate::copy::traits::{Entry, TargetDir, TargetFile};
use crate::error::{Error, Result, host};
use crate::location::ImageLocation;
use crate::time::Time;
use crate::umask::Umask;
use crate::unwritten::Unwritten;
use crate::users::Names;
use crate::{Interrupt, Outcome, Progress, glob};

/// Bytes of contents copied at once.
const CHUNK: usize = 1 << 20;

/// Options of extracting an archive; see tar(1).
#[derive(Debug, Clone, Default)]
pub struct ExtractOptions {
    /// Sets owners by name, for names that the image's users and groups have; otherwise
    /// by number.
    pub names: bool,
    /// How many names to strip from the beginning of paths.
    pub strip_components: usize,
    /// Patterns of paths, or of names in them, to leave out.
    pub exclude: Vec<OsString>,
    /// Keeps a symbolic link to a directory where the archive has a directory.
    pub keep_directory_symlink: bool,
    /// The latest time that is kept (`SOURCE_DATE_EPOCH`): later times become this one.
    pub epoch: Option<Time>,
}

/// Extracts an archive, plain or compressed, into the directory `dest`, with all
/// attributes. Errors call the archive `name`.
///
/// Errors of single members are reported to `progress` and counted in the [`Outcome`];
/// the extraction goes on.
///
/// # Errors
///
/// Errors that end it: a damaged archive, a full target, or `interrupt`
/// ([`Error::is_interrupted`]).
pub fn extract(
    archive: impl Read,
    name: &str,
    dest: &ImageLocation,
    options: &ExtractOptions,
    umask: &Umask,
    interrupt: &Interrupt,
    progress: &dyn Progress,
) -> Result<Outcome> {
    let base = dest.mount.open_dir(&dest.path);
    let base = base.map_err(|error| Error::from(error).at(dest.shown()))?;
    let overrides = Overrides {
        epoch: options.epoch,
        ..Overrides::default()
    };
    if options.epoch.is_some() {
        let late = dest.mount.write_back_late();
        late.map_err(|error| Error::from(error).at(dest.shown()))?;
    }
    let mut extractor = Extractor {
        base,
        mount: &dest.mount,
        label: dest.shown(),
        options,
        keep: Keep {
            archive: true,
            umask: umask.bits,
            overrides: &overrides,
        },
        interrupt,
        progress,
        owners: None,
        parent: None,
        dirs: BTreeMap::new(),
        refused: Refused::default(),
        chunk: vec![0; CHUNK],
        told_of_slashes: false,
        unwritten: Unwritten::default(),
        errors: 0,
    };
    let archive = host("read", compress::reader(archive));
    interrupt.check("extract")?;
    let archive = archive.map_err(|error| error.at(name))?;
    let extracted = extractor.run(&mut Reader::new(archive), name);
    // Also after an error: what there is has its attributes.
    extractor.finish();
    extractor.refused.warn(progress);
    interrupt.check("extract")?;
    extracted.map(|()| Outcome {
        errors: extractor.errors,
    })
}

/// The users and groups of the image, read when first needed.
struct Owners {
    users: Names,
    groups: Names,
}

/// The directory of the current member.
struct Parent {
    path: Vec<u8>,
    dir: ImageDir,
    /// Owners of new files in it, if they are known.
    owners_of_new: Option<(u32, u32)>,
}

struct Extractor<'a> {
    base: Dir,
    mount: &'a Mount,
    label: String,
    options: &'a ExtractOptions,
    keep: Keep<'a>,
    interrupt: &'a Interrupt,
    progress: &'a dyn Progress,
    owners: Option<Owners>,
    /// The directory of the previous member.
    parent: Option<Parent>,
    /// Attributes of directories, which are set at the end, since filling a directory
    /// changes them.
    dirs: BTreeMap<Vec<u8>, Attributes>,
    refused: Refused,
    chunk: Vec<u8>,
    told_of_slashes: bool,
    unwritten: Unwritten,
    errors: u64,
}

/// Why a member was not extracted.
enum MemberError {
    /// An error of the member or the target.
    Member(Error),
    /// The rest of the archive cannot be read.
    Archive(io::Error),
}

impl From<Error> for MemberError {
    fn from(error: Error) -> MemberError {
        MemberError::Member(error)
    }
}

impl From<drupe::Error> for MemberError {
    fn from(error: drupe::Error) -> MemberError {
        MemberError::Member(error.into())
    }
}

/// The names in a path, without empty ones and "."; `None`: there is a "..".
fn names(path: &[u8]) -> Option<Vec<&[u8]>> {
    let parts = path.split(|&byte| byte == b'/');
    let names: Vec<&[u8]> = parts.filter(|part| !matches!(*part, b"" | b".")).collect();
    (!names.contains(&&b".."[..])).then_some(names)
}

/// Checks the number of an owner in an archive. The largest 32-bit number is invalid: it
/// means "none" in Linux.
fn owner(which: &str, number: i64) -> Result<u32> {
    let fits = u32::try_from(number).ok().filter(|&id| id != u32::MAX);
    fits.ok_or_else(|| {
        let cause = format!("{which} {number} is none of 0 to {}", u32::MAX - 1);
        Error::new("extract", &cause)
    })
}

fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

impl Extractor<'_> {
    fn run(&mut self, reader: &mut Reader<impl Read>, name: &str) -> Result<()> {
        let broken = |error: io::Error| match host::<()>("read", Err(error)) {
            Err(error) => error.at(name),
            Ok(()) => Error::new("read", "it failed").at(name),
        };
        while let Some(mut member) = reader.next().map_err(broken)? {
            self.interrupt.check("extract")?;
            let Some(path) = self.accept(&mut member) else {
                continue;
            };
            let shown = String::from_utf8_lossy(&path).into_owned();
            self.progress.name(&shown);
            let shown = format!("{}/{shown}", self.label.trim_end_matches('/'));
            let extracted = self.member(&path, &member, reader);
            for error in self.refused.take_failed(|| shown.clone()) {
                self.report(&error);
            }
            match extracted {
                Ok(()) => {}
                Err(MemberError::Archive(error)) => return Err(broken(error)),
                Err(MemberError::Member(error)) => {
                    let error = error.at(shown);
                    if error.is_fatal() || error.is_interrupted() {
                        return Err(error);
                    }
                    self.report(&error);
                }
            }
            self.progress.file();
        }
        // Whoever writes the archive may not be done with what pads it.
        reader.drain().map_err(broken)
    }

    fn report(&mut self, error: &Error) {
        self.progress.error(error);
        self.errors += 1;
    }

    fn problem(&mut self, path: &str, cause: &str) {
        self.report(&Error::new("extract", cause).at(path));
    }

    /// The member's path in the directory; `None`: it is left out.
    fn accept(&mut self, member: &mut Member) -> Option<Vec<u8>> {
        let shown = || String::from_utf8_lossy(&member.path).into_owned();
        if let Kind::Other(kind) = member.kind {
            let cause = format!(
                "it is of a type ({:?}) that there is no file for",
                char::from(kind)
            );
            self.problem(&shown(), &cause);
            return None;
        }
        let Some(names) = names(&member.path) else {
            self.problem(&shown(), "it has .. in its path, and is left out");
            return None;
        };
        if member.path.starts_with(b"/") && !self.told_of_slashes {
            self.told_of_slashes = true;
            self.progress
                .warning("the slash in front of members' names is left out");
        }
        let strip = self.options.strip_components;
        if names.len() < strip || names.len() == strip && strip > 0 {
            return None;
        }
        let path = names[strip..].join(&b'/');
        let mut patterns = self
            .options
            .exclude
            .iter()
            .map(|pattern| pattern.as_bytes())
            .map(|pattern| pattern.strip_prefix(b"./").unwrap_or(pattern));
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
    ) -> Result<(), MemberError> {
        let mut attributes = self.attributes(member)?;
        self.keep.adjust(&mut attributes);
        if path.is_empty() {
            return match member.kind {
                Kind::Dir => {
                    self.dirs.insert(Vec::new(), attributes);
                    Ok(())
                }
                _ => Err(Error::new("extract", "it has no name").into()),
            };
        }
        let at = path.iter().rposition(|&byte| byte == b'/');
        let (above, name) = match at {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&b""[..], path),
        };
        self.enter(above)?;
        let Some(Parent {
            dir: parent,
            owners_of_new,
            ..
        }) = &self.parent
        else {
            return Err(Error::new("extract", "its directory is gone").into());
        };
        let name = OsStr::from_bytes(name);
        let mode = self.keep.mode(&attributes);
        let owners_of_new = *owners_of_new;
        let origin = Origin::Made {
            mode,
            owners_of_new,
        };
        match member.kind {
            Kind::Dir => {
                make_dir(
                    parent,
                    name,
                    mode | 0o700,
                    self.options.keep_directory_symlink,
                )?;
                self.dirs.insert(path.to_owned(), attributes);
                return Ok(());
            }
            Kind::File => {
                let (made, file) = anew(parent, name, |name| parent.create(name, mode))?;
                let still = self.keep.overrides.epoch.is_some();
                let filled = fill(&file, member, reader, &mut self.chunk, |bytes| {
                    self.progress.bytes(bytes);
                    if still && self.unwritten.add(bytes + 4096) {
                        parent.settle()?;
                    }
                    self.interrupt.check("extract")
                });
                if let Err(ended) = filled {
                    drop(file);
                    // Half a file is worse than none.
                    replace::abandon(parent, &made);
                    return Err(ended);
                }
                self.keep
                    .apply(&file, &attributes, origin, true, &mut self.refused);
                drop(file);
                replace::commit(parent, &made, name, None)?;
                return Ok(());
            }
            Kind::Link => {
                let Some(names) = names(&member.link) else {
                    return Err(Error::new("link", "its target has .. in it").into());
                };
                let strip = self.options.strip_components;
                let names = names.get(strip..).filter(|names| !names.is_empty());
                let Some((last, above)) = names.and_then(<[_]>::split_last) else {
                    return Err(Error::new("link", "its target has no name").into());
                };
                let dir = self.base.open_dir_within(path_of(&above.join(&b'/')))?;
                let last = OsStr::from_bytes(last);
                // Onto itself would remove it.
                let there = dir.symlink_metadata(last)?;
                if there.is_dir() {
                    return Err(Error::new("link", "its target is a directory").into());
                }
                if let Ok(own) = parent.dir.symlink_metadata(name)
                    && own.ino() == there.ino()
                {
                    return Ok(());
                }
                let link = |name: &OsStr| Ok(parent.dir.hard_link(&dir, last, name)?);
                let (made, ()) = anew(parent, name, link)?;
                replace::commit(parent, &made, name, None)?;
                return Ok(());
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
            true => Origin::Made {
                mode: 0o777,
                owners_of_new,
            },
            false => origin,
        };
        self.keep
            .apply(&entry, &attributes, origin, !is_link, &mut self.refused);
        replace::commit(parent, &made, name, None)?;
        Ok(())
    }

    /// Opens the directory of the next member, and makes missing directories.
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
            owners_of_new: dir.owners_of_new()?,
            dir,
        });
        Ok(())
    }

    fn attributes(&mut self, member: &Member) -> Result<Attributes> {
        let (mut uid, mut gid) = (None, None);
        if self.options.names {
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
                let cause = "its ACL is invalid, or names a user or group that is not in the image";
                self.problem(&path, cause);
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
            self.owners = Some(Owners {
                users: Names::users(self.mount)?,
                groups: Names::groups(self.mount)?,
            });
        }
        self.owners
            .as_ref()
            .ok_or_else(|| Error::new("look up owners", "there are none"))
    }

    /// Sets the attributes of directories, deepest first.
    fn finish(&mut self) {
        self.parent = None;
        for (path, attributes) in std::mem::take(&mut self.dirs).into_iter().rev() {
            let applied = self
                .base
                .open_dir_within(path_of(&path))
                .map_err(Error::from);
            let applied = applied.map(|dir| {
                let dir = ImageDir::of(dir);
                let refused = &mut self.refused;
                self.keep
                    .apply(&dir, &attributes, Origin::Existed, true, refused);
            });
            let path = String::from_utf8_lossy(&path);
            let shown = format!("{}/{path}", self.label.trim_end_matches('/'));
            let mut failed = self.refused.take_failed(|| shown.clone());
            failed.extend(applied.err().map(|error| error.at(shown)));
            for error in failed {
                self.report(&error);
            }
        }
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
        return Err(Error::new("replace", "it exists"));
    };
    // rename(2) puts no directory in the place of a file.
    let put = TargetDir::remove(parent, name).and_then(|()| parent.rename(&made.name, name));
    if put.is_err() {
        // The first failure is the one to tell.
        let _ = parent.remove_dir(&made.name);
    }
    put
}

/// Makes a file with a name; if that is taken, under a temporary name, and renames it
/// when it is complete. A directory that is not empty is not replaced.
fn anew<T>(
    parent: &ImageDir,
    name: &OsStr,
    make: impl Fn(&OsStr) -> Result<T>,
) -> Result<(Made, T)> {
    let made = replace::make(parent, name, |_| Ok(true), make)?;
    made.ok_or_else(|| Error::new("replace", "it exists"))
}

/// Copies the contents of a member. Holes of a sparse one are not written.
fn fill(
    file: &ImageFile,
    member: &Member,
    reader: &mut Reader<impl Read>,
    chunk: &mut [u8],
    mut proceed: impl FnMut(u64) -> Result<()>,
) -> Result<(), MemberError> {
    let whole = [(0, member.size)];
    let extents = member.extents.as_deref().unwrap_or(&whole);
    for &(offset, len) in extents {
        let mut done = 0;
        while done < len {
            let want = (len - done).min(chunk.len() as u64) as usize;
            let got = reader
                .read(&mut chunk[..want])
                .map_err(MemberError::Archive)?;
            if got == 0 {
                let message = "the archive ends in the middle of a file";
                let error = io::Error::new(io::ErrorKind::InvalidData, message);
                return Err(MemberError::Archive(error));
            }
            file.0.write_all_at(&chunk[..got], offset + done)?;
            proceed(got as u64)?;
            done += got as u64;
        }
    }
    // It ends with a hole.
    let end = extents.last().map_or(0, |(offset, len)| offset + len);
    if end < member.size {
        file.set_len(member.size)?;
    }
    Ok(())
}
