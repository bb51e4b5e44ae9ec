//! [`Layer`]: the whiteouts of a layer of a container image, and what its members do to
//! the directories of older layers.
//!
//! A whiteout removes what older layers have, wherever in the archive it is; what its own
//! layer has made stays. A file is told by its directory's inode and its name, since
//! several paths lead to a directory.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use drupe::{Dir, Errno};

use super::place::path_of;
use crate::copy::event::{Kind, Stat};
use crate::copy::image::{self, ImageDir};
use crate::copy::traits::{Settable, SourceDir, TargetDir};
use crate::error::{Error, Result};

/// What whiteouts begin with.
const PREFIX: &[u8] = b".wh.";
/// The mark of an opaque directory.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What else aufs keeps in its directories, which is of no use to others.
const AUFS: &[u8] = b".wh..wh.";

/// Which directory: device and inode number.
pub(super) type Id = (u64, u64);

/// What the name of a member stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Marker<'a> {
    /// This name is removed.
    Name(&'a OsStr),
    /// All that older layers have in the directory is removed.
    Opaque,
    /// Nothing.
    Ignored,
}

/// What the member `name` in the directory `above` stands for; `None`: a file.
///
/// # Errors
///
/// It is a whiteout of nothing that could be in a directory.
pub(super) fn marker<'a>(above: &[u8], name: &'a [u8]) -> Result<Option<Marker<'a>>> {
    let mut dirs = above.split(|&byte| byte == b'/');
    if let Some(dir) = dirs.find(|dir| dir.starts_with(PREFIX)) {
        return match dir.starts_with(AUFS) {
            true => Ok(Some(Marker::Ignored)),
            false => Err(Error::new("extract", "it is beneath a whiteout")),
        };
    }
    if name == OPAQUE {
        return Ok(Some(Marker::Opaque));
    }
    if name.starts_with(AUFS) {
        return Ok(Some(Marker::Ignored));
    }
    match name.strip_prefix(PREFIX) {
        None => Ok(None),
        Some(b"" | b"." | b"..") => {
            let cause = "it is a whiteout without the name of a file";
            Err(Error::new("extract", cause))
        }
        Some(name) => Ok(Some(Marker::Name(OsStr::from_bytes(name)))),
    }
}

/// What a layer has made and touched so far.
#[derive(Default)]
pub(super) struct Layer {
    made: HashSet<(Id, OsString)>,
    /// The directories that members were put into or removed from, as they were before.
    entered: HashMap<Id, (Vec<u8>, Stat)>,
}

impl Layer {
    /// Remembers the times of a directory that is about to be changed.
    pub(super) fn enter(&mut self, path: &[u8], dir: &Dir) -> Result<Id> {
        let stat = image::stat(&dir.metadata()?);
        let id = (stat.dev, stat.ino);
        let entry = self.entered.entry(id);
        entry.or_insert_with(|| (path.to_owned(), stat));
        Ok(id)
    }

    /// Notes that a file was made.
    pub(super) fn add(&mut self, dir: Id, name: &OsStr) {
        self.made.insert((dir, name.to_owned()));
    }

    /// Removes what older layers have made.
    pub(super) fn hide(&self, dir: &ImageDir, marker: Marker<'_>) -> Result<()> {
        let keep = |dir: Id, name: &OsStr| self.made.contains(&(dir, name.to_owned()));
        match marker {
            Marker::Ignored => {}
            Marker::Opaque => drop(clear(dir, &keep)?),
            Marker::Name(name) => match dir.stat_of(name) {
                Err(failed) if failed.errno() == Some(Errno::NOENT) => {}
                found => {
                    let kept = keep(id(dir)?, name);
                    remove(dir, name, found?.kind(), kept, &keep)?;
                }
            },
        }
        Ok(())
    }

    /// Gives the directories that were changed the times that they had.
    pub(super) fn restore_times(&mut self, base: &Dir) -> Vec<(Vec<u8>, Error)> {
        let mut failed = Vec::new();
        for (id, (path, stat)) in std::mem::take(&mut self.entered) {
            // It may have been replaced or removed meanwhile.
            let Ok(dir) = base.open_dir_within(path_of(&path)) else {
                continue;
            };
            if !dir.metadata().is_ok_and(|now| (now.dev(), now.ino()) == id) {
                continue;
            }
            if let Err(error) = ImageDir::of(dir).set_times(stat.accessed, stat.modified) {
                failed.push((path, error));
            }
        }
        failed
    }
}

