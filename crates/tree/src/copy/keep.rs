//! Sets the attributes that a copy keeps, and [`Overrides`] that replace them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use drupe::Errno;

use super::clamped::Clamped;
use super::event::{Attributes, Kind};
use super::traits::Settable;
use crate::Progress;
use crate::error::{Error, Result};
use crate::mode::ModeChange;
use crate::time::Time;

/// Attributes that replace the source's.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The owner; `None`: the source's, if owners are kept.
    pub uid: Option<u32>,
    /// The group; `None`: the source's, if owners are kept.
    pub gid: Option<u32>,
    /// A change of the permissions, as of chmod(1).
    pub mode: Option<ModeChange>,
    /// The time of last modification.
    pub modified: Option<Time>,
    /// The latest time that is kept (`SOURCE_DATE_EPOCH`): later times become this one,
    /// and times of access are not kept.
    pub epoch: Option<Time>,
}

/// The attributes to keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keep<'a> {
    /// Whether to keep all attributes; otherwise only permissions, less the umask.
    pub(crate) archive: bool,
    /// The user's umask.
    pub(crate) umask: u32,
    pub(crate) overrides: &'a Overrides,
}

/// How a file was made, whose attributes are to be set.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin {
    /// Made by this copy with this mode. If its owners are known, the mode is exact too.
    Made {
        mode: u32,
        owners_of_new: Option<(u32, u32)>,
    },
    Existed,
}

/// Counts of attributes that the target refused: the filesystem has no owners, or the
/// user lacks the right.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    pub(crate) owners: u64,
    pub(crate) modes: u64,
    pub(crate) xattrs: u64,
    clamped: Clamped,
    /// Errors of setting attributes of the current file. The file is kept with its
    /// contents and its other attributes.
    failed: Vec<Error>,
}

impl Refused {
    /// Reports the counts as warnings.
    pub(crate) fn warn(&self, progress: &dyn Progress) {
        for (count, what) in [
            (self.owners, "owners"),
            (self.modes, "permissions"),
            (self.xattrs, "extended attributes"),
        ] {
            if count > 0 {
                progress.warning(&format!("the target refused {what} {count} times"));
            }
        }
        self.clamped.warn(progress);
    }

    /// Notes an error of setting an extended attribute of the current file, if it is one.
    pub(crate) fn add(&mut self, xattr: Result<()>) {
        self.note(xattr, |refused| &mut refused.xattrs);
    }

    /// Takes the errors of the current file, whose name in errors is `shown`.
    pub(crate) fn take_failed(&mut self, shown: impl Fn() -> String) -> Vec<Error> {
        self.clamped.count(&shown);
        let failed = std::mem::take(&mut self.failed).into_iter();
        failed.map(|error| error.at(shown())).collect()
    }

    /// Counts a refusal in the field `which`; notes any other error.
    fn note(&mut self, result: Result<()>, which: fn(&mut Refused) -> &mut u64) {
        match result {
            Ok(()) => {}
            Err(failed) if failed.is_refusal() => *which(self) += 1,
            Err(failed) => self.failed.push(failed),
        }
    }
}

impl Keep<'_> {
    /// Changes the source's attributes to those of the copy.
    pub(crate) fn adjust(&self, attributes: &mut Attributes) {
        let (overrides, stat) = (self.overrides, &mut attributes.stat);
        stat.uid = overrides.uid.unwrap_or(stat.uid);
        stat.gid = overrides.gid.unwrap_or(stat.gid);
        if !self.archive {
            stat.mode &= !(0o7000 | self.umask);
        }
        if let Some(change) = &overrides.mode
            && stat.kind() != Kind::Symlink
        {
            let is_dir = stat.kind() == Kind::Dir;
            stat.mode = stat.mode & libc::S_IFMT | change.apply(stat.mode, is_dir, self.umask);
        }
        if let Some(epoch) = overrides.epoch {
            stat.modified = match self.archive {
                true => stat.modified.min(epoch),
                false => epoch,
            };
        }
        stat.modified = overrides.modified.unwrap_or(stat.modified);
        if overrides.epoch.is_some() {
            stat.accessed = stat.modified;
        }
    }

    /// The mode with which to make a file. Set-ID bits are set later, since setting the
    /// owner clears them.
    pub(crate) fn mode(&self, attributes: &Attributes) -> u32 {
        let mode = attributes.stat.mode & 0o777;
        match attributes.xattrs.is_empty() {
            true => mode,
            // An ordinary user must be able to write to set them.
            false => mode | 0o600,
        }
    }

    /// Sets the attributes that differ; errors are noted in `refused`. `has_mode`: the
    /// file is not a symbolic link.
    pub(crate) fn apply(
        &self,
        file: &impl Settable,
        attributes: &Attributes,
        origin: Origin,
        has_mode: bool,
        refused: &mut Refused,
    ) {
        let Overrides {
            uid,
            gid,
            mode: change,
            modified,
            epoch,
        } = self.overrides;
        let owners = self.archive || uid.is_some() || gid.is_some();
        let modes = self.archive || change.is_some() || owners;
        let times = self.archive || modified.is_some() || epoch.is_some();
        let stat = &attributes.stat;
        let known = match origin {
            Origin::Made {
                mode,
                owners_of_new,
            } => owners_of_new.map(|owners| (owners, mode)),
            Origin::Existed => None,
        };
        let mut mode = stat.mode & 0o7777;
        if owners && known.map(|(owners, _)| owners) != Some((stat.uid, stat.gid)) {
            let before = refused.owners;
            // -1 leaves one alone (chown(2)).
            let id = |overrides: &Option<u32>, own| match self.archive {
                true => own,
                false => overrides.unwrap_or(u32::MAX),
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
        if times {
            let set = file.set_times(stat.accessed, stat.modified);
            let seen = set.and_then(|()| refused.clamped.look(file, stat.modified));
            refused.failed.extend(seen.err());
        }
    }
}

/// Gives `file`, which replaces another one, that one's owners, permissions and extended
/// attributes.
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

/// Removes ACLs that the file has inherited from its directory, or had before.
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
