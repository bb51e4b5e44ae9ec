//! Finds the destination of `mv` and `ln`: a name, or a name in a directory.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use anyhow::anyhow;
use drupe::Mount;

use crate::context::Context;
use crate::exit::Failure;
use crate::location::ImagePath;
use drupe_tree::paths::base_name;

/// What the last argument names.
pub(super) struct Place {
    pub(super) mount: Mount,
    pub(super) dest: ImagePath,
    /// An existing directory: things get their own names in it.
    into: bool,
}

/// How to take the last argument.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// It is a name, even if there is such a directory.
    pub(super) is_name: bool,
    /// If it is a symbolic link, it is that link.
    pub(super) stay: bool,
}

impl Place {
    /// Splits arguments into all but the last one and what that one names.
    pub(super) fn find<'a>(
        context: &mut Context<'_>,
        arguments: &'a [OsString],
        rules: Rules,
    ) -> Result<(&'a [OsString], Place), Failure> {
        let Some((dest, sources)) = arguments.split_last() else {
            return Err(Failure::usage("the destination is missing"));
        };
        let dest = context.target(dest)?;
        let mount = context.mount_for_writing(&dest.volume)?;
        let found = match rules.stay {
            true => mount.symlink_metadata(&dest.path),
            false => mount.metadata(&dest.path),
        };
        let into = !rules.is_name && found.is_ok_and(|found| found.is_dir());
        if sources.len() > 1 && !into {
            let message = format!(
                "{} is not a directory, and there are several sources",
                dest.label()
            );
            return Err(Failure::usage(message));
        }
        Ok((sources, Place { mount, dest, into }))
    }

    /// The new path of something.
    pub(super) fn path_for(&self, source: &OsStr) -> Result<PathBuf, Failure> {
        if !self.into {
            return Ok(self.dest.path.clone());
        }
        let name = base_name(source.as_ref());
        let name = name.ok_or_else(|| anyhow!("{} has no name", source.display()))?;
        Ok(self.dest.path.join(name))
    }

    /// A path that must be of the same filesystem.
    pub(super) fn beside(
        &self,
        context: &Context<'_>,
        argument: &OsStr,
        verb: &str,
        instead: &str,
    ) -> Result<ImagePath, Failure> {
        let path = context.target(argument)?;
        match path.volume == self.dest.volume {
            true => Ok(path),
            false => Err(Failure::usage(format!(
                "{} and {} are not on the same filesystem, so there is nothing to {verb}; {instead}",
                path.label(),
                self.dest.label()
            ))),
        }
    }

    /// A path of this filesystem, as messages name it.
    pub(super) fn label(&self, path: &std::path::Path) -> String {
        format!("{}:{}", self.dest.volume.label(), path.display())
    }
}
