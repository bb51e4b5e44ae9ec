//! `drupe getfacl` and `drupe setfacl`: access control lists, in the form of acl(5)'s tools.

use std::io::{self, Write};

use drupe::Errno;
use drupe_tree::acl::{ACCESS, Acl, Acls, Change, DEFAULT, Who, permissions_text};
use drupe_tree::{Names, Node, Visitor, Walk};

use super::fattr::{quoted, shown};
use std::os::unix::ffi::OsStrExt;

use crate::args::{Getfacl, Setfacl};
use crate::context::Context;
use crate::exit::{ExitCode, Failure, Stop};
use crate::output::{Report, Stdout};

/// The ACLs of a file; those of symbolic links are never asked for.
fn acls(node: &Node<'_>) -> Result<Acls, drupe_tree::Error> {
    let attribute = |name: &str| -> drupe_tree::Result<Option<Acl>> {
        // Symbolic links are followed at the top only.
        let value = match node.depth {
            0 => node.mount.get_xattr(node.path, name),
            _ => node.mount.lget_xattr(node.path, name),
        };
        match value {
            Ok(value) => value.map(|value| Acl::from_bytes(&value)).transpose(),
            // A filesystem without them.
            Err(error) if error.errno() == Some(Errno::OPNOTSUPP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    };
    let default = match node.metadata.is_dir() {
        true => attribute(DEFAULT)?,
        false => None,
    };
    let access = attribute(ACCESS)?;
    Ok(Acls {
        access: access.unwrap_or_else(|| Acl::of_mode(node.metadata.mode())),
        default: default.unwrap_or_default(),
    })
}

pub(crate) fn get(context: &mut Context<'_>, command: &Getfacl) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    let mut out = Stdout::buffered();
    for argument in &command.paths {
        let path = context.path(argument)?;
        let mounted = context.session.mount(&path.volume);
        let Some(mount) = report.settle(mounted)? else {
            continue;
        };
        let (users, groups) = match command.numeric {
            true => (Names::default(), Names::default()),
            false => (Names::users(&mount)?, Names::groups(&mount)?),
        };
        let mut visitor = Printer {
            out: &mut out,
            command,
            users,
            groups,
        };
        let top = path.on(&mount);
        report.walk(Walk::new(&top), &context.signals, &mut visitor)?;
    }
    out.flush()?;
    Ok(report.code())
}

struct Printer<'a, W> {
    out: &'a mut W,
    command: &'a Getfacl,
    users: Names,
    groups: Names,
}

impl<W: Write> Visitor for Printer<'_, W> {
    type Error = Failure;

    fn visit(&mut self, node: &Node<'_>) -> Result<bool, Stop> {
        if node.metadata.is_symlink() {
            return Ok(false);
        }
        let acls = acls(node)?;
        let is_plain = acls.access.is_mode() && acls.default.entries.is_empty();
        if !(self.command.skip_base && is_plain) {
            self.print(node, &acls)?;
        }
        Ok(self.command.recursive)
    }
}

impl<W: Write> Printer<'_, W> {
    fn print(&mut self, node: &Node<'_>, acls: &Acls) -> io::Result<()> {
        let (command, metadata) = (self.command, node.metadata);
        if !command.omit_header {
            let path = shown(node.path, command.absolute_names);
            self.out.write_all(b"# file: ")?;
            self.out.write_all(&quoted(path.as_bytes(), b"\n\r"))?;
            let (owner, group) = (
                self.users.name(metadata.uid()),
                self.groups.name(metadata.gid()),
            );
            writeln!(self.out, "\n# owner: {owner}\n# group: {group}")?;
            let letters = [(0o4000, 's'), (0o2000, 's'), (0o1000, 't')];
            if metadata.mode() & 0o7000 != 0 {
                let letter = |(bit, letter)| {
                    if metadata.mode() & bit != 0 {
                        letter
                    } else {
                        '-'
                    }
                };
                let flags: String = letters.map(letter).iter().collect();
                writeln!(self.out, "# flags: {flags}")?;
            }
        }
        if !command.default {
            self.entries("", &acls.access)?;
        }
        if !command.access {
            let prefix = if command.default { "" } else { "default:" };
            self.entries(prefix, &acls.default)?;
        }
        writeln!(self.out)
    }

    fn entries(&mut self, prefix: &str, acl: &Acl) -> io::Result<()> {
        for (who, permissions) in &acl.entries {
            let who_text = match who {
                Who::Owner => "user:".to_owned(),
                Who::User(id) => format!("user:{}", self.users.name(*id)),
                Who::OwningGroup => "group:".to_owned(),
                Who::Group(id) => format!("group:{}", self.groups.name(*id)),
                Who::Mask => "mask:".to_owned(),
                Who::Other => "other:".to_owned(),
            };
            let text = format!("{prefix}{who_text}:{}", permissions_text(*permissions));
            self.out.write_all(text.as_bytes())?;
            let effective = acl.effective(*who);
            if effective != *permissions {
                write!(self.out, "\t#effective:{}", permissions_text(effective))?;
            }
            writeln!(self.out)?;
        }
        Ok(())
    }
}

pub(crate) fn set(context: &mut Context<'_>, command: &Setfacl) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    let change = Change {
        remove_all: command.remove_all,
        remove_default: command.remove_default,
        remove: command.remove.clone().unwrap_or_default(),
        modify: command.modify.clone().unwrap_or_default(),
        all_default: command.default,
        keep_mask: command.no_mask,
    };
    for (path, mount) in context.targets(&command.paths, &mut report)? {
        let mut visitor = Changer {
            change: &change,
            recursive: command.recursive,
            users: Names::users(&mount)?,
            groups: Names::groups(&mount)?,
        };
        let top = path.on(&mount);
        report.walk(Walk::new(&top), &context.signals, &mut visitor)?;
    }
    Ok(report.code())
}

struct Changer<'a> {
    change: &'a Change,
    recursive: bool,
    users: Names,
    groups: Names,
}

impl Visitor for Changer<'_> {
    type Error = Failure;

    fn visit(&mut self, node: &Node<'_>) -> Result<bool, Stop> {
        if node.metadata.is_symlink() {
            return Ok(false);
        }
        let before = acls(node)?;
        let mut after = before.clone();
        let is_dir = node.metadata.is_dir();
        self.change
            .apply(&mut after, is_dir, &self.users, &self.groups)?;
        let set = |name: &str, acl: &Acl| match node.depth {
            0 => node.mount.set_xattr(node.path, name, acl.to_bytes()),
            _ => node.mount.lset_xattr(node.path, name, acl.to_bytes()),
        };
        if after.access != before.access {
            // One that a mode says all of removes what the file has.
            set(ACCESS, &after.access)?;
        }
        if after.default != before.default {
            match after.default.entries.is_empty() {
                true => node.mount.remove_xattr(node.path, DEFAULT)?,
                false => set(DEFAULT, &after.default)?,
            }
        }
        Ok(self.recursive)
    }
}
