//! [`Reader`]: reads archives as streams: ustar, GNU and PAX.

use std::collections::BTreeMap;
use std::io::{self, Read};

use tar::{EntryType, GnuExtSparseHeader, GnuHeader, GnuSparseHeader, Header};

use super::{BLOCK, Extents, pax};
use crate::time::Time;

/// Limit in bytes of the records of one member: several attributes of 64 KiB, as in
/// libarchive.
const MOST_RECORDS: u64 = 16 << 20;
/// Limit in bytes of all global records, which are applied to each member.
const MOST_GLOBAL: u64 = 64 << 10;
/// Limit in bytes of the names of a member's extended attributes; Linux lists no more
/// (`XATTR_LIST_MAX`).
const MOST_XATTR_NAMES: usize = 64 << 10;
/// Limit in bytes of a name in a GNU header.
const MOST_NAME: u64 = 1 << 20;
/// Limit of the parts of a sparse file.
const MOST_EXTENTS: usize = 8 << 20;

/// A member of an archive. Its contents are read with [`Reader::read`].
#[derive(Debug, Default)]
pub(super) struct Member {
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    /// The owner's number as in the archive: any number, or -1 if it is malformed.
    pub(super) uid: i64,
    pub(super) gid: i64,
    pub(super) user: Vec<u8>,
    pub(super) group: Vec<u8>,
    pub(super) modified: Time,
    pub(super) accessed: Option<Time>,
    /// The file's size; a sparse file has less data in the archive.
    pub(super) size: u64,
    pub(super) device: (u32, u32),
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) acls: Vec<(&'static str, Vec<u8>)>,
    /// The places of the stored data in the file; `None`: the whole file is stored.
    pub(super) extents: Option<Extents>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    File,
    Dir,
    Symlink,
    Link,
    Char,
    Block,
    Fifo,
    /// A type for which there is no file.
    Other(u8),
}

pub(super) struct Reader<R> {
    stream: R,
    /// Bytes of the member's contents that are still to be read, and of their padding.
    left: u64,
    padding: u64,
    /// The archive may end right behind the contents of a member.
    unpadded: bool,
    /// Records of global headers, and their size in bytes.
    global: Vec<(Vec<u8>, Vec<u8>)>,
    global_bytes: u64,
    begun: bool,
}

/// Of an archive that is cut short.
const ENDS: &str = "the archive ends in the middle of a file";

