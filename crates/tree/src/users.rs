//! [`Owners`]: owners by name, resolved by the image's own users and groups.

use std::collections::HashMap;

use drupe::{Errno, Mount};

use crate::error::{Error, Result};

/// `OWNER[:GROUP]`, in the syntax of chown(1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owners {
    user: Option<Name>,
    group: Option<Group>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Group {
    Named(Name),
    /// "USER:": the login group of the user.
    Login,
}

/// A name or a number.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    text: String,
    /// "+5": a number that is never looked up as a name.
    number: Option<u32>,
}

impl Name {
    fn parse(text: &str) -> Result<Name, String> {
        let digits = text.strip_prefix('+');
        let number = digits.map(|digits| {
            // -1 is how chown(2) is told to leave an owner alone.
            let number = digits.parse().ok().filter(|number| *number != u32::MAX);
            number.ok_or_else(|| format!("{text:?} is not a number of a user or group"))
        });
        Ok(Name {
            text: text.to_owned(),
            number: number.transpose()?,
        })
    }

    /// The number of the name, or if there is no such name, the number itself.
    fn resolve(&self, names: &Names, what: &str, file: &str) -> Result<u32> {
        if let Some(number) = self.number {
            return Ok(number);
        }
        if let Some(number) = names.numbers.get(self.text.as_bytes()) {
            return Ok(*number);
        }
        match self.text.parse().ok().filter(|number| *number != u32::MAX) {
            Some(number) => Ok(number),
            None => {
                let cause = format!("there is no {what} {:?} in the image's {file}", self.text);
                Err(Error::new("look up", cause))
            }
        }
    }
}

impl Owners {
    /// Parses `USER`, `USER:GROUP`, `USER:` or `:GROUP`.
    ///
    /// # Errors
    ///
    /// A message that says what is wrong.
    pub fn parse(text: &str) -> Result<Owners, String> {
        let (user, group) = match text.split_once(':') {
            None => (text, None),
            Some((user, group)) => (user, Some(group)),
        };
        let owners = Owners {
            user: match user {
                "" => None,
                user => Some(Name::parse(user)?),
            },
            group: match group {
                None => None,
                Some("") if user.is_empty() => None,
                Some("") => Some(Group::Login),
                Some(group) => Some(Group::Named(Name::parse(group)?)),
            },
        };
        match owners.user.is_none() && owners.group.is_none() {
            true => Err("give USER, USER:GROUP or :GROUP".into()),
            false => Ok(owners),
        }
    }

    /// The numbers, by the image's own `/etc/passwd` and `/etc/group`; `None`: do not
    /// change it.
    ///
    /// # Errors
    ///
    /// There is no such name, or the files cannot be read.
    pub fn resolve(&self, mount: &Mount) -> Result<(Option<u32>, Option<u32>)> {
        let users = match &self.user {
            Some(user) if user.number.is_none() || self.group == Some(Group::Login) => {
                Names::users(mount)?
            }
            _ => Names::default(),
        };
        let user = self.user.as_ref();
        let uid = user
            .map(|user| user.resolve(&users, "user", "/etc/passwd"))
            .transpose()?;
        let gid = match &self.group {
            None => None,
            Some(Group::Named(group)) => {
                let groups = match group.number {
                    Some(_) => Names::default(),
                    None => Names::groups(mount)?,
                };
                Some(group.resolve(&groups, "group", "/etc/group")?)
            }
            Some(Group::Login) => {
                let gid = uid.and_then(|uid| users.login.get(&uid).copied());
                let name = user.map_or("", |user| &user.text);
                let cause = || format!("{name:?} has no group in the image's /etc/passwd");
                Some(gid.ok_or_else(|| Error::new("look up", cause()))?)
            }
        };
        Ok((uid, gid))
    }
}

/// The content of `/etc/passwd` or `/etc/group`: names and numbers.
#[derive(Debug, Default)]
pub struct Names {
    /// The number of each name.
    pub numbers: HashMap<Vec<u8>, u32>,
    /// The first name of each number.
    pub names: HashMap<u32, Vec<u8>>,
    /// The login groups of users.
    login: HashMap<u32, u32>,
}

impl Names {
    /// The users of `/etc/passwd`; empty if there is no such file.
    pub fn users(mount: &Mount) -> Result<Names> {
        Names::read(mount, "/etc/passwd")
    }

    /// The groups of `/etc/group`; empty if there is no such file.
    pub fn groups(mount: &Mount) -> Result<Names> {
        Names::read(mount, "/etc/group")
    }

    fn read(mount: &Mount, path: &str) -> Result<Names> {
        match mount.read(path) {
            Ok(text) => Ok(Names::parse(&text)),
            Err(error) if matches!(error.errno(), Some(Errno::NOENT | Errno::NOTDIR)) => {
                Ok(Names::default())
            }
            Err(error) => Err(Error::from(error).at(path)),
        }
    }

    /// Parses lines of `name:password:number:group:…`; other lines are skipped.
    fn parse(text: &[u8]) -> Names {
        let mut all = Names::default();
        for line in text.split(|&byte| byte == b'\n') {
            let fields: Vec<&[u8]> = line.split(|&byte| byte == b':').collect();
            let number = |index: usize| -> Option<u32> {
                str::from_utf8(fields.get(index)?).ok()?.parse().ok()
            };
            let (Some(id), name) = (number(2), fields[0]) else {
                continue;
            };
            if name.is_empty() {
                continue;
            }
            // The first line counts, as in getpwnam(3).
            all.numbers.entry(name.to_owned()).or_insert(id);
            all.names.entry(id).or_insert_with(|| name.to_owned());
            if let Some(login) = number(3) {
                all.login.entry(id).or_insert(login);
            }
        }
        all
    }

    /// The number of a name, or of its digits if nobody has this name.
    pub fn number(&self, name: &str) -> Option<u32> {
        match self.numbers.get(name.as_bytes()) {
            Some(number) => Some(*number),
            None => name.parse().ok().filter(|number| *number != u32::MAX),
        }
    }

    /// The name of a number, or its digits if it has no name.
    pub fn name(&self, number: u32) -> String {
        match self.names.get(&number) {
            Some(name) => String::from_utf8_lossy(name).into_owned(),
            None => number.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups() {
        let text = b"root:x:0:0:root:/root:/bin/sh\n#odd\n\nann:x:1000:100\nann:x:7:7\nme:x:99999999999:1\n";
        let names = Names::parse(text);
        assert_eq!(names.numbers.get(&b"ann"[..]), Some(&1000));
        assert_eq!(names.name(0), "root");
        assert_eq!(names.name(5), "5");
        assert_eq!(names.login.get(&1000), Some(&100));
        assert_eq!(names.numbers.len(), 2);
    }

    #[test]
    fn what_chown_takes() {
        for text in ["", ":", "+x", "+4294967295", "a:+b"] {
            assert!(Owners::parse(text).is_err(), "{text}");
        }
        let owners = Owners::parse("ann:").expect("a user");
        assert_eq!(owners.group, Some(Group::Login));
        let owners = Owners::parse(":+5").expect("a group");
        assert_eq!(owners.user, None);
        assert!(Owners::parse("ann").expect("a user").group.is_none());
    }
}
