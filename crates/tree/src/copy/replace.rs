//! [`Replacing`]: replaces existing files, each only when its replacement is complete.
//!
//! The replacement is made under a temporary name in the same directory, `.drupe-0` or
//! with the first free number, and gets its contents and attributes there. Then it is
//! renamed, which is atomic (`rename(2)`). If anything fails before, it is removed, and
//! the existing file is unchanged.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::sync::Arc;

use drupe::Errno;

use super::event::{Kind, Stat};
use super::traits::{TargetDir, World};
use crate::error::{Error, Result, host};
use crate::temporary::make_temporary;

/// What to do with existing files; see cp(1).
#[derive(Debug, Clone, Default)]
pub struct Replacing {
    /// Whether to replace.
    pub policy: Policy,
    /// Keeps the replaced file under another name.
    pub backup: Option<Backup>,
    /// Allows replacing disk images of the host.
    pub force: bool,
}

/// Whether to replace an existing file.
#[derive(Clone, Default)]
pub enum Policy {
    /// Replaces it.
    #[default]
    Always,
    /// Leaves it unchanged, without an error.
    Never,
    /// Replaces it if the function returns true.
    Ask(Arc<Question>),
}

/// Asks whether to replace the file with this path.
pub type Question = dyn Fn(&str) -> io::Result<bool> + Send + Sync;

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Policy::Always => "Always",
            Policy::Never => "Never",
            Policy::Ask(_) => "Ask",
        })
    }
}

/// The name of a backup, by the rules of coreutils' `--backup`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Whether it has a number.
    pub numbers: Numbers,
    /// The suffix for names without a number: "~".
    pub suffix: OsString,
}

/// Whether backups have numbers: `name.~1~`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// No.
    Never,
    /// Replaces it.
    Always,
    /// If numbered backups of the file exist.
    Existing,
}

/// A new file, and the name under which it was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) name: OsString,
    /// The type of the existing file that it will replace.
    pub(crate) instead_of: Option<Kind>,
    /// Whether it existed before, and only gets attributes.
    pub(crate) existed: bool,
}

impl Made {
    /// A file that was made under its final name.
    pub(crate) fn at(name: &OsStr) -> Made {
        Made {
            name: name.to_owned(),
            instead_of: None,
            existed: false,
        }
    }

    /// A file that existed before.
    pub(crate) fn before(name: &OsStr) -> Made {
        Made {
            existed: true,
            ..Made::at(name)
        }
    }
}

/// Makes a file with `name`, or if that is taken, with a temporary name. `may_replace`
/// decides whether the existing file may be replaced; if not, returns `None`.
pub(crate) fn make<D: TargetDir, T>(
    dir: &D,
    name: &OsStr,
    may_replace: impl FnOnce(&Stat) -> Result<bool>,
    make: impl Fn(&OsStr) -> Result<T>,
) -> Result<Option<(Made, T)>> {
    match make(name) {
        Err(failed) if failed.errno() == Some(Errno::EXIST) => {}
        made => return Ok(Some((Made::at(name), made?))),
    }
    let found = dir.stat_of(name)?;
    if !may_replace(&found)? {
        return Ok(None);
    }
    let is_taken = |failed: &Error| failed.errno() == Some(Errno::EXIST);
    let (name, made) = make_temporary(is_taken, make)?;
    let place = Made {
        instead_of: Some(found.kind()),
        ..Made::at(&name)
    };
    Ok(Some((place, made)))
}

/// Gives the complete file its final name.
pub(crate) fn commit<D: TargetDir>(
    dir: &D,
    made: &Made,
    name: &OsStr,
    backup: Option<&Backup>,
) -> Result<()> {
    if made.instead_of.is_none() {
        return Ok(());
    }
    let put = || {
        let backup = backup
            .map(|backup| backup.name_for(dir, name))
            .transpose()?;
        if let Some(backup) = &backup {
            dir.rename(name, backup)?;
        }
        if made.instead_of == Some(Kind::Dir) {
            // rename(2) puts only a directory in its place.
            dir.remove_dir(name)?;
        }
        let put = dir.rename(&made.name, name);
        if put.is_err()
            && let Some(backup) = &backup
        {
            // What was there has its name again; the first failure is the one to tell.
            let _ = dir.rename(backup, name);
        }
        put
    };
    let done = put();
    if done.is_err() {
        abandon(dir, made);
    }
    done
}

