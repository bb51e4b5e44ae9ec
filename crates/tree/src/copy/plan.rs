//! Finds the destination of each source, by the rules of cp(1).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use drupe::{Errno, Mount};

use crate::error::{Error, Result};
use crate::paths::{base_name, ends_with_slash};

/// The destination of copies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// An existing directory.
    pub(super) base: PathBuf,
    /// The copy's name in the directory; `None`: the source's name.
    pub(super) name: Option<OsString>,
}

/// The existing file at a path.
pub(super) enum Existing {
    Dir,
    /// Not a directory; its path without symbolic links.
    Other(PathBuf),
    Nothing,
    /// A dangling symbolic link.
    Dangling,
}

impl Existing {
    pub(super) fn on_host(path: &Path) -> std::io::Result<Existing> {
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => Ok(Existing::Dir),
            Ok(_) => path.canonicalize().map(Existing::Other),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok(match path.symlink_metadata() {
                    Ok(_) => Existing::Dangling,
                    Err(_) => Existing::Nothing,
                })
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn in_image(mount: &Mount, path: &Path) -> drupe::Result<Existing> {
        match mount.metadata(path) {
            Ok(metadata) if metadata.is_dir() => Ok(Existing::Dir),
            Ok(_) => mount.canonicalize(path).map(Existing::Other),
            Err(error) if error.errno() == Some(Errno::NOENT) => {
                Ok(match mount.symlink_metadata(path) {
                    Ok(_) => Existing::Dangling,
                    Err(_) => Existing::Nothing,
                })
            }
            Err(error) => Err(error),
        }
    }
}

impl Target {
    /// The destination for copies to `path`, named `label` in messages.
    pub(super) fn new(
        path: &Path,
        label: &str,
        existing: Existing,
        sources: usize,
        recursive: bool,
    ) -> Result<Target> {
        let no = |cause: &str| Err(Error::new("copy to", cause).at(label));
        let path = match existing {
            Existing::Dir => {
                return Ok(Target {
                    base: path.to_owned(),
                    name: None,
                });
            }
            _ if sources > 1 => {
                return no("it is not a directory, and there are several sources");
            }
            Existing::Dangling => {
                return no("it is a symbolic link that leads nowhere");
            }
            Existing::Nothing if ends_with_slash(path) && !recursive => {
                return no("there is no such directory");
            }
            Existing::Nothing => path,
            Existing::Other(_) if ends_with_slash(path) => {
                return no("it is not a directory");
            }
            Existing::Other(ref real) => real,
        };
        match (path.parent(), base_name(path)) {
            (Some(parent), Some(name)) => Ok(Target {
                base: parent.to_owned(),
                name: Some(name),
            }),
            _ => no("there is no such directory"),
        }
    }

    /// The name of a source in the target: its own name, or an empty one if it has none
    /// ("dir/." or the root), so that its contents go into the base.
    pub(super) fn name_for(&self, source: &Path) -> OsString {
        self.name
            .clone()
            .or_else(|| base_name(source))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str, existing: Existing, sources: usize) -> Result<Target> {
        Target::new(Path::new(path), path, existing, sources, true)
    }

    #[test]
    fn into_a_directory_or_to_a_name() {
        let dir = target("/d/", Existing::Dir, 2).expect("a directory");
        assert_eq!(dir.name_for(Path::new("x/y/")), "y");
        assert_eq!(dir.name_for(Path::new("x/.")), "");

        let new = target("/d/new/", Existing::Nothing, 1).expect("a new name");
        assert_eq!(new.base, Path::new("/d"));
        assert_eq!(new.name_for(Path::new("/")), "new");

        assert!(target("/f", Existing::Other("/f".into()), 2).is_err());
        assert!(target("/l", Existing::Dangling, 1).is_err());
        let real = target("/l", Existing::Other("/x/f".into()), 1).expect("a file");
        assert_eq!(real.base, Path::new("/x"));
    }
}
