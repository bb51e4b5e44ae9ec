//! Parses dump files of composefs (composefs-dump(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::digest::Digest;
use super::tree::{Contents, Node, Tree, names, relative, shown, time, unescape};

/// An error: the line's number and what is wrong.
pub(super) type Wrong = (usize, String);

pub(super) fn parse(text: &[u8]) -> Result<Tree, Wrong> {
    let mut tree = Tree::new();
    for (n, line) in text.split(|&byte| byte == b'\n').enumerate() {
        if !line.is_empty() {
            add(&mut tree, line).map_err(|error| (n + 1, error))?;
        }
    }
    Ok(tree)
}

fn add(tree: &mut Tree, line: &[u8]) -> Result<(), String> {
    let mut fields = line.split(|&byte| byte == b' ');
    let mut field = |name: &str| fields.next().ok_or(format!("there is no {name}"));
    let path = field("path")?;
    let wrong = |what: &str, field: &[u8]| format!("{what} {} is invalid", shown(field));
    let path = unescape(path, false)
        .filter(|path| path.starts_with(b"/"))
        .and_then(|path| names(&path))
        .ok_or_else(|| wrong("the path", path))?;
    let number = |what: &str, field: &[u8], radix| {
        let text = str::from_utf8(field).ok();
        let number = text.and_then(|text| u64::from_str_radix(text, radix).ok());
        number.ok_or_else(|| wrong(what, field))
    };
    let small = |what: &str, field: &[u8], radix| {
        u32::try_from(number(what, field, radix)?).map_err(|_| wrong(what, field))
    };
    let size = number("the size", field("size")?, 10)?;
    let mode = field("mode")?;
    let (mode, is_link) = match mode.strip_prefix(b"@") {
        Some(mode) => (mode, true),
        None => (mode, false),
    };
    let mut node = Node::plain(small("the mode", mode, 8)?);
    field("number of links")?;
    node.stat.uid = small("the owner", field("owner")?, 10)?;
    node.stat.gid = small("the group", field("group")?, 10)?;
    node.stat.rdev = number("the device", field("device")?, 10)?;
    let stamp = field("time")?;
    let modified = str::from_utf8(stamp).ok().and_then(time);
    node.stat.modified = modified.ok_or_else(|| wrong("the time", stamp))?;
    node.stat.accessed = node.stat.modified;
    let mut optional = |name: &str| match field(name)? {
        b"-" => Ok(None),
        field => unescape(field, false)
            .map(Some)
            .ok_or_else(|| wrong(name, field)),
    };
    let payload = optional("payload")?;
    let content = optional("content")?;
    let digest = optional("digest")?;
    if is_link {
        let target = payload.ok_or("a hard link has no target")?;
        let target = names(&target).ok_or("the target of a hard link is invalid")?;
        return tree.link(&path, &target);
    }
    if let Some(digest) = digest {
        let digest = String::from_utf8(digest).map_err(|_| "the digest is invalid")?;
        node.digests.push(Digest::fs_verity(&digest));
    }
    for xattr in fields.filter(|field| !field.is_empty()) {
        let equals = xattr.iter().position(|&byte| byte == b'=');
        let split = equals.map(|at| (&xattr[..at], &xattr[at + 1..]));
        let pair =
            split.and_then(|(name, value)| Some((unescape(name, false)?, unescape(value, false)?)));
        let (name, value) = pair.ok_or_else(|| wrong("the extended attribute", xattr))?;
        node.xattrs.push((OsString::from_vec(name), value));
    }
    node.contents = match node.stat.mode & libc::S_IFMT {
        libc::S_IFLNK => {
            let target = payload.ok_or("a symbolic link has no target")?;
            Contents::Link(PathBuf::from(OsString::from_vec(target)))
        }
        libc::S_IFREG => match (content, payload) {
            (Some(content), _) if content.len() as u64 == size => Contents::Inline(content),
            (Some(_), _) => return Err("the contents are not of this size".into()),
            (None, Some(path)) => {
                let path = relative(&path).ok_or("the path of the contents is invalid")?;
                Contents::File(path, Some(size))
            }
            (None, None) if size == 0 => Contents::Inline(Vec::new()),
            (None, None) => return Err("a file of this size has no contents".into()),
        },
        libc::S_IFDIR | libc::S_IFCHR | libc::S_IFBLK | libc::S_IFIFO | libc::S_IFSOCK => {
            Contents::None
        }
        _ => return Err(wrong("the mode", mode)),
    };
    tree.add(&path, node).map(drop)
}