fn id(dir: &ImageDir) -> Result<Id> {
    let stat = dir.stat()?;
    Ok((stat.dev, stat.ino))
}

/// A directory that is being cleared.
struct Clearing {
    dir: ImageDir,
    id: Id,
    /// Entries that were not looked at yet.
    left: Vec<(OsString, Option<Kind>)>,
    /// Whether something is left in it.
    full: bool,
    /// Its name, and whether it stays even if it is empty.
    name: OsString,
    kept: bool,
}

impl Clearing {
    fn new(dir: ImageDir, name: OsString, kept: bool) -> Result<Clearing> {
        Ok(Clearing {
            id: id(&dir)?,
            left: dir.entries()?,
            full: false,
            dir,
            name,
            kept,
        })
    }
}

/// Removes all that is in a directory but what is to be kept. Whether it is empty now.
///
/// Without recursion: who made an image chooses how deep its directories are.
pub(super) fn clear(dir: &ImageDir, keep: &dyn Fn(Id, &OsStr) -> bool) -> Result<bool> {
    let mut stack = vec![Clearing::new(dir.again()?, OsString::new(), true)?];
    while let Some(top) = stack.last_mut() {
        if let Some((name, kind)) = top.left.pop() {
            let kind = match kind {
                Some(kind) => kind,
                None => top.dir.stat_of(&name)?.kind(),
            };
            let kept = keep(top.id, &name);
            if kind == Kind::Dir {
                let below = top.dir.open_dir(&name)?;
                stack.push(Clearing::new(below, name, kept)?);
            } else if kept {
                top.full = true;
            } else {
                top.dir.remove(&name)?;
            }
            continue;
        }
        let Some(done) = stack.pop() else {
            break;
        };
        let Some(above) = stack.last_mut() else {
            return Ok(!done.full);
        };
        match done.kept || done.full {
            true => above.full = true,
            false => above.dir.remove_dir(&done.name)?,
        }
    }
    Ok(true)
}

/// Removes an entry of a directory, with all that is in it; not if it is `kept`, nor what
/// else is to be kept.
fn remove(
    dir: &ImageDir,
    name: &OsStr,
    kind: Kind,
    kept: bool,
    keep: &dyn Fn(Id, &OsStr) -> bool,
) -> Result<()> {
    if kind != Kind::Dir {
        return match kept {
            true => Ok(()),
            false => dir.remove(name),
        };
    }
    let empty = clear(&dir.open_dir(name)?, keep)?;
    match kept || !empty {
        true => Ok(()),
        false => dir.remove_dir(name),
    }
}

/// Removes the extended attributes that a directory has from older layers. Labels of
/// SELinux are the image's, and ACLs are replaced with the mode.
pub(super) fn remove_xattrs(dir: &Dir, new: &[(OsString, Vec<u8>)]) -> Result<()> {
    for (name, _) in dir.xattrs()? {
        let stays = name == "security.selinux" || name.as_bytes().starts_with(b"system.");
        if !stays && new.iter().all(|(new, _)| *new != name) {
            dir.remove_xattr(&name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_whiteouts() {
        let name = |name| Marker::Name(OsStr::new(name));
        for (above, member, expected) in [
            (&b"a/b"[..], &b"c"[..], None),
            (b"a", b".wh", None),
            (b"", b".wh.x", Some(name("x"))),
            (b"a", b".wh.wh.", Some(name("wh."))),
            (b"a", b".wh...x", Some(name("..x"))),
            (b"a", b".wh..wh..opq", Some(Marker::Opaque)),
            (b"a", b".wh..wh.plnk", Some(Marker::Ignored)),
            (b".wh..wh.plnk", b"12.34", Some(Marker::Ignored)),
        ] {
            let found = marker(above, member).expect("a valid name");
            assert_eq!(found, expected, "{}", member.escape_ascii());
        }
        for (above, member) in [
            (&b"a"[..], &b".wh."[..]),
            (b"a", b".wh.."),
            (b"a", b".wh..."),
            (b"a/.wh.b", b"c"),
        ] {
            assert!(marker(above, member).is_err(), "{}", member.escape_ascii());
        }
    }
}
