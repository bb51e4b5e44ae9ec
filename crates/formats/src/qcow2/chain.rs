//! Opens an image with its backing files and external data file.

use std::io;
use std::path::{Path, PathBuf};

use drupe_host::disk::ImageFile;
use imago::file::File;
use imago::qcow2::Qcow2;
use imago::raw::Raw;
use imago::{DenyImplicitOpenGate, FormatAccess, FormatDriverBuilder, StorageOpenOptions};

use super::Access;
use super::guard::catch;
use super::header::Header;
use crate::options::open_file;
use crate::{Error, Format, Options, Result};

/// Limit of the chain of backing files, which ends loops.
const MAX_DEPTH: usize = 64;

const BACKING: &str = "backing file";
const DATA: &str = "external data file";

/// Opens an image and its other files; `files` keeps them locked.
pub(super) fn open(
    path: &Path,
    file: ImageFile,
    options: &Options,
    files: &mut Vec<ImageFile>,
) -> Result<Access> {
    let read_only = options.read_only;
    let header = Header::read(file.file(), file.size(), read_only)?;
    let storage = storage(&file, read_only)?;
    files.push(file);
    if files.len() > MAX_DEPTH {
        let what = format!("more than {MAX_DEPTH} backing files behind each other");
        return Err(Error::unsupported(Format::Qcow2, what));
    }
    let data = match &header.data_file {
        Some(name) => Some(data_file(path, name, options, files)?),
        None => None,
    };
    let backing = match &header.backing {
        Some(name) => Some(backing(path, name, &header, options, files)?),
        None => None,
    };
    let open = || {
        Qcow2::<File>::builder(storage)
            .write(!read_only)
            .backing(backing)
            .data_file(data)
            .open(DenyImplicitOpenGate::default())
            .map(FormatAccess::new)
    };
    match catch(open) {
        Some(Ok(access)) => Ok(access),
        Some(Err(error)) if error.raw_os_error().is_some() => Err(error.into()),
        Some(Err(error)) => Err(Error::damaged(Format::Qcow2, error.to_string())),
        None => Err(Error::damaged(Format::Qcow2, "its tables are invalid")),
    }
}

/// The file for `imago`, a duplicate that shares the lock.
fn storage(file: &ImageFile, read_only: bool) -> io::Result<File> {
    let options = StorageOpenOptions::new().write(!read_only);
    File::from_open_file(file.file().try_clone()?, options)
}

/// The path in a name, if it names a plain file, not one of QEMU's protocols or a JSON
/// description.
pub(super) fn plain(name: &str) -> Option<&str> {
    let plain = name.strip_prefix("file:").unwrap_or(name);
    (!plain.starts_with("json:") && !plain.contains("://")).then_some(plain)
}

/// The path of a file that the image at `path` names.
fn named(path: &Path, role: &'static str, name: &str, options: &Options) -> Result<PathBuf> {
    let Some(plain) = plain(name) else {
        let what = format!("a {role} that is not a plain file, {name:?},");
        return Err(Error::unsupported(Format::Qcow2, what));
    };
    if !options.backing {
        let name = name.to_owned();
        return Err(Error::NotAllowed { role, name });
    }
    let directory = path.parent().unwrap_or(Path::new(""));
    Ok(directory.join(plain))
}

/// Adds the role and name of the file to an error.
fn about<'a>(role: &'static str, name: &'a str) -> impl Fn(Error) -> Error + use<'a> {
    move |error| Error::Named {
        role,
        name: name.to_owned(),
        error: Box::new(error),
    }
}

fn data_file(
    path: &Path,
    name: &str,
    options: &Options,
    files: &mut Vec<ImageFile>,
) -> Result<File> {
    if name.is_empty() {
        let what = "an external data file without a name";
        return Err(Error::unsupported(Format::Qcow2, what));
    }
    let path = named(path, DATA, name, options)?;
    let mut open = || -> Result<File> {
        let file = open_file(&path, || ImageFile::open(&path, options.read_only))?;
        let storage = storage(&file, options.read_only)?;
        files.push(file);
        Ok(storage)
    };
    let failed = about(DATA, name);
    open().map_err(failed)
}

/// Opens a backing file read-only, in the format that the image states, or else the
/// detected one.
fn backing(
    path: &Path,
    name: &str,
    header: &Header,
    options: &Options,
    files: &mut Vec<ImageFile>,
) -> Result<Access> {
    let path = named(path, BACKING, name, options)?;
    let options = Options {
        read_only: true,
        ..options.clone()
    };
    let mut open_it = || -> Result<Access> {
        let file = open_file(&path, || ImageFile::open(&path, true))?;
        let format = match header.backing_format.as_deref() {
            Some("raw" | "file") => Format::Raw,
            Some(stated) => stated
                .parse()
                .map_err(|_| Error::unsupported(Format::Qcow2, format!("the format {stated:?}")))?,
            None => Format::detect(file.file())?,
        };
        match format {
            Format::Qcow2 => open(&path, file, &options, files),
            Format::Raw => {
                let raw = Raw::open_image(storage(&file, true)?, false)?;
                files.push(file);
                Ok(FormatAccess::new(raw))
            }
            other => {
                let what = format!("a backing file in {other} format");
                Err(Error::unsupported(Format::Qcow2, what))
            }
        }
    };
    open_it().map_err(about(BACKING, name))
}
