//! Puts single members of an archive in their places: names in paths, directories, files
//! that replace others, contents.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use drupe::Errno;

use super::reader::{Member, Reader};
use super::whiteout;
use crate::copy::event::Kind;
use crate::copy::image::{ImageDir, ImageFile};
use crate::copy::replace::{self, Made};
use crate::copy::traits::{SourceDir, TargetDir, TargetFile};
use crate::error::{Error, Result};

/// Why a member was not extracted.
pub(super) enum MemberError {
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
pub(super) fn names(path: &[u8]) -> Option<Vec<&[u8]>> {
    let parts = path.split(|&byte| byte == b'/');
    let names: Vec<&[u8]> = parts.filter(|part| !matches!(*part, b"" | b".")).collect();
    (!names.contains(&&b".."[..])).then_some(names)
}

/// Checks the number of an owner in an archive. The largest 32-bit number is invalid: it
/// means "none" in Linux.
pub(super) fn owner(which: &str, number: i64) -> Result<u32> {
    let fits = u32::try_from(number).ok().filter(|&id| id != u32::MAX);
    fits.ok_or_else(|| {
        let cause = format!("{which} {number} is none of 0 to {}", u32::MAX - 1);
        Error::new("extract", &cause)
    })
}

pub(super) fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Makes a directory, unless there is one.
pub(super) fn make_dir(parent: &ImageDir, name: &OsStr, mode: u32, follow: bool) -> Result<()> {
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
pub(super) fn anew<T>(
    parent: &ImageDir,
    name: &OsStr,
    make: impl Fn(&OsStr) -> Result<T>,
) -> Result<(Made, T)> {
    let made = replace::make(parent, name, |_| Ok(true), make)?;
    made.ok_or_else(|| Error::new("replace", "it exists"))
}

/// Gives a complete file its name. `whole`: a directory that it replaces goes with all
/// that is in it.
pub(super) fn commit(parent: &ImageDir, made: &Made, name: &OsStr, whole: bool) -> Result<()> {
    if whole
        && made.instead_of == Some(Kind::Dir)
        && let Err(failed) = parent
            .open_dir(name)
            .and_then(|dir| whiteout::clear(&dir, &|_, _| false).map(drop))
    {
        replace::abandon(parent, made);
        return Err(failed);
    }
    replace::commit(parent, made, name, None)
}

/// Copies the contents of a member. Holes of a sparse one are not written.
pub(super) fn fill(
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
