//! [`Acl`]: access control lists (acl(5)): the bytes of their extended attributes, their
//! text forms, and the changes that setfacl(1) makes.

use std::collections::BTreeMap;

use crate::{Error, Names, Result};

/// The extended attribute of the ACL that access is checked by.
pub const ACCESS: &str = "system.posix_acl_access";
/// That of a directory, which new files in it have.
pub const DEFAULT: &str = "system.posix_acl_default";

/// Whom an entry is about, in the order in which entries stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The owner.
    Owner,
    /// Another user.
    User(u32),
    /// The group of the file.
    OwningGroup,
    /// Another group.
    Group(u32),
    /// The most that others than the owner and everybody else have.
    Mask,
    /// Everybody else.
    Other,
}

/// Tags of `struct posix_acl_xattr_entry` (include/uapi/linux/posix_acl.h).
const TAGS: [u16; 6] = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20];
/// `POSIX_ACL_XATTR_VERSION`
const VERSION: u32 = 2;
/// `ACL_UNDEFINED_ID`
const NOBODY: u32 = u32::MAX;

/// An access control list: permissions (4 read, 2 write, 1 execute) by whom they are for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acl {
    /// The entries.
    pub entries: BTreeMap<Who, u8>,
}

impl Acl {
    /// The ACL that a mode is.
    pub fn of_mode(mode: u32) -> Acl {
        let bits = |shift: u32| (mode >> shift & 7) as u8;
        let entries = [
            (Who::Owner, bits(6)),
            (Who::OwningGroup, bits(3)),
            (Who::Other, bits(0)),
        ];
        Acl {
            entries: entries.into(),
        }
    }

    /// The ACL of an extended attribute's bytes.
    ///
    /// # Errors
    ///
    /// They are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Acl> {
        let wrong = || Error::new("read the ACL", "its extended attribute is damaged");
        let (version, rest) = bytes.split_first_chunk().ok_or_else(wrong)?;
        if u32::from_le_bytes(*version) != VERSION || rest.len() % 8 != 0 {
            return Err(wrong());
        }
        let mut acl = Acl::default();
        for entry in rest.chunks_exact(8) {
            let word = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
            let id = u32::from(word(4)) | u32::from(word(6)) << 16;
            let who = match word(0) {
                0x01 => Who::Owner,
                0x02 => Who::User(id),
                0x04 => Who::OwningGroup,
                0x08 => Who::Group(id),
                0x10 => Who::Mask,
                0x20 => Who::Other,
                _ => return Err(wrong()),
            };
            acl.entries.insert(who, (word(2) & 7) as u8);
        }
        Ok(acl)
    }

    /// The bytes of its extended attribute.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for (who, permissions) in &self.entries {
            let (tag, id) = match who {
                Who::Owner => (TAGS[0], NOBODY),
                Who::User(id) => (TAGS[1], *id),
                Who::OwningGroup => (TAGS[2], NOBODY),
                Who::Group(id) => (TAGS[3], *id),
                Who::Mask => (TAGS[4], NOBODY),
                Who::Other => (TAGS[5], NOBODY),
            };
            bytes.extend(tag.to_le_bytes());
            bytes.extend(u16::from(*permissions).to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    /// Whether a mode says all that it says.
    pub fn is_mode(&self) -> bool {
        self.entries.len() == 3
    }

    /// What of an entry's permissions is in effect.
    pub fn effective(&self, who: Who) -> u8 {
        let permissions = self.entries.get(&who).copied().unwrap_or_default();
        match who {
            Who::User(_) | Who::OwningGroup | Who::Group(_) => {
                permissions & self.entries.get(&Who::Mask).copied().unwrap_or(7)
            }
            _ => permissions,
        }
    }

    /// Sets the mask to what it masks together, as setfacl does unless it is told not to.
    fn recalculate(&mut self) {
        let masked = self
            .entries
            .iter()
            .filter(|(who, _)| matches!(who, Who::User(_) | Who::OwningGroup | Who::Group(_)));
        let all = masked.fold(0, |all, (_, permissions)| all | permissions);
        self.entries.insert(Who::Mask, all);
    }
}

/// "rw-"
pub fn permissions_text(permissions: u8) -> String {
    let letters = [(4, 'r'), (2, 'w'), (1, 'x')];
    let letter = |(bit, letter)| if permissions & bit != 0 { letter } else { '-' };
    letters.map(letter).iter().collect()
}

/// Permissions as setfacl takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Permissions {
    bits: u8,
    /// "X": execute, for directories and where somebody may execute.
    if_any_executes: bool,
}

