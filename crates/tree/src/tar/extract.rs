//! [`extract`]: extracts an archive into a directory of an image.
//!
//! Nothing outside of the directory is made, changed or linked to: `..` is refused, a
//! leading slash is dropped, and symbolic links, existing or extracted, do not lead out
//! of it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use drupe::{Dir, Errno, Mount, makedev};

use super::place::{MemberError, anew, commit, fill, make_dir, names, owner, path_of};
use super::reader::{Kind, Member, Reader};
use super::whiteout::{self, Layer, Marker};
use super::{acl, compress};
use crate::copy::event::{Attributes, Stat};
use crate::copy::image::ImageDir;
use crate::copy::keep::{Keep, Origin, Overrides, Refused};
use crate::copy::replace;
use crate::copy::traits::{Entry, TargetDir};
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
    /// The archive is a layer of a container image: a file `.wh.NAME` stands for the
    /// removal of `NAME`, and `.wh..wh..opq` for that of all that older layers have in
    /// its directory. A directory is replaced with all that is in it, and one that exists
    /// keeps its times unless the archive has others for it.
    pub whiteouts: bool,
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
        layer: options.whiteouts.then(Layer::default),
        unwritten: Unwritten::default(),
        errors: 0,
    };
    let archive = host("read", compress::reader(archive));
    interrupt.check("extract")?;
    let archive = archive.map_err(|error| error.at(name))?;
    let extracted = extractor.run(&mut Reader::new(archive).unpadded(options.whiteouts), name);
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
    /// Which one it is.
    id: whiteout::Id,
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
    /// With whiteouts.
    layer: Option<Layer>,
    unwritten: Unwritten,
    errors: u64,
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
        if self.layer.is_some()
            && let Some(marker) = whiteout::marker(above, name)?
        {
            return Ok(self.hide(above, marker)?);
        }
        self.enter(above)?;
        self.put(path, name, attributes, member, reader)?;
        if let (Some(layer), Some(parent)) = (&mut self.layer, &self.parent) {
            layer.add(parent.id, OsStr::from_bytes(name));
            if member.kind != Kind::Dir && self.dirs.remove(path).is_some() {
                // A directory that this archive had made before.
                let beneath = [path, b"/"].concat();
                self.dirs.retain(|dir, _| !dir.starts_with(&beneath));
            }
        }
        Ok(())
    }

    /// Does what a whiteout in the directory `above` says.
    fn hide(&mut self, above: &[u8], marker: Marker<'_>) -> Result<()> {
        // Nothing is hidden in a directory that is not there.
        match self.base.open_dir_within(path_of(above)) {
            Err(error) if matches!(error.errno(), Some(Errno::NOENT | Errno::NOTDIR)) => {
                return Ok(());
            }
            found => found?,
        };
        self.enter(above)?;
        match (&self.layer, &self.parent) {
            (Some(layer), Some(parent)) => layer.hide(&parent.dir, marker),
            _ => Ok(()),
        }
    }

    /// Makes the file `name` of the current directory.
    fn put(
        &mut self,
        path: &[u8],
        name: &[u8],
        attributes: Attributes,
        member: &Member,
        reader: &mut Reader<impl Read>,
    ) -> Result<(), MemberError> {
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
                commit(parent, &made, name, self.layer.is_some())?;
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
                commit(parent, &made, name, self.layer.is_some())?;
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
        commit(parent, &made, name, self.layer.is_some())?;
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
        let id = match &mut self.layer {
            Some(layer) => layer.enter(path, &dir)?,
            None => whiteout::Id::default(),
        };
        let dir = ImageDir::of(dir);
        self.parent = Some(Parent {
            path: path.to_owned(),
            id,
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
        if let Some(layer) = &mut self.layer {
            for (path, error) in layer.restore_times(&self.base) {
                let path = String::from_utf8_lossy(&path);
                let shown = format!("{}/{path}", self.label.trim_end_matches('/'));
                self.report(&error.at(shown));
            }
        }
        for (path, attributes) in std::mem::take(&mut self.dirs).into_iter().rev() {
            let applied = self
                .base
                .open_dir_within(path_of(&path))
                .map_err(Error::from);
            let applied = applied.map(|dir| {
                let dir = ImageDir::of(dir);
                let refused = &mut self.refused;
                if self.layer.is_some() {
                    refused.add(whiteout::remove_xattrs(&dir.dir, &attributes.xattrs));
                }
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
