//! What a copy keeps of a file besides its contents.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use drupe::Errno;

use super::event::Attributes;
use super::problem::Result;
use super::side::Settable;

/// What to keep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    /// Everything; otherwise permissions, less the umask.
    pub(super) archive: bool,
    /// Of whoever runs the command.
    pub(super) umask: u32,
}

/// How the file came to be whose attributes are to be set.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin {
    /// Made by this copy, with this mode; and these are its owners and that is
    /// exactly its mode, if that is known.
    Made {
        mode: u32,
        heirs: Option<(u32, u32)>,
    },
    Existed,
}

/// What the target refused to keep: a filesystem without owners, a user
/// without rights.
#[derive(Debug, Default)]
pub(super) struct Refused {
    pub(super) owners: u64,
    pub(super) modes: u64,
    pub(super) xattrs: u64,
}

impl Keep {
    /// The mode to make a file with. Set-user-ID and the like come after the
    /// owner, who would take them away.
    pub(super) fn mode(&self, attributes: &Attributes) -> u32 {
        let mode = attributes.stat.mode & 0o777;
        match self.archive {
            // An ordinary user must be able to write to set them.
            true if !attributes.xattrs.is_empty() => mode | 0o600,
            true => mode,
            false => mode & !self.umask,
        }
    }

    /// Sets what is to be kept and is not so yet. `has_mode`: not a symbolic link.
    pub(super) fn apply(
        &self,
        file: &impl Settable,
        attributes: &Attributes,
        origin: Origin,
        has_mode: bool,
        refused: &mut Refused,
    ) -> Result<()> {
        if !self.archive {
            return Ok(());
        }
        let stat = &attributes.stat;
        let known = match origin {
            Origin::Made { mode, heirs } => heirs.map(|owners| (owners, mode)),
            Origin::Existed => None,
        };
        let mut mode = stat.mode & 0o7777;
        if known.map(|(owners, _)| owners) != Some((stat.uid, stat.gid)) {
            let before = refused.owners;
            tolerate(file.chown(stat.uid, stat.gid), &mut refused.owners)?;
            if refused.owners > before {
                // Set-user-ID was meant for another owner (cp does the same).
                mode &= 0o777;
            }
        }
        let (acls, others): (Vec<_>, Vec<_>) = attributes
            .xattrs
            .iter()
            .partition(|(name, _)| name.as_bytes().starts_with(b"system."));
        for (name, value) in others {
            tolerate(file.set_xattr(name, value), &mut refused.xattrs)?;
        }
        if has_mode && known.map(|(_, mode)| mode) != Some(mode) {
            tolerate(file.chmod(mode), &mut refused.modes)?;
        }
        if known.is_none() && has_mode {
            remove_inherited(file, attributes)?;
        }
        // An ACL is part of the mode, and the mode of the ACL.
        for (name, value) in acls {
            tolerate(file.set_xattr(name, value), &mut refused.xattrs)?;
        }
        file.set_times(stat.accessed, stat.modified)
    }
}

/// Takes away ACLs that the file got from the directory it was made in, or had.
fn remove_inherited(file: &impl Settable, attributes: &Attributes) -> Result<()> {
    for acl in ["system.posix_acl_access", "system.posix_acl_default"] {
        if attributes.xattrs.iter().any(|(name, _)| name == acl) {
            continue;
        }
        match file.remove_xattr(OsStr::new(acl)) {
            Err(failed) if failed.errno() == Some(Errno::NODATA) || failed.is_refusal() => {}
            result => result?,
        }
    }
    Ok(())
}

/// Counts a refusal instead of failing.
fn tolerate(result: Result<()>, refused: &mut u64) -> Result<()> {
    match result {
        Err(failed) if failed.is_refusal() => {
            *refused += 1;
            Ok(())
        }
        result => result,
    }
}
