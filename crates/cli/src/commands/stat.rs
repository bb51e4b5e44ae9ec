//! `drupe stat`: shows all attributes of files.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::SystemTime;

use drupe::{Metadata, Mount};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::args::Stat;
use crate::context::Context;
use crate::describe::{Json, device, kind_name, mode_string, seconds};
use crate::exit::{ExitCode, Failure};
use crate::json_list::{JsonList, bytes_of, text_of};
use crate::output::{Names, Report, Stdout};
use drupe_tree as users;

const USUAL: &str = "  File: %N
  Size: %s\tBlocks: %b\tIO Block: %o\t%F
Inode: %i\tLinks: %h%r
Access: (%04a/%A)  Uid: (%5u/%8U)   Gid: (%5g/%8G)
Access: %x
Modify: %y
Change: %z
 Birth: %w
";

/// A file; the JSON output is an array of these.
#[derive(Serialize)]
struct Full {
    #[serde(flatten)]
    json: Json,
    /// Of 512 bytes.
    blocks: u64,
    accessed: String,
    changed: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    xattrs: Vec<Xattr>,
}

#[derive(Serialize)]
struct Xattr {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_bytes: Option<Vec<u8>>,
    /// In hexadecimal.
    value: String,
}

struct Printer<'a> {
    mount: &'a Mount,
    path: &'a Path,
    metadata: &'a Metadata,
    users: &'a users::Names,
    groups: &'a users::Names,
    zone: TimeZone,
}

pub(crate) fn run(context: &mut Context<'_>, command: &Stat) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    let mut out = Stdout::buffered();
    let mut json = JsonList::new(&context.options);
    let format = match (&command.format, &command.printf) {
        (Some(format), _) => format!("{format}\n"),
        (None, Some(format)) => unescape(format),
        (None, None) => USUAL.to_owned(),
    };
    let items = parse(&format).map_err(Failure::usage)?;
    let arguments: Vec<_> = command
        .paths
        .iter()
        .map(|path| context.path(path))
        .collect::<Result<_, _>>()?;
    for path in &arguments {
        let mounted = context.session.mount(&path.volume);
        let Some(mount) = report.settle(mounted)? else {
            continue;
        };
        let found = match command.dereference {
            true => mount.metadata(&path.path),
            false => mount.symlink_metadata(&path.path),
        };
        let Some(metadata) = report.accept(path.label(), found.map_err(Into::into)) else {
            continue;
        };
        if let Some(json) = &mut json {
            let full = full(&mount, &path.path, &metadata);
            if let Some(full) = report.accept(path.label(), full.map_err(Into::into)) {
                json.push(&mut out, &full)?;
            }
            continue;
        }
        let printer = Printer {
            mount: &mount,
            path: &path.path,
            metadata: &metadata,
            users: &users::Names::users(&mount)?,
            groups: &users::Names::groups(&mount)?,
            zone: TimeZone::system(),
        };
        for item in &items {
            printer.print(&mut out, item)?;
        }
    }
    if let Some(json) = json {
        json.finish(&mut out)?;
    }
    out.flush()?;
    Ok(report.code())
}

fn full(mount: &Mount, path: &Path, metadata: &Metadata) -> drupe::Result<Full> {
    let mut xattrs = Vec::new();
    let mut names = mount.llist_xattr(path)?;
    names.sort();
    for name in names {
        let value = mount.lget_xattr(path, &name)?.unwrap_or_default();
        xattrs.push(Xattr {
            name: text_of(&name),
            name_bytes: bytes_of(&name),
            value: value.iter().map(|byte| format!("{byte:02x}")).collect(),
        });
    }
    Ok(Full {
        json: Json::new(path, metadata, mount),
        blocks: metadata.blocks(),
        accessed: metadata.accessed().map(seconds).unwrap_or_default(),
        changed: metadata.changed().map(seconds).unwrap_or_default(),
        created: metadata.created().ok().map(seconds),
        xattrs,
    })
}

/// A part of a format.
#[derive(Debug, PartialEq, Eq)]
enum Item {
    Text(String),
    /// "%-8U": what is between % and the letter, and the letter.
    Field {
        left: bool,
        zeros: bool,
        width: usize,
        letter: char,
    },
}

/// The letters that [`Printer::field`] knows.
const LETTERS: &str = "nNsbBoaAfFuUgGihtTxyzwXYZWCmrdD";

fn parse(format: &str) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    let mut rest = format;
    while let Some((text, after)) = rest.split_once('%') {
        items.push(Item::Text(text.to_owned()));
        if let Some(after) = after.strip_prefix('%') {
            items.push(Item::Text("%".into()));
            rest = after;
            continue;
        }
        let digits = after.trim_start_matches(['-', '0', '#', '+', ' ']);
        let flags = &after[..after.len() - digits.len()];
        let at = digits
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(digits.len());
        let found = digits[at..].chars().next();
        let letter = found.filter(|letter| LETTERS.contains(*letter));
        let letter = letter.ok_or_else(|| match found {
            Some(letter) => format!("a format has no %{}", letter.escape_debug()),
            None => "the format ends with a %".to_owned(),
        })?;
        let width = match &digits[..at] {
            "" => 0,
            width => width
                .parse()
                .ok()
                .filter(|width| *width < 1000)
                .ok_or("too wide")?,
        };
        items.push(Item::Field {
            left: flags.contains('-'),
            zeros: flags.contains('0'),
            width,
            letter,
        });
        rest = &digits[at + letter.len_utf8()..];
    }
    items.push(Item::Text(rest.to_owned()));
    Ok(items)
}