/// Removes an incomplete file. Errors are ignored: the first error is reported already.
pub(crate) fn abandon<D: TargetDir>(dir: &D, made: &Made) {
    let _ = dir.remove(&made.name);
}

impl Replacing {
    /// Whether the existing file `name`, which is not a directory, may be replaced.
    /// `shown` is its path for the question.
    ///
    /// # Errors
    ///
    /// It must never be replaced.
    pub(crate) fn allows<D: TargetDir>(
        &self,
        dir: &D,
        name: &OsStr,
        found: &Stat,
        shown: &str,
    ) -> Result<bool> {
        let no = |cause: &str| Err(Error::new("replace", cause));
        match found.kind() {
            Kind::Dir => return no("it is a directory"),
            Kind::Node if D::WORLD == World::Host => {
                return no("it is a device, FIFO or socket, which only a file is written into");
            }
            _ => {}
        }
        if matches!(self.policy, Policy::Never) {
            return Ok(false);
        }
        if found.kind() == Kind::File {
            self.refuse_disk_image(dir, name)?;
        }
        self.is_wanted(shown)
    }

    /// Whether what exists is to be replaced, or written into if it is a device.
    pub(crate) fn is_wanted(&self, shown: &str) -> Result<bool> {
        match &self.policy {
            Policy::Ask(ask) => host("ask about", ask(shown)),
            Policy::Always => Ok(true),
            Policy::Never => Ok(false),
        }
    }

    /// Fails without `force` if `name` is a disk image, or a device with a filesystem on
    /// it.
    pub(crate) fn refuse_disk_image<D: TargetDir>(&self, dir: &D, name: &OsStr) -> Result<()> {
        if self.force {
            return Ok(());
        }
        match dir.disk_image(name)? {
            None => Ok(()),
            Some(kind) => {
                let cause = format!(
                    "it is a disk image ({kind}); a path in it is written IMAGE:/PATH; \
                     --force replaces it"
                );
                Err(Error::new("replace", cause))
            }
        }
    }
}

impl Backup {
    /// Parses CONTROL of `--backup=CONTROL`: `simple` or `never`, `numbered` or `t`,
    /// `existing` or `nil`. `None`: no backup, for `none` or `off`.
    ///
    /// # Errors
    ///
    /// A message that lists the valid words.
    pub fn parse(control: &str, suffix: OsString) -> std::result::Result<Option<Backup>, String> {
        let numbers = match control {
            "none" | "off" => return Ok(None),
            "simple" | "never" => Numbers::Never,
            "numbered" | "t" => Numbers::Always,
            "existing" | "nil" => Numbers::Existing,
            _ => {
                return Err(format!(
                    "{control:?} is not one of: none, off, simple, never, numbered, t, \
                     existing, nil"
                ));
            }
        };
        Ok(Some(Backup { numbers, suffix }))
    }

    fn name_for<D: TargetDir>(&self, dir: &D, name: &OsStr) -> Result<OsString> {
        let highest = match self.numbers {
            Numbers::Never => None,
            Numbers::Always | Numbers::Existing => dir
                .entries()?
                .iter()
                .filter_map(|(entry, _)| number(entry, name))
                .max(),
        };
        let mut backup = name.to_owned();
        match (self.numbers, highest) {
            (Numbers::Never, _) | (Numbers::Existing, None) => backup.push(&self.suffix),
            (_, highest) => backup.push(format!(".~{}~", highest.unwrap_or(0) + 1)),
        }
        Ok(backup)
    }
}

/// The number of `entry`, if it is a numbered backup of `name`.
fn number(entry: &OsStr, name: &OsStr) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let rest = entry.as_bytes().strip_prefix(name.as_bytes())?;
    let digits = rest.strip_prefix(b".~")?.strip_suffix(b"~")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_backups() {
        let number = |entry: &str| number(OsStr::new(entry), OsStr::new("f"));
        assert_eq!(number("f.~12~"), Some(12));
        for other in ["f", "f~", "g.~1~", "f.~~", "f.~1", "ff.~1~"] {
            assert_eq!(number(other), None, "{other}");
        }
    }

    #[test]
    fn words_of_backups() {
        let parse = |word| Backup::parse(word, "~".into());
        assert_eq!(parse("off"), Ok(None));
        let numbers = |word| parse(word).unwrap().unwrap().numbers;
        assert_eq!(numbers("t"), Numbers::Always);
        assert_eq!(numbers("nil"), Numbers::Existing);
        assert_eq!(numbers("never"), Numbers::Never);
        assert!(parse("all").is_err());
    }
}