impl Permissions {
    fn parse(text: &str) -> Option<Permissions> {
        let digit = text.len() == 1 && matches!(text.as_bytes()[0], b'0'..=b'7');
        let mut parsed = Permissions {
            bits: if digit { text.as_bytes()[0] - b'0' } else { 0 },
            if_any_executes: false,
        };
        if digit {
            return Some(parsed);
        }
        for letter in text.chars() {
            match letter {
                'r' => parsed.bits |= 4,
                'w' => parsed.bits |= 2,
                'x' => parsed.bits |= 1,
                'X' => parsed.if_any_executes = true,
                '-' => {}
                _ => return None,
            }
        }
        (!text.is_empty()).then_some(parsed)
    }
}

/// Which kind of entry a text names, with a name that an image knows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Named {
    User(String),
    Group(String),
    Mask,
    Other,
}

/// An entry as setfacl takes it: `[d:][u:]USER:PERMS`, `g:GROUP:PERMS`, `m:PERMS`,
/// `o:PERMS`; USER and GROUP may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    is_default: bool,
    who: Named,
    permissions: Option<Permissions>,
}

/// Entries of an argument of setfacl, separated by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries(Vec<Entry>);

impl Entries {
    /// Parses entries with permissions.
    ///
    /// # Errors
    ///
    /// A message that says which is wrong.
    pub fn parse(text: &str) -> Result<Entries, String> {
        let all = text.split(',').map(str::trim).filter(|one| !one.is_empty());
        let entries: Vec<Entry> = all.map(|one| entry(one, true)).collect::<Result<_, _>>()?;
        match entries.is_empty() {
            true => Err("give entries like u:USER:rw,g:GROUP:rx".into()),
            false => Ok(Entries(entries)),
        }
    }

    /// Parses entries without permissions, which are to be removed.
    ///
    /// # Errors
    ///
    /// A message that says which is wrong.
    pub fn parse_removed(text: &str) -> Result<Entries, String> {
        let all = text.split(',').map(str::trim).filter(|one| !one.is_empty());
        Ok(Entries(
            all.map(|one| entry(one, false)).collect::<Result<_, _>>()?,
        ))
    }
}

fn entry(text: &str, wants_permissions: bool) -> Result<Entry, String> {
    let wrong = || match wants_permissions {
        true => format!("{text:?} is no entry like u:USER:rw, g:GROUP:rx, m:rw or o:r"),
        false => format!("{text:?} is no entry like u:USER, g:GROUP or d:u:USER"),
    };
    let mut fields: Vec<&str> = text.split(':').map(str::trim).collect();
    let is_default = matches!(fields[0], "d" | "default");
    if is_default {
        fields.remove(0);
    }
    let (kind, mut rest) = match fields.split_first().ok_or_else(wrong)? {
        (&("u" | "user"), rest) => ('u', rest),
        (&("g" | "group"), rest) => ('g', rest),
        (&("m" | "mask"), rest) => ('m', rest),
        (&("o" | "other"), rest) => ('o', rest),
        _ => ('u', &fields[..]),
    };
    let mut name = "";
    if matches!(kind, 'm' | 'o') {
        if rest.len() > 1 && rest[0].is_empty() {
            rest = &rest[1..];
        }
    } else if let Some((first, others)) = rest.split_first() {
        (name, rest) = (first, others);
    }
    let permissions = match (rest, wants_permissions) {
        ([text], true) => Some(Permissions::parse(text).ok_or_else(wrong)?),
        ([] | [""], false) => None,
        _ => return Err(wrong()),
    };
    let who = match kind {
        'u' => Named::User(name.to_owned()),
        'g' => Named::Group(name.to_owned()),
        'm' => Named::Mask,
        _ => Named::Other,
    };
    Ok(Entry {
        is_default,
        who,
        permissions,
    })
}

/// What setfacl changes in the ACLs of a file.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Removes all entries but those that a mode has.
    pub remove_all: bool,
    /// Removes the default ACL.
    pub remove_default: bool,
    /// Entries to remove.
    pub remove: Entries,
    /// Entries to set.
    pub modify: Entries,
    /// All entries are those of the default ACL.
    pub all_default: bool,
    /// Leaves the mask alone.
    pub keep_mask: bool,
}

/// The ACLs of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acls {
    /// What access is checked by.
    pub access: Acl,
    /// What new files in the directory have; empty: there is none.
    pub default: Acl,
}

