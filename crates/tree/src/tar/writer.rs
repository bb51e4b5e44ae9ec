//! [`Writer`]: writes archives: ustar headers, with PAX records for values that do not
//! fit.

use std::io::{self, Write};

use tar::{EntryType, Header};

use super::reader::header_sum;
use super::{BLOCK, Extents, acl, pax};
use crate::copy::event::{Attributes, Stat};
use crate::time::Time;

/// The largest values that fit into a header's fields, in octal.
const MOST_SIZE: u64 = 0o77_777_777_777;
const MOST_ID: u64 = 0o7_777_777;

/// The values for a header, and the records before it.
pub(super) struct Entry<'a> {
    pub(super) path: &'a [u8],
    pub(super) kind: EntryType,
    pub(super) attributes: &'a Attributes,
    /// Names of the owners; empty: unknown.
    pub(super) user: &'a [u8],
    pub(super) group: &'a [u8],
    /// The target of a hard or symbolic link.
    pub(super) link: &'a [u8],
    /// Size of the stored contents of a file.
    pub(super) size: u64,
}

pub(super) struct Writer<W> {
    stream: W,
    /// Bytes of the member's contents written so far.
    written: u64,
}

/// Puts bytes into a field. `false`: they do not fit.
fn put(field: &mut [u8], bytes: &[u8]) -> bool {
    match field.get_mut(..bytes.len()) {
        Some(part) => {
            part.copy_from_slice(bytes);
            true
        }
        None => false,
    }
}

/// Puts a name, which ends at a NUL, into a field. `false`: it does not fit.
fn text(field: &mut [u8], name: &[u8]) -> bool {
    !name.contains(&0) && put(field, name)
}

/// Puts octal digits and a NUL into a field. A number above `most` has a record, and is 0
/// here.
fn octal(field: &mut [u8], number: u64, most: u64) {
    let number = if number <= most { number } else { 0 };
    let width = field.len() - 1;
    let digits = format!("{number:0width$o}\0");
    put(field, digits.as_bytes());
}

impl<W: Write> Writer<W> {
    pub(super) fn new(stream: W) -> Writer<W> {
        Writer { stream, written: 0 }
    }

    /// Writes a member's headers. Contents follow with [`Writer::write`], then
    /// [`Writer::end`].
    pub(super) fn begin(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        self.start(entry, Vec::new())
    }

    /// Like [`Writer::begin`], for a sparse file of which only `extents` are stored.
    pub(super) fn begin_sparse(
        &mut self,
        entry: &Entry<'_>,
        size: u64,
        extents: &Extents,
    ) -> io::Result<()> {
        let mut map = format!("{}\n", extents.len()).into_bytes();
        for (offset, len) in extents {
            map.extend(format!("{offset}\n{len}\n").bytes());
        }
        map.resize(map.len().next_multiple_of(BLOCK as usize), 0);
        let mut records = Vec::new();
        pax::append(&mut records, b"GNU.sparse.major", b"1");
        pax::append(&mut records, b"GNU.sparse.minor", b"0");
        pax::append(&mut records, b"GNU.sparse.name", entry.path);
        pax::append(
            &mut records,
            b"GNU.sparse.realsize",
            size.to_string().as_bytes(),
        );
        let path = beside(entry.path, b"GNUSparseFile.0");
        let stored = extents.iter().map(|(_, len)| len).sum::<u64>() + map.len() as u64;
        let entry = Entry {
            path: &path,
            size: stored,
            ..*entry
        };
        self.start(&entry, records)?;
        self.write(&map)
    }

    fn start(&mut self, entry: &Entry<'_>, mut records: Vec<u8>) -> io::Result<()> {
        let stat = &entry.attributes.stat;
        let mut header = header(entry.kind, stat.mode & 0o7777);
        let ustar = header.as_ustar_mut();
        let mut add = |key: &[u8], value: &[u8]| pax::append(&mut records, key, value);
        if let Some(ustar) = ustar {
            if !set_path(&mut ustar.name, &mut ustar.prefix, entry.path) {
                // For those who know no records: what fits of it.
                let end = entry.path.len().min(100);
                text(&mut ustar.name, &entry.path[..end]);
                add(b"path", entry.path);
            }
            if !text(&mut ustar.linkname, entry.link) {
                text(
                    &mut ustar.linkname,
                    &entry.link[..100.min(entry.link.len())],
                );
                add(b"linkpath", entry.link);
            }
            // As names of 32 bytes have no NUL behind them, some read on.
            for (key, field, name) in [
                ("uname", &mut ustar.uname, entry.user),
                ("gname", &mut ustar.gname, entry.group),
            ] {
                if !text(&mut field[..31], name) {
                    add(key.as_bytes(), name);
                }
            }
            for (key, field, number, most) in [
                ("size", &mut ustar.size[..], entry.size, MOST_SIZE),
                ("uid", &mut ustar.uid[..], stat.uid.into(), MOST_ID),
                ("gid", &mut ustar.gid[..], stat.gid.into(), MOST_ID),
            ] {
                octal(field, number, most);
                if number > most {
                    add(key.as_bytes(), number.to_string().as_bytes());
                }
            }
            let Time { seconds, nanos } = stat.modified;
            let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
            octal(&mut ustar.mtime, seconds, MOST_SIZE);
            if nanos != 0 || seconds > MOST_SIZE {
                add(b"mtime", stat.modified.to_string().as_bytes());
            }
            if matches!(entry.kind, EntryType::Char | EntryType::Block) {
                octal(&mut ustar.dev_major, libc::major(stat.rdev).into(), MOST_ID);
                octal(&mut ustar.dev_minor, libc::minor(stat.rdev).into(), MOST_ID);
            }
        }
        for (name, value) in &entry.attributes.xattrs {
            use std::os::unix::ffi::OsStrExt;
            let name = name.as_bytes();
            let acl = match name {
                b"system.posix_acl_access" => Some("SCHILY.acl.access"),
                b"system.posix_acl_default" => Some("SCHILY.acl.default"),
                _ => None,
            };
            match acl.and_then(|key| Some((key, acl::to_text(value)?))) {
                Some((key, text)) => add(key.as_bytes(), text.as_bytes()),
                None => add(&pax::xattr_key(name), value),
            }
        }
        if !records.is_empty() {
            self.extended(entry.path, &records)?;
        }
        self.header(&mut header)?;
        self.written = 0;
        Ok(())
    }