/// Backslashes, as printf(1) has them.
fn unescape(format: &str) -> String {
    let mut text = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('0') => text.push('\0'),
            Some('e') => text.push('\x1b'),
            Some(other) => text.push(other),
            None => text.push('\\'),
        }
    }
    text
}

impl Printer<'_> {
    fn print(&self, out: &mut impl Write, item: &Item) -> io::Result<()> {
        let Item::Field {
            left,
            zeros,
            width,
            letter,
        } = item
        else {
            return match item {
                Item::Text(text) => out.write_all(text.as_bytes()),
                Item::Field { .. } => Ok(()),
            };
        };
        let value = self.field(*letter);
        let padding = width.saturating_sub(value.len());
        let fill = if *zeros && !left { b'0' } else { b' ' };
        if !left {
            out.write_all(&vec![fill; padding])?;
        }
        out.write_all(&value)?;
        if *left {
            out.write_all(&vec![b' '; padding])?;
        }
        Ok(())
    }

    fn field(&self, letter: char) -> Vec<u8> {
        let metadata = self.metadata;
        let device = device(metadata).unwrap_or_default();
        let text = match letter {
            'n' => return self.path.as_os_str().as_bytes().to_owned(),
            'N' => return self.quoted(),
            's' => metadata.len().to_string(),
            'b' => metadata.blocks().to_string(),
            'B' => "512".into(),
            'o' => metadata.blksize().to_string(),
            'a' => format!("{:o}", metadata.mode() & 0o7777),
            'A' => mode_string(metadata),
            'f' => format!("{:x}", metadata.mode()),
            'F' => kind_name(metadata).into(),
            'u' => metadata.uid().to_string(),
            'g' => metadata.gid().to_string(),
            'U' => self.name(self.users, metadata.uid()),
            'G' => self.name(self.groups, metadata.gid()),
            'i' => metadata.ino().to_string(),
            'd' => metadata.dev().to_string(),
            'D' => format!("{:x}", metadata.dev()),
            'h' => metadata.nlink().to_string(),
            't' => format!("{:x}", device.0),
            'T' => format!("{:x}", device.1),
            // Only where there is one.
            'r' if device != (0, 0) => format!("\tDevice type: {},{}", device.0, device.1),
            'r' => String::new(),
            'x' => self.date(metadata.accessed()),
            'y' => self.date(metadata.modified()),
            'z' => self.date(metadata.changed()),
            'w' => self.date(metadata.created()),
            'X' => whole(metadata.accessed()),
            'Y' => whole(metadata.modified()),
            'Z' => whole(metadata.changed()),
            'W' => whole(metadata.created()),
            'C' => return self.label(),
            // 'm': an image's filesystem is mounted at its root.
            _ => "/".into(),
        };
        text.into_bytes()
    }

    fn name(&self, names: &users::Names, number: u32) -> String {
        match names.names.contains_key(&number) {
            true => names.name(number),
            false => "UNKNOWN".into(),
        }
    }

    /// With what a symbolic link contains.
    fn quoted(&self) -> Vec<u8> {
        let names = Names::for_stdout();
        let mut text = names.show(self.path.as_os_str()).into_owned();
        if let (true, Ok(target)) = (self.metadata.is_symlink(), self.mount.read_link(self.path)) {
            text.extend(b" -> ");
            text.extend(&*names.show(target.as_os_str()));
        }
        text
    }

    fn label(&self) -> Vec<u8> {
        let label = self.mount.lget_xattr(self.path, "security.selinux");
        match label {
            Ok(Some(mut label)) => {
                if label.last() == Some(&0) {
                    label.pop();
                }
                label
            }
            _ => b"?".to_vec(),
        }
    }

    fn date(&self, time: io::Result<SystemTime>) -> String {
        let stamp = time.ok().and_then(|time| Timestamp::try_from(time).ok());
        match stamp {
            Some(stamp) => {
                let zoned = stamp.to_zoned(self.zone.clone());
                zoned.strftime("%Y-%m-%d %H:%M:%S.%9f %z").to_string()
            }
            None => "-".into(),
        }
    }
}

/// Whole seconds since 1970, towards the past.
fn whole(time: io::Result<SystemTime>) -> String {
    match time {
        Ok(time) => drupe_tree::Time::from(time).seconds.to_string(),
        Err(_) => "0".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let field = |left, zeros, width, letter| Item::Field {
            left,
            zeros,
            width,
            letter,
        };
        let text = |text: &str| Item::Text(text.into());
        assert_eq!(
            parse("a%n%%%-8U%04ab").expect("a format"),
            [
                text("a"),
                field(false, false, 0, 'n'),
                text(""),
                text("%"),
                text(""),
                field(true, false, 8, 'U'),
                text(""),
                field(false, true, 4, 'a'),
                text("b"),
            ]
        );
        for wrong in ["%", "%q", "%5", "%99999n"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(unescape(r"a\n\\\t"), "a\n\\\t");
    }
}
