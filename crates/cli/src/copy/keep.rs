//! What a copy keeps of a file besides its contents.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use drupe::Errno;

use super::event::{Attributes, Kind};
use super::problem::{Failed, Result};
use super::side::Settable;
use crate::mode::ModeChange;
use crate::time::Time;

/// What is not to be as the source has it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) mode: Option<ModeChange>,
    pub(crate) modified: Option<Time>,
    /// No time is later, and when a file was last read does not matter.
    pub(crate) epoch: Option<Time>,
}

/// What to keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keep<'a> {
    /// Everything; otherwise permissions, less the umask.
    pub(crate) archive: bool,
    /// Of whoever runs the command.
    pub(crate) umask: u32,
    pub(crate) wanted: &'a Wanted,
}

/// How the file came to be whose attributes are to be set.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin {
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
pub(crate) struct Refused {
    pub(crate) owners: u64,
    pub(crate) modes: u64,
    pub(crate) xattrs: u64,
    /// What it could not do, of the file that was last. Not the end of that file: it
    /// has its contents, and all else that can be had.
    failed: Vec<Failed>,
}

impl Refused {
    /// What could not be done of the file that was last.
    pub(crate) fn take_failed(&mut self) -> Vec<Failed> {
        std::mem::take(&mut self.failed)
    }

    /// Counts a refusal that `which` stands for, notes any other failure.
    fn note(&mut self, result: Result<()>, which: fn(&mut Refused) -> &mut u64) {
        match result {
            Ok(()) => {}
            Err(failed) if failed.is_refusal() => *which(self) += 1,
            Err(failed) => self.failed.push(failed),
        }
    }
}

impl Keep<'_> {
    /// The attributes that a file is to have.
    pub(crate) fn adjust(&self, attributes: &mut Attributes) {
        let (wanted, stat) = (self.wanted, &mut attributes.stat);
        stat.uid = wanted.uid.unwrap_or(stat.uid);
        stat.gid = wanted.gid.unwrap_or(stat.gid);
        if !self.archive {
            stat.mode &= !(0o7000 | self.umask);
        }
        if let Some(change) = &wanted.mode
            && stat.kind() != Kind::Symlink
        {
            let is_dir = stat.kind() == Kind::Dir;
            stat.mode = stat.mode & libc::S_IFMT | change.apply(stat.mode, is_dir, self.umask);
        }
        if let Some(epoch) = wanted.epoch {
            stat.modified = match self.archive {
                true => stat.modified.min(epoch),
                false => epoch,
            };
        }
        stat.modified = wanted.modified.unwrap_or(stat.modified);
        if wanted.epoch.is_some() {
            stat.accessed = stat.modified;
        }
    }

    /// The mode to make a file with. Set-user-ID and the like come after the
    /// owner, who would take them away.
    pub(crate) fn mode(&self, attributes: &Attributes) -> u32 {
        let mode = attributes.stat.mode & 0o777;
        match attributes.xattrs.is_empty() {
            true => mode,
            // An ordinary user must be able to write to set them.
            false => mode | 0o600,
        }
    }

    /// Sets what is to be kept and is not so yet; what fails is in `refused`.
    /// `has_mode`: not a symbolic link.
    pub(crate) fn apply(
        &self,
        file: &impl Settable,
        attributes: &Attributes,
        origin: Origin,
        has_mode: bool,
        refused: &mut Refused,
    ) {
        let Wanted {
            uid,
            gid,
            mode: change,
            modified,
            epoch,
        } = self.wanted;
        let owners = self.archive || uid.is_some() || gid.is_some();
        let modes = self.archive || change.is_some() || owners;
        let times = self.archive || modified.is_some() || epoch.is_some();
        let stat = &attributes.stat;
        let known = match origin {
            Origin::Made { mode, heirs } => heirs.map(|owners| (owners, mode)),
            Origin::Existed => None,
        };
        let mut mode = stat.mode & 0o7777;
        if owners && known.map(|(owners, _)| owners) != Some((stat.uid, stat.gid)) {
            let before = refused.owners;
            // -1 leaves one alone (chown(2)).
            let id = |wanted: &Option<u32>, own| match self.archive {
                true => own,
                false => wanted.unwrap_or(u32::MAX),
            };
            let (uid, gid) = (id(uid, stat.uid), id(gid, stat.gid));
            refused.note(file.chown(uid, gid), |refused| &mut refused.owners);
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
            refused.note(file.set_xattr(name, value), |refused| &mut refused.xattrs);
        }
        if modes && has_mode && known.map(|(_, mode)| mode) != Some(mode) {
            refused.note(file.chmod(mode), |refused| &mut refused.modes);
        }
        if self.archive && known.is_none() && has_mode {
            refused.note(remove_inherited(file, attributes), |refused| {
                &mut refused.xattrs
            });
        }
        // An ACL is part of the mode, and the mode of the ACL.
        for (name, value) in acls {
            refused.note(file.set_xattr(name, value), |refused| &mut refused.xattrs);
        }
        if times && let Err(failed) = file.set_times(stat.accessed, stat.modified) {
            refused.failed.push(failed);
        }
    }
}

/// Gives `file`, which takes the place of another one, the owners, permissions and
/// extended attributes of that.
pub(crate) fn inherit(file: &impl Settable, old: &Attributes, refused: &mut Refused) {
    let stat = &old.stat;
    refused.note(file.chown(stat.uid, stat.gid), |refused| {
        &mut refused.owners
    });
    refused.note(file.chmod(stat.mode & 0o7777), |refused| &mut refused.modes);
    for (name, value) in &old.xattrs {
        refused.note(file.set_xattr(name, value), |refused| &mut refused.xattrs);
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