    /// Writes the records of the next member, as a member before it.
    fn extended(&mut self, path: &[u8], records: &[u8]) -> io::Result<()> {
        let mut header = header(EntryType::XHeader, 0o644);
        let name = beside(path, b"PaxHeaders");
        if let Some(ustar) = header.as_ustar_mut() {
            text(&mut ustar.name, &name[..name.len().min(100)]);
            octal(&mut ustar.size, records.len() as u64, MOST_SIZE);
        }
        self.header(&mut header)?;
        self.written = 0;
        self.write(records)?;
        self.end()
    }

    fn header(&mut self, header: &mut Header) -> io::Result<()> {
        let sum = header_sum(header.as_bytes());
        // Six digits, a NUL and a space, as ever.
        let digits = format!("{sum:06o}\0 ");
        put(&mut header.as_old_mut().cksum, digits.as_bytes());
        self.stream.write_all(header.as_bytes())
    }

    /// Writes contents.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Ends a member.
    pub(super) fn end(&mut self) -> io::Result<()> {
        let pad = (self.written.wrapping_neg() % BLOCK) as usize;
        self.stream.write_all(&[0; BLOCK as usize][..pad])
    }

    /// Ends the archive. Returns the stream.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.stream.write_all(&[0; 2 * BLOCK as usize])?;
        Ok(self.stream)
    }
}

fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    if let Some(ustar) = header.as_ustar_mut() {
        octal(&mut ustar.mode, mode.into(), MOST_ID);
        for field in [
            &mut ustar.uid,
            &mut ustar.gid,
            &mut ustar.dev_major,
            &mut ustar.dev_minor,
        ] {
            octal(field, 0, 0);
        }
        octal(&mut ustar.size, 0, 0);
        octal(&mut ustar.mtime, 0, 0);
    }
    header
}

/// Puts a path into `name`, or divides it at a slash between both fields. `false`: it
/// does not fit.
fn set_path(name: &mut [u8; 100], prefix: &mut [u8; 155], path: &[u8]) -> bool {
    if path.contains(&0) || path.is_empty() {
        return false;
    }
    if text(name, path) {
        return true;
    }
    // The last slash that leaves a prefix that fits; one at the end is no split.
    let most = path.len().min(prefix.len() + 1);
    let slashes = (1..most).rev().filter(|&at| path[at] == b'/');
    for at in slashes {
        let rest = &path[at + 1..];
        if rest.is_empty() {
            continue;
        }
        return text(name, rest) && text(prefix, &path[..at]);
    }
    false
}

/// "dir/NAME/file" of "dir/file".
fn beside(path: &[u8], name: &[u8]) -> Vec<u8> {
    let trimmed = path.strip_suffix(b"/").unwrap_or(path);
    let at = trimmed
        .iter()
        .rposition(|&byte| byte == b'/')
        .map_or(0, |at| at + 1);
    let mut beside = trimmed[..at].to_vec();
    beside.extend(name);
    beside.push(b'/');
    beside.extend(&trimmed[at..]);
    beside
}

/// The type of a member for a file of this mode; `None`: a socket.
pub(super) fn kind(stat: &Stat) -> Option<EntryType> {
    match stat.mode & libc::S_IFMT {
        libc::S_IFREG => Some(EntryType::Regular),
        libc::S_IFDIR => Some(EntryType::Directory),
        libc::S_IFLNK => Some(EntryType::Symlink),
        libc::S_IFCHR => Some(EntryType::Char),
        libc::S_IFBLK => Some(EntryType::Block),
        libc::S_IFIFO => Some(EntryType::Fifo),
        _ => None,
    }
}
