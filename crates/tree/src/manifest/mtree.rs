//! Parses manifests of mtree(5), as FreeBSD, NetBSD and libarchive write them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::Known;
use super::composefs::Wrong;
use super::digest::Digest;
use super::tree::{Contents, Node, Tree, names, relative, shown, time, unescape};
use crate::mode::ModeChange;
use crate::users::Names;

type Keywords<'a> = BTreeMap<&'a [u8], &'a [u8]>;

struct Parser<'a> {
    tree: Tree,
    known: &'a Known,
    /// The keywords of `/set`.
    defaults: Vec<(Vec<u8>, Vec<u8>)>,
    /// The current directory, for names without a slash.
    at: Vec<OsString>,
    /// Whether the root was entered, and not left.
    in_root: bool,
}

pub(super) fn parse(text: &[u8], known: &Known) -> Result<Tree, Wrong> {
    let mut parser = Parser {
        tree: Tree::new(),
        known,
        defaults: Vec::new(),
        at: Vec::new(),
        in_root: false,
    };
    let mut line = Vec::new();
    for (n, part) in text.split(|&byte| byte == b'\n').enumerate() {
        let part = part.trim_ascii();
        // A backslash at its end: the line goes on.
        if let Some(part) = part.strip_suffix(b"\\") {
            line.extend(part);
            line.push(b' ');
            continue;
        }
        line.extend(part);
        let whole = std::mem::take(&mut line);
        parser
            .line(whole.trim_ascii())
            .map_err(|error| (n + 1, error))?;
    }
    Ok(parser.tree)
}

impl Parser<'_> {
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        if line.is_empty() || line.starts_with(b"#") {
            return Ok(());
        }
        let mut words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        let first = words.next().unwrap_or_default();
        let pairs = words.map(|word| match word.iter().position(|&byte| byte == b'=') {
            Some(at) => (&word[..at], &word[at + 1..]),
            None => (word, &b""[..]),
        });
        match first {
            b"/set" => {
                for (key, value) in pairs {
                    self.defaults.retain(|(known, _)| known != key);
                    self.defaults.push((key.to_owned(), value.to_owned()));
                }
                Ok(())
            }
            b"/unset" => {
                for (key, _) in pairs {
                    self.defaults
                        .retain(|(known, _)| known != key && key != b"all");
                }
                Ok(())
            }
            b".." => match self.at.pop() {
                Some(_) => Ok(()),
                // FreeBSD's close the root too.
                None if std::mem::take(&mut self.in_root) => Ok(()),
                None => Err("there is nothing above".into()),
            },
            path => {
                let defaults = std::mem::take(&mut self.defaults);
                let mut keywords: Keywords<'_> = defaults
                    .iter()
                    .map(|(key, value)| (&key[..], &value[..]))
                    .collect();
                keywords.extend(pairs);
                let added = self.entry(path, &keywords);
                self.defaults = defaults;
                added
            }
        }
    }

    fn entry(&mut self, path: &[u8], keywords: &Keywords<'_>) -> Result<(), String> {
        let path = unescape(path, true).ok_or("the name is invalid")?;
        let is_full = path.contains(&b'/');
        let below = names(&path).ok_or_else(|| format!("{} has .. in it", shown(&path)))?;
        let path = match is_full {
            true => below,
            false => self.at.iter().cloned().chain(below).collect(),
        };
        let node = self.node(&path, keywords)?;
        let is_dir = node.stat.mode & libc::S_IFMT == libc::S_IFDIR;
        self.tree.add(&path, node)?;
        if is_dir && !is_full {
            self.in_root |= path.is_empty();
            self.at = path;
        }
        Ok(())
    }

    fn node(&self, path: &[OsString], keywords: &Keywords<'_>) -> Result<Node, String> {
        let text = |key: &str| {
            let value = keywords.get(key.as_bytes())?;
            str::from_utf8(value).ok()
        };
        let wrong = |key: &str| format!("{key}={} is invalid", text(key).unwrap_or("?"));
        let kind = match text("type").unwrap_or("file") {
            "file" => libc::S_IFREG,
            "dir" => libc::S_IFDIR,
            "link" => libc::S_IFLNK,
            "char" => libc::S_IFCHR,
            "block" => libc::S_IFBLK,
            "fifo" => libc::S_IFIFO,
            "socket" => libc::S_IFSOCK,
            _ => return Err(wrong("type")),
        };
        let usual = match kind {
            libc::S_IFDIR => 0o755,
            libc::S_IFLNK => 0o777,
            _ => 0o644,
        };
        let mode = match text("mode") {
            Some(mode) => {
                let change =
                    ModeChange::parse(mode.trim_start_matches('0')).or(ModeChange::parse(mode));
                change.map_err(|_| wrong("mode"))?.apply(0, false, 0)
            }
            None => usual,
        };
        let mut node = Node::plain(kind | mode);
        let owner = |number: &str, name: &str, names: &Names| match (text(number), text(name)) {
            (Some(id), _) => id.parse().map_err(|_| wrong(number)),
            (None, Some(user)) => {
                let known = names.numbers.get(user.as_bytes()).copied();
                known.ok_or_else(|| format!("{name}={user}: there is no such name in the image"))
            }
            (None, None) => Ok(0),
        };
        node.stat.uid = owner("uid", "uname", &self.known.users)?;
        node.stat.gid = owner("gid", "gname", &self.known.groups)?;
        if let Some(stamp) = text("time") {
            node.stat.modified = time(stamp).ok_or_else(|| wrong("time"))?;
            node.stat.accessed = node.stat.modified;
        }
        if kind == libc::S_IFCHR || kind == libc::S_IFBLK {
            let device = text("device").and_then(device);
            node.stat.rdev = device.ok_or_else(|| wrong("device"))?;
        }
        node.is_optional = keywords.contains_key(&b"optional"[..]);
        node.contents = match kind {
            libc::S_IFLNK => {
                let target = keywords
                    .get(&b"link"[..])
                    .ok_or("a symbolic link has no link=")?;
                let target = unescape(target, true).ok_or_else(|| wrong("link"))?;
                Contents::Link(PathBuf::from(OsString::from_vec(target)))
            }
            libc::S_IFREG => {
                let given = keywords
                    .get(&b"contents"[..])
                    .or(keywords.get(&b"content"[..]));
                let path = match given {
                    Some(given) => unescape(given, true).and_then(|given| relative(&given)),
                    None => Some(path.iter().collect()),
                };
                let path = path.ok_or_else(|| wrong("contents"))?;
                let size = text("size").map(str::parse).transpose();
                for (keyword, value) in keywords {
                    let pair = (
                        String::from_utf8_lossy(keyword),
                        String::from_utf8_lossy(value),
                    );
                    node.digests.extend(Digest::of_mtree(&pair.0, &pair.1)?);
                }
                Contents::File(path, size.map_err(|_| wrong("size"))?)
            }
            _ => Contents::None,
        };
        Ok(node)
    }
}

/// Parses a device number: "linux,8,17", "8,17", or a number of makedev(3).
fn device(text: &str) -> Option<u64> {
    let parts: Vec<&str> = text.split(',').collect();
    let number = |part: &str| match part.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => part.parse().ok(),
    };
    match parts[..] {
        [whole] => number(whole),
        [major, minor] | [_, major, minor] => {
            let part = |part| u32::try_from(number(part)?).ok();
            Some(drupe::makedev(part(major)?, part(minor)?))
        }
        _ => None,
    }
}