fn is_end(error: &io::Error) -> bool {
    // A stream that cannot be decompressed to its end has the same kind.
    error
        .get_ref()
        .is_some_and(|cause| cause.to_string() == ENDS)
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

impl<R: Read> Reader<R> {
    pub(super) fn new(stream: R) -> Reader<R> {
        Reader {
            stream,
            left: 0,
            padding: 0,
            unpadded: false,
            global: Vec::new(),
            global_bytes: 0,
            begun: false,
        }
    }

    /// Lets the archive end right behind the contents of a member, without padding and
    /// without the blocks of zeroes: umoci makes such layers, and Go's library, which
    /// container tools use, reads them. That a layer is complete is known by its digest.
    pub(super) fn unpadded(self, yes: bool) -> Reader<R> {
        Reader {
            unpadded: yes,
            ..self
        }
    }

    /// Reads contents of the member; 0 at their end.
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let most = bytes
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        loop {
            match self.stream.read(&mut bytes[..most]) {
                Ok(0) => return Err(invalid(ENDS)),
                Ok(len) => {
                    self.left -= len as u64;
                    return Ok(len);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read(&mut bytes[filled..])? {
                0 => return Err(invalid("a header of the archive is too short")),
                len => filled += len,
            }
        }
        Ok(())
    }

    /// Reads the member's whole contents.
    fn contents(&mut self, most: u64) -> io::Result<Vec<u8>> {
        if self.left > most {
            return Err(invalid(format!(
                "a header of the archive has {} bytes, of at most {most}",
                self.left
            )));
        }
        let mut bytes = vec![0; self.left as usize];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Skips the rest of the member.
    fn skip(&mut self) -> io::Result<()> {
        let mut chunk = vec![0; 64 << 10];
        while self.left > 0 {
            self.read(&mut chunk)?;
        }
        self.left = std::mem::take(&mut self.padding);
        let whole = self.left;
        while self.left > 0 {
            match self.read(&mut chunk) {
                Err(error) if self.unpadded && self.left == whole && is_end(&error) => {
                    self.left = 0;
                }
                read => drop(read?),
            }
        }
        Ok(())
    }

    /// Reads the rest of the stream, so that its writer does not get SIGPIPE.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        io::copy(&mut self.stream, &mut io::sink()).map(drop)
    }

    /// The next header; `None` at the end of the archive.
    fn header(&mut self) -> io::Result<Option<Header>> {
        self.skip()?;
        let mut header = Header::new_old();
        let bytes = header.as_mut_bytes();
        let mut filled = 0;
        while filled < bytes.len() {
            match self.stream.read(&mut bytes[filled..]) {
                Ok(0) if filled == 0 && self.begun => return Ok(None),
                Ok(0) if filled == 0 => return Err(invalid("the archive is empty")),
                Ok(0) => return Err(invalid("the archive ends in the middle of a header")),
                Ok(len) => filled += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if bytes.iter().all(|&byte| byte == 0) {
            self.begun = true;
            return Ok(None);
        }
        let sum: i64 = header_sum(header.as_bytes());
        if number(&header.as_old().cksum) != Some(sum) {
            return Err(invalid(match self.begun {
                true => "the archive is damaged: the checksum of a header is wrong",
                false => "this is no tar archive",
            }));
        }
        self.begun = true;
        self.contains(&header, None)?;
        Ok(Some(header))
    }

    /// Sets the length of the contents that follow the header.
    fn contains(&mut self, header: &Header, size: Option<u64>) -> io::Result<()> {
        let own = number(&header.as_old().size).and_then(|size| u64::try_from(size).ok());
        self.left = size
            .or(own)
            .ok_or_else(|| invalid("a header has no size"))?;
        self.padding = self.left.wrapping_neg() % BLOCK;
        match self.left.checked_add(self.padding) {
            Some(_) => Ok(()),
            None => Err(invalid("a header has an impossible size")),
        }
    }

    /// The next member. The rest of the previous one is skipped.
    pub(super) fn next(&mut self) -> io::Result<Option<Member>> {
        let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let (mut path, mut link) = (None, None);
        loop {
            let Some(header) = self.header()? else {
                return match records.is_empty() && path.is_none() && link.is_none() {
                    true => Ok(None),
                    false => Err(invalid("the archive ends behind a header")),
                };
            };
            match header.entry_type() {
                EntryType::XHeader => {
                    let bytes = self.contents(MOST_RECORDS)?;
                    records = owned(&bytes)?;
                }
                EntryType::XGlobalHeader => {
                    let bytes = self.contents(MOST_GLOBAL)?;
                    self.global_bytes += bytes.len() as u64;
                    if self.global_bytes > MOST_GLOBAL {
                        return Err(invalid(format!(
                            "the archive's global headers have more than {MOST_GLOBAL} bytes"
                        )));
                    }
                    self.global.extend(owned(&bytes)?);
                }
                EntryType::GNULongName => path = Some(until_nul(self.contents(MOST_NAME)?)),
                EntryType::GNULongLink => link = Some(until_nul(self.contents(MOST_NAME)?)),
                _ => return self.member(&header, path, link, &records).map(Some),
            }
        }
    }

    fn member(
        &mut self,
        header: &Header,
        path: Option<Vec<u8>>,
        link: Option<Vec<u8>>,
        records: &[(Vec<u8>, Vec<u8>)],
    ) -> io::Result<Member> {
        let old = header.as_old();
        let field = |field: &[u8]| number(field).unwrap_or(0);
        let mut member = Member {
            path: path.unwrap_or_else(|| header.path_bytes().into_owned()),
            link: link.unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned()),
            mode: field(&old.mode) as u32 & 0o7777,
            uid: number(&old.uid).unwrap_or(-1),
            gid: number(&old.gid).unwrap_or(-1),
            user: header.username_bytes().unwrap_or_default().to_owned(),
            group: header.groupname_bytes().unwrap_or_default().to_owned(),
            modified: Time {
                seconds: field(&old.mtime),
                nanos: 0,
            },
            ..Member::default()
        };
        if let Some(ustar) = header.as_ustar() {
            member.device = (
                field(&ustar.dev_major) as u32,
                field(&ustar.dev_minor) as u32,
            );
        } else if let Some(gnu) = header.as_gnu() {
            member.device = (field(&gnu.dev_major) as u32, field(&gnu.dev_minor) as u32);
        }
        let records = self.global.iter().chain(records);
        let sparse = Sparse::apply(&mut member, records)?;
        if let Some(size) = sparse.stored {
            self.contains(header, Some(size))?;
        }
        let kind = header.entry_type();
        member.kind = match kind {
            // Of the oldest archives: a name with a slash behind it.
            EntryType::Regular if member.path.ends_with(b"/") => Kind::Dir,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
            EntryType::Directory => Kind::Dir,
            EntryType::Symlink => Kind::Symlink,
            EntryType::Link => Kind::Link,
            EntryType::Char => Kind::Char,
            EntryType::Block => Kind::Block,
            EntryType::Fifo => Kind::Fifo,
            other => Kind::Other(other.as_byte()),
        };
        match member.kind {
            Kind::File | Kind::Other(_) => {}
            // Some writers give the size of the file that it is a link to.
            _ => self.contains(header, Some(0))?,
        }
        if member.kind != Kind::File {
            return Ok(member);
        }
        member.size = self.left;
        if let (EntryType::GNUSparse, Some(gnu)) = (kind, header.as_gnu()) {
            let size = number(&gnu.realsize).and_then(|size| u64::try_from(size).ok());
            member.size = size.ok_or_else(|| invalid("a sparse file has no size"))?;
            member.extents = Some(self.old_map(gnu)?);
        } else if let Some(size) = sparse.size {
            member.size = size;
            member.extents = Some(match sparse.is_in_contents {
                true => self.map()?,
                false => sparse.extents,
            });
        }
        self.check(&member)?;
        Ok(member)
    }

    /// Checks that the parts of a sparse file are in order, within it, and complete.
    fn check(&self, member: &Member) -> io::Result<()> {
        let Some(extents) = &member.extents else {
            return Ok(());
        };
        let (mut end, mut sum) = (0_u64, 0_u64);
        for (offset, len) in extents {
            let next = offset.checked_add(*len);
            match next {
                Some(next) if *offset >= end && next <= member.size => end = next,
                _ => return Err(invalid("the map of a sparse file is invalid")),
            }
            sum += len;
        }
        match sum == self.left {
            true => Ok(()),
            false => Err(invalid(
                "the map of a sparse file does not fit what is stored of it",
            )),
        }
    }

    /// Reads the map of version 1.0, before the contents: a line for each number, then
    /// padding.
    fn map(&mut self) -> io::Result<Extents> {
        let before = self.left;
        let count = self.line()?;
        let mut extents = Extents::new();
        for _ in 0..count {
            if extents.len() == MOST_EXTENTS {
                return Err(invalid("a sparse file has too many parts"));
            }
            extents.push((self.line()?, self.line()?));
        }
        let mut padding = [0; BLOCK as usize];
        let pad = ((before - self.left).wrapping_neg() % BLOCK) as usize;
        self.read_exact(&mut padding[..pad])?;
        Ok(compact(extents))
    }

    fn line(&mut self) -> io::Result<u64> {
        let mut number = 0_u64;
        for _ in 0..21 {
            let mut byte = [0];
            self.read_exact(&mut byte)?;
            let digit = match byte[0] {
                b'\n' => return Ok(number),
                digit @ b'0'..=b'9' => u64::from(digit - b'0'),
                _ => break,
            };
            let next = number
                .checked_mul(10)
                .and_then(|number| number.checked_add(digit));
            number = next.ok_or_else(|| invalid("the map of a sparse file is invalid"))?;
        }
        Err(invalid("the map of a sparse file is invalid"))
    }

    /// Reads the map of GNU's old format: in the header, and in blocks behind it, which
    /// do not count as contents.
    fn old_map(&mut self, gnu: &GnuHeader) -> io::Result<Extents> {
        let mut extents = Extents::new();
        let mut add = |entries: &[GnuSparseHeader]| -> io::Result<()> {
            for entry in entries.iter().filter(|entry| entry.numbytes[0] != 0) {
                let field =
                    |field: &[u8]| number(field).and_then(|number| u64::try_from(number).ok());
                let (Some(offset), Some(len)) = (field(&entry.offset), field(&entry.numbytes))
                else {
                    return Err(invalid("the map of a sparse file is invalid"));
                };
                extents.push((offset, len));
            }
            match extents.len() > MOST_EXTENTS {
                true => Err(invalid("a sparse file has too many parts")),
                false => Ok(()),
            }
        };
        add(&gnu.sparse)?;
        let mut more = gnu.isextended[0] == 1;
        let size = self.left;
        while more {
            let mut block = GnuExtSparseHeader::new();
            self.left = BLOCK;
            self.read_exact(block.as_mut_bytes())?;
            add(&block.sparse)?;
            more = block.isextended[0] == 1;
        }
        self.left = size;
        Ok(compact(extents))
    }
}

/// Removes empty parts, which mark the ends of files.
fn compact(mut extents: Extents) -> Extents {
    extents.retain(|(_, len)| *len > 0);
    extents
}

/// Records about sizes and sparse files.
#[derive(Default)]
struct Sparse {
    /// The size of the stored data.
    stored: Option<u64>,
    /// The size of a sparse file.
    size: Option<u64>,
    extents: Extents,
    /// Whether the map is before the contents (version 1.0).
    is_in_contents: bool,
}

impl Sparse {
    /// Applies records to a member. Returns those about sparse files.
    fn apply<'a>(
        member: &mut Member,
        records: impl Iterator<Item = &'a (Vec<u8>, Vec<u8>)>,
    ) -> io::Result<Sparse> {
        let mut sparse = Sparse::default();
        let mut name = None;
        let mut xattrs = BTreeMap::new();
        let mut xattr_names = 0;
        for (key, value) in records {
            let wrong = || {
                invalid(format!(
                    "the record {:?} is invalid",
                    String::from_utf8_lossy(key)
                ))
            };
            let text = || str::from_utf8(value).ok();
            let whole = || {
                text()
                    .and_then(|text| text.parse::<u64>().ok())
                    .ok_or_else(wrong)
            };
            let id = || text().and_then(|text| text.parse().ok()).ok_or_else(wrong);
            let time = || text().and_then(Time::parse_seconds).ok_or_else(wrong);
            match &key[..] {
                b"path" => member.path.clone_from(value),
                b"linkpath" => member.link.clone_from(value),
                b"size" => sparse.stored = Some(whole()?),
                b"uid" => member.uid = id()?,
                b"gid" => member.gid = id()?,
                b"uname" => member.user.clone_from(value),
                b"gname" => member.group.clone_from(value),
                b"mtime" => member.modified = time()?,
                b"atime" => member.accessed = Some(time()?),
                b"SCHILY.acl.access" => {
                    member.acls.push(("system.posix_acl_access", value.clone()))
                }
                b"SCHILY.acl.default" => member
                    .acls
                    .push(("system.posix_acl_default", value.clone())),
                b"RHT.security.selinux" => {
                    let mut label = value.clone();
                    label.push(0);
                    member.xattrs.push((b"security.selinux".to_vec(), label));
                }
                b"GNU.sparse.major" => sparse.is_in_contents = whole()? == 1,
                b"GNU.sparse.realsize" | b"GNU.sparse.size" => sparse.size = Some(whole()?),
                b"GNU.sparse.name" => name = Some(value.clone()),
                b"GNU.sparse.offset" => sparse.extents.push((whole()?, 0)),
                b"GNU.sparse.numbytes" => {
                    sparse.extents.last_mut().ok_or_else(wrong)?.1 = whole()?;
                }
                b"GNU.sparse.map" => {
                    let numbers = text().map(|text| text.split(',').map(str::parse).collect());
                    let numbers: Vec<u64> = numbers.and_then(Result::ok).ok_or_else(wrong)?;
                    sparse.extents = numbers
                        .chunks_exact(2)
                        .map(|pair| (pair[0], pair[1]))
                        .collect();
                }
                key => {
                    if let Some(name) = pax::xattr_name(key) {
                        let len = name.len() + 1;
                        // The last one counts.
                        if xattrs.insert(name, value).is_none() {
                            xattr_names += len;
                        }
                        if xattr_names > MOST_XATTR_NAMES {
                            return Err(invalid(format!(
                                "the names of a file's extended attributes have more than \
                                 {MOST_XATTR_NAMES} bytes"
                            )));
                        }
                    }
                }
            }
        }
        let xattrs = xattrs.into_iter();
        member
            .xattrs
            .extend(xattrs.map(|(name, value)| (name, value.clone())));
        if let Some(name) = name {
            member.path = name;
        }
        sparse.extents = compact(sparse.extents);
        Ok(sparse)
    }
}

fn owned(bytes: &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let records = pax::parse(bytes).ok_or_else(|| invalid("an extended header is invalid"))?;
    let owned = records
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    Ok(owned.collect())
}

fn until_nul(mut name: Vec<u8>) -> Vec<u8> {
    let end = name.iter().position(|&byte| byte == 0);
    name.truncate(end.unwrap_or(name.len()));
    name
}

/// The checksum of a header: the sum of its bytes, with spaces in place of the checksum.
pub(super) fn header_sum(bytes: &[u8; 512]) -> i64 {
    let sum = |part: &[u8]| part.iter().map(|&byte| i64::from(byte)).sum::<i64>();
    sum(&bytes[..148]) + 8 * i64::from(b' ') + sum(&bytes[156..])
}

/// Parses a number in a header: octal digits, or with the first bit set, two's
/// complement. An empty field is 0. `None`: malformed or too large.
fn number(field: &[u8]) -> Option<i64> {
    if let Some((&first, rest)) = field.split_first()
        && first & 0x80 != 0
    {
        // The sign is the bit behind the marker.
        let mut value = i128::from((first << 1) as i8 >> 1);
        for &byte in rest {
            value = value << 8 | i128::from(byte);
            if i64::try_from(value).is_err() {
                return None;
            }
        }
        return i64::try_from(value).ok();
    }
    let text = str::from_utf8(field).ok()?;
    let text = text.trim_start_matches([' ', '\0']);
    let end = text.find([' ', '\0']).unwrap_or(text.len());
    match &text[..end] {
        "" => Some(0),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            i64::from_str_radix(digits, 8).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
