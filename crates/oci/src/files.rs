//! [`Files`]: the files of an archive or layout, by name: those of a directory of the host,
//! or members of a tar archive, which is read once from its beginning to its end.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::verify::Stream;

/// Members of an archive at most: an image has two or three for each layer.
const MEMBERS: usize = 100_000;

/// O_NONBLOCK of Linux: no FIFO is waited for.
const NONBLOCK: i32 = 0o4000;

/// Files by name.
#[derive(Debug)]
pub(crate) enum Files {
    Dir(PathBuf),
    Archive(Archive),
}

/// An archive, and where its members' contents are.
#[derive(Debug)]
pub(crate) struct Archive {
    path: PathBuf,
    members: HashMap<String, Member>,
}

#[derive(Debug, Clone)]
enum Member {
    File { offset: u64, size: u64 },
    Link(String),
}

impl Files {
    pub(crate) fn dir(path: &Path) -> Files {
        Files::Dir(path.to_owned())
    }

    pub(crate) fn archive(path: &Path) -> Result<Files> {
        let name = || path.display().to_string();
        let failed = |error| Error::file(name(), error);
        let file = open(path).map_err(failed)?;
        let mut magic = [0; 6];
        let read = file.read_at(&mut magic, 0).map_err(failed)?;
        let tool = match &magic[..read] {
            [0x1f, 0x8b, ..] => Some("gunzip"),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("unzstd"),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Some("unxz"),
            _ => None,
        };
        if let Some(tool) = tool {
            let problem = format!(
                "it is compressed, and its parts are read in another order than they are in; \
                 decompress it with {tool}"
            );
            return Err(Error::unsupported(name(), problem));
        }
        let mut members = HashMap::new();
        let mut archive = tar::Archive::new(&file);
        for member in archive.entries_with_seek().map_err(failed)? {
            let member = member.map_err(failed)?;
            let Ok(path) = String::from_utf8(member.path_bytes().into_owned()) else {
                continue;
            };
            let Some(path) = normal("", &path) else {
                continue;
            };
            let kind = member.header().entry_type();
            let found = if kind.is_file() {
                Member::File {
                    offset: member.raw_file_position(),
                    size: member.size(),
                }
            } else if kind.is_symlink() || kind.is_hard_link() {
                let target = member.link_name_bytes().unwrap_or_default();
                let Ok(target) = String::from_utf8(target.into_owned()) else {
                    continue;
                };
                // A symbolic link begins at its directory.
                let from = match kind.is_symlink() {
                    true => path.rsplit_once('/').map_or("", |(dir, _)| dir),
                    false => "",
                };
                match normal(from, &target) {
                    Some(target) => Member::Link(target),
                    None => continue,
                }
            } else {
                continue;
            };
            members.insert(path, found);
            if members.len() > MEMBERS {
                let problem = format!("it has more than {MEMBERS} members");
                return Err(Error::unsupported(name(), problem));
            }
        }
        Ok(Files::Archive(Archive {
            path: path.to_owned(),
            members,
        }))
    }

    /// The name of a file, for errors.
    pub(crate) fn shown(&self, name: &str) -> String {
        match self {
            Files::Dir(dir) => dir.join(name).display().to_string(),
            Files::Archive(archive) => format!("{} ({name})", archive.path.display()),
        }
    }

    /// Whether there is such a file.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Files::Dir(dir) => dir.join(name).exists(),
            Files::Archive(archive) => archive.find(name).is_some(),
        }
    }

    /// A file, and its size.
    pub(crate) fn open(&self, name: &str) -> Result<(Stream, u64)> {
        let failed = |error| Error::file(self.shown(name), error);
        match self {
            Files::Dir(dir) => {
                let file = open(&dir.join(name)).map_err(failed)?;
                let size = file.metadata().map_err(failed)?.len();
                Ok((Box::new(file), size))
            }
            Files::Archive(archive) => {
                let absent = || failed(io::ErrorKind::NotFound.into());
                let (offset, size) = archive.find(name).ok_or_else(absent)?;
                let file = open(&archive.path).map_err(failed)?;
                let end = offset.saturating_add(size);
                let at = offset;
                Ok((Box::new(Part { file, at, end }), size))
            }
        }
    }
}

impl Archive {
    /// Offset and size of a file's contents, behind links.
    fn find(&self, name: &str) -> Option<(u64, u64)> {
        let mut name = name;
        for _ in 0..8 {
            match self.members.get(name)? {
                Member::File { offset, size } => return Some((*offset, *size)),
                Member::Link(target) => name = target,
            }
        }
        None
    }
}

/// Opens a regular file, and nothing else.
fn open(path: &Path) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .custom_flags(NONBLOCK)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file")),
    }
}

/// A path without `.` and `..`; `None`: it leads out.
fn normal(from: &str, path: &str) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    let from = match path.starts_with('/') {
        true => "",
        false => from,
    };
    for name in from.split('/').chain(path.split('/')) {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()?),
            name => names.push(name),
        }
    }
    Some(names.join("/"))
}

/// A part of a file.
struct Part {
    file: File,
    at: u64,
    end: u64,
}

impl Read for Part {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_sub(self.at).min(bytes.len() as u64) as usize;
        let count = self.file.read_at(&mut bytes[..left], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        let normal = |from: &str, path: &str| normal(from, path);
        assert_eq!(normal("", "./a//b/.").as_deref(), Some("a/b"));
        assert_eq!(normal("a/b", "../c/d").as_deref(), Some("a/c/d"));
        assert_eq!(normal("a", "/c").as_deref(), Some("c"));
        assert_eq!(normal("a", "../../c"), None);
    }
}