impl Change {
    /// Changes the ACLs of a file; names are those of the image.
    ///
    /// # Errors
    ///
    /// There is no such user or group; an entry of the three that there must be is to be
    /// removed; a file that is no directory has no default ACL.
    pub fn apply(
        &self,
        acls: &mut Acls,
        is_dir: bool,
        users: &Names,
        groups: &Names,
    ) -> Result<()> {
        if self.remove_all {
            let is_base = |who: &Who| matches!(who, Who::Owner | Who::OwningGroup | Who::Other);
            acls.access.entries.retain(|who, _| is_base(who));
        }
        if self.remove_all || self.remove_default {
            acls.default.entries.clear();
        }
        let (mut touched, mut masked) = ([false; 2], [false; 2]);
        let before = acls.access.clone();
        for (entries, set) in [(&self.remove, false), (&self.modify, true)] {
            for entry in &entries.0 {
                let is_default = entry.is_default || self.all_default;
                if is_default && !is_dir {
                    // setfacl -R leaves files alone too.
                    continue;
                }
                let who = resolve(entry, users, groups)?;
                let acl = match is_default {
                    true => &mut acls.default,
                    false => &mut acls.access,
                };
                touched[usize::from(is_default)] = true;
                masked[usize::from(is_default)] |= who == Who::Mask;
                match (set, entry.permissions) {
                    (true, Some(permissions)) => {
                        let executes = is_dir || acl.entries.values().any(|bits| bits & 1 != 0);
                        let execute = u8::from(permissions.if_any_executes && executes);
                        acl.entries.insert(who, permissions.bits | execute);
                    }
                    _ if matches!(who, Who::Owner | Who::OwningGroup | Who::Other) => {
                        let cause = "the owner, the group and others always have an entry";
                        return Err(Error::new("change the ACL", cause));
                    }
                    _ => drop(acl.entries.remove(&who)),
                }
            }
        }
        if touched[1] {
            // What it does not say is that of the file.
            for who in [Who::Owner, Who::OwningGroup, Who::Other] {
                let bits = before.entries.get(&who).copied().unwrap_or_default();
                acls.default.entries.entry(who).or_insert(bits);
            }
        }
        for (index, acl) in [&mut acls.access, &mut acls.default]
            .into_iter()
            .enumerate()
        {
            let has = |acl: &Acl, wanted: fn(&Who) -> bool| acl.entries.keys().any(wanted);
            let named = has(acl, |who| matches!(who, Who::User(_) | Who::Group(_)));
            let mask = has(acl, |who| *who == Who::Mask);
            let calculates = !self.keep_mask && !masked[index] && touched[index];
            if (mask && calculates) || (named && !mask) {
                acl.recalculate();
            }
        }
        Ok(())
    }
}

fn resolve(entry: &Entry, users: &Names, groups: &Names) -> Result<Who> {
    let number = |names: &Names, name: &str, what: &str, file: &str| {
        let cause = || format!("there is no {what} {name:?} in the image's {file}");
        let number = names.number(name);
        number.ok_or_else(|| Error::new("look up", cause()))
    };
    Ok(match &entry.who {
        Named::User(name) if name.is_empty() => Who::Owner,
        Named::User(name) => Who::User(number(users, name, "user", "/etc/passwd")?),
        Named::Group(name) if name.is_empty() => Who::OwningGroup,
        Named::Group(name) => Who::Group(number(groups, name, "group", "/etc/group")?),
        Named::Mask => Who::Mask,
        Named::Other => Who::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_setfacl_takes() {
        for text in [
            "u::rw",
            "u:ann:r-x,g:5:7",
            "ann:r",
            "d:m::rx",
            "other:-",
            "user:a:X",
        ] {
            assert!(Entries::parse(text).is_ok(), "{text}");
        }
        for text in ["", "u:ann", "u:ann:rz", "m:x:rw", "u:a:8", "g:a:r:w"] {
            assert!(Entries::parse(text).is_err(), "{text}");
        }
        assert!(Entries::parse_removed("u:ann,g:5:,d:u:1").is_ok());
        assert!(Entries::parse_removed("u:ann:rw").is_err());
    }

    #[test]
    fn the_mask_follows() {
        let change = |modify: &str, remove: &str| Change {
            modify: Entries::parse(modify).unwrap_or_default(),
            remove: Entries::parse_removed(remove).unwrap(),
            ..Change::default()
        };
        let none = Names::default();
        let mut acls = Acls {
            access: Acl::of_mode(0o640),
            default: Acl::default(),
        };
        change("u:7:rwx", "")
            .apply(&mut acls, false, &none, &none)
            .unwrap();
        assert_eq!(acls.access.entries[&Who::Mask], 7);
        assert_eq!(
            Acl::from_bytes(&acls.access.to_bytes()).unwrap(),
            acls.access
        );
        change("m::r", "")
            .apply(&mut acls, false, &none, &none)
            .unwrap();
        assert_eq!(acls.access.effective(Who::User(7)), 4);
        change("", "u:7")
            .apply(&mut acls, false, &none, &none)
            .unwrap();
        assert_eq!(acls.access.entries[&Who::Mask], 4);
        assert!(
            change("", "u:")
                .apply(&mut acls, false, &none, &none)
                .is_err()
        );
        // A default ACL has what it does not say from the file.
        change("d:g:3:rx", "")
            .apply(&mut acls, true, &none, &none)
            .unwrap();
        assert_eq!(acls.default.entries[&Who::Owner], 6);
        assert_eq!(acls.default.entries[&Who::Mask], 5);
        assert!(Acl::from_bytes(b"\x02\0\0\0\x07").is_err());
    }
}
