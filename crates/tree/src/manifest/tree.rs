//! [`Tree`]: the tree that a manifest describes; parsing of fields that both formats
//! share.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::digest::Digest;
use crate::copy::event::Stat;
use crate::time::Time;

#[derive(Debug)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    /// Whether the manifest has an entry for the root.
    pub(super) is_root_given: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) stat: Stat,
    pub(super) xattrs: Vec<(OsString, Vec<u8>)>,
    pub(super) contents: Contents,
    /// Whether the file is left out if its contents are missing.
    pub(super) is_optional: bool,
    /// The digests that the contents must have.
    pub(super) digests: Vec<Digest>,
    /// The entries of a directory: names, and indices of their nodes.
    pub(super) children: BTreeMap<OsString, usize>,
}

#[derive(Debug, Clone)]
pub(super) enum Contents {
    None,
    Inline(Vec<u8>),
    /// A file: its path in the directory with contents, and the size that it must have.
    File(PathBuf, Option<u64>),
    /// A symbolic link, with its target.
    Link(PathBuf),
}

impl Node {
    /// A directory without attributes, above one that the manifest names.
    pub(super) fn plain(mode: u32) -> Node {
        Node {
            stat: Stat {
                mode,
                uid: 0,
                gid: 0,
                size: 0,
                blocks: 0,
                nlink: 1,
                dev: 0,
                ino: 0,
                rdev: 0,
                accessed: Time::default(),
                modified: Time::default(),
            },
            xattrs: Vec::new(),
            contents: Contents::None,
            is_optional: false,
            digests: Vec::new(),
            children: BTreeMap::new(),
        }
    }

    fn is_dir(&self) -> bool {
        self.stat.mode & libc::S_IFMT == libc::S_IFDIR
    }
}

/// The names in a path, without "." and empty ones; `None`: it has a "..".
pub(super) fn names(path: &[u8]) -> Option<Vec<OsString>> {
    let names = path
        .split(|&byte| byte == b'/')
        .filter(|name| !matches!(*name, b"" | b"."));
    let named = names.map(|name| match name {
        b".." => None,
        name if name.contains(&0) => None,
        name => Some(OsString::from_vec(name.to_vec())),
    });
    named.collect()
}

impl Tree {
    pub(super) const ROOT: usize = 0;

    pub(super) fn new() -> Tree {
        Tree {
            nodes: vec![Node::plain(libc::S_IFDIR | 0o755)],
            is_root_given: false,
        }
    }

    /// Adds a node, and missing directories above it. An existing node gets the new
    /// attributes.
    pub(super) fn add(&mut self, path: &[OsString], node: Node) -> Result<usize, String> {
        let Some((name, above)) = path.split_last() else {
            if !node.is_dir() {
                return Err("the root must be a directory".into());
            }
            self.is_root_given = true;
            return Ok(self.replace(Tree::ROOT, node));
        };
        let dir = self.enter(above)?;
        if let Some(&there) = self.nodes[dir].children.get(name) {
            if self.nodes[there].is_dir() != node.is_dir() {
                return Err("it is both a directory and something else".into());
            }
            return Ok(self.replace(there, node));
        }
        let index = self.nodes.len();
        self.nodes.push(node);
        self.nodes[index].stat.ino = index as u64;
        self.nodes[dir].children.insert(name.clone(), index);
        Ok(index)
    }

    /// Adds a hard link to a node.
    pub(super) fn link(&mut self, path: &[OsString], target: &[OsString]) -> Result<(), String> {
        let mut at = Tree::ROOT;
        for name in target {
            let next = self.nodes[at].children.get(name);
            at = *next.ok_or("what it is a link to has not come")?;
        }
        if self.nodes[at].is_dir() {
            return Err("a directory has no second name".into());
        }
        let Some((name, above)) = path.split_last() else {
            return Err("the root must be a directory".into());
        };
        let dir = self.enter(above)?;
        if self.nodes[dir].children.contains_key(name) {
            return Err("it has come already".into());
        }
        self.nodes[dir].children.insert(name.clone(), at);
        self.nodes[at].stat.nlink += 1;
        Ok(())
    }

    /// The node of a directory, which is made if it is missing.
    fn enter(&mut self, path: &[OsString]) -> Result<usize, String> {
        let mut at = Tree::ROOT;
        for name in path {
            at = match self.nodes[at].children.get(name) {
                Some(&next) => next,
                None => {
                    let index = self.nodes.len();
                    self.nodes.push(Node::plain(libc::S_IFDIR | 0o755));
                    self.nodes[index].stat.ino = index as u64;
                    self.nodes[at].children.insert(name.clone(), index);
                    index
                }
            };
            if !self.nodes[at].is_dir() {
                return Err(format!("{} is no directory", OsStr::display(name)));
            }
        }
        Ok(at)
    }

    fn replace(&mut self, at: usize, mut node: Node) -> usize {
        let old = &mut self.nodes[at];
        node.stat.ino = old.stat.ino;
        node.stat.nlink = old.stat.nlink;
        node.children = std::mem::take(&mut old.children);
        *old = node;
        at
    }
}

/// Parses seconds and nanoseconds with a point between them: in both formats, "1.1" is
/// one nanosecond after 1.
pub(super) fn time(text: &str) -> Option<Time> {
    let (seconds, nanos) = text.split_once('.').unwrap_or((text, "0"));
    let nanos = nanos.parse().ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Time {
        seconds: seconds.parse().ok()?,
        nanos,
    })
}

/// A path in the directory with contents; `None`: it leads out of it.
pub(super) fn relative(path: &[u8]) -> Option<PathBuf> {
    Some(names(path)?.iter().collect())
}

/// Decodes `\xFF`, `\n`, `\t`, `\r` and `\\`, and with `octal` also `\040` and other
/// characters behind a backslash.
pub(super) fn unescape(field: &[u8], octal: bool) -> Option<Vec<u8>> {
    let number =
        |digits: &[u8], radix| u8::from_str_radix(str::from_utf8(digits).ok()?, radix).ok();
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (byte, len) = match rest {
            [b'x', ..] => (number(rest.get(1..3)?, 16)?, 3),
            [b'0'..=b'3', ..] if octal => (number(rest.get(..3)?, 8)?, 3),
            [b'n', ..] => (b'\n', 1),
            [b't', ..] => (b'\t', 1),
            [b'r', ..] => (b'\r', 1),
            [b's', ..] if octal => (b' ', 1),
            [b'\\', ..] => (b'\\', 1),
            [other, ..] if octal => (*other, 1),
            _ => return None,
        };
        bytes.push(byte);
        rest = &rest[len..];
    }
    Some(bytes)
}

/// Bytes as text, for messages.
pub(super) fn shown(bytes: &[u8]) -> String {
    OsStr::from_bytes(bytes)
        .to_string_lossy()
        .escape_debug()
        .to_string()
}
