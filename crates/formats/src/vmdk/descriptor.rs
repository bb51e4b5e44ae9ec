//! [`Descriptor`]: parses the text that lists the extents of a vmdk.

use crate::{Error, Format, Result};

/// Limit of the extents, each of which is a file.
const MAX_EXTENTS: usize = 1024;

/// The content of a descriptor.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) extents: Vec<Line>,
}

/// The line of an extent: `RW 4192256 SPARSE "disk-s001.vmdk"`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) sectors: u64,
    pub(super) kind: Kind,
    pub(super) name: Option<String>,
    /// Offset in a flat extent's file, in sectors.
    pub(super) offset: u64,
}

/// The kind of an extent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Flat,
    Sparse,
    Zero,
}

impl Descriptor {
    pub(super) fn parse(text: &[u8]) -> Result<Descriptor> {
        // One within an extent is filled up with NULs.
        let len = text.iter().position(|&byte| byte == 0);
        let text = String::from_utf8_lossy(&text[..len.unwrap_or(text.len())]);
        let mut descriptor = Descriptor::default();
        for line in text.lines().map(str::trim) {
            if let Some((key, value)) = line.split_once('=') {
                let (key, value) = (key.trim(), value.trim().trim_matches('"'));
                if key == "parentCID" && !value.eq_ignore_ascii_case("ffffffff") {
                    let what = "a snapshot, which needs its parent,";
                    return Err(Error::unsupported(Format::Vmdk, what));
                }
            } else if let Some(extent) = extent(line)? {
                if descriptor.extents.len() == MAX_EXTENTS {
                    let what = format!("a disk of more than {MAX_EXTENTS} extents");
                    return Err(Error::unsupported(Format::Vmdk, what));
                }
                descriptor.extents.push(extent);
            }
        }
        match descriptor.extents.is_empty() {
            true => Err(Error::damaged(
                Format::Vmdk,
                "its descriptor lists no extents",
            )),
            false => Ok(descriptor),
        }
    }
}

/// Parses a line; `None`: it is not about an extent.
fn extent(line: &str) -> Result<Option<Line>> {
    let (access, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    if !matches!(access, "RW" | "RDONLY" | "NOACCESS") {
        return Ok(None);
    }
    let wrong = || Error::damaged(Format::Vmdk, format!("a line of its descriptor: {line:?}"));
    if access != "RW" {
        let what = format!("an extent that is {access}");
        return Err(Error::unsupported(Format::Vmdk, what));
    }
    // The name may have spaces in it.
    let (fields, name, offset) = match rest.split_once('"') {
        Some((fields, rest)) => {
            let (name, offset) = rest.rsplit_once('"').ok_or_else(wrong)?;
            (fields, Some(name.to_owned()), offset.trim())
        }
        None => (rest, None, ""),
    };
    let mut fields = fields.split_whitespace();
    let sectors = fields.next().and_then(|sectors| sectors.parse().ok());
    let kind = match fields.next() {
        Some("FLAT" | "VMFS") => Kind::Flat,
        Some("SPARSE") => Kind::Sparse,
        Some("ZERO") => Kind::Zero,
        Some(other) => {
            let what = format!("an extent of the kind {other:?}");
            return Err(Error::unsupported(Format::Vmdk, what));
        }
        None => return Err(wrong()),
    };
    let offset = match offset.split_whitespace().next() {
        Some(offset) => offset.parse().map_err(|_| wrong())?,
        None => 0,
    };
    let (Some(sectors), None) = (sectors, fields.next()) else {
        return Err(wrong());
    };
    Ok(Some(Line {
        sectors,
        kind,
        name,
        offset,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_extents() {
        let text = b"# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\n\
            createType=\"custom\"\n\n# Extent description\n\
            RW 2048 SPARSE \"a s001.vmdk\"\nRW 63 ZERO\n\
            RW 100 FLAT \"a-flat.vmdk\" 7\r\n\nddb.adapterType = \"ide\"\n\0\0RW x";
        let line = |sectors, kind, name: Option<&str>, offset| Line {
            sectors,
            kind,
            name: name.map(str::to_owned),
            offset,
        };
        assert_eq!(
            Descriptor::parse(text).unwrap().extents,
            [
                line(2048, Kind::Sparse, Some("a s001.vmdk"), 0),
                line(63, Kind::Zero, None, 0),
                line(100, Kind::Flat, Some("a-flat.vmdk"), 7),
            ]
        );
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, why) in [
            ("", "lists no extents"),
            ("RW 1 SPARSE \"a", "a line of its descriptor"),
            ("RW -1 FLAT \"a\"", "a line of its descriptor"),
            ("RW 1 FLAT \"a\" x", "a line of its descriptor"),
            ("RW 1", "a line of its descriptor"),
            ("RW 1 VMFSSPARSE \"a\"", "VMFSSPARSE"),
            ("RDONLY 1 FLAT \"a\"", "RDONLY"),
            ("parentCID=12345678\nRW 1 ZERO", "needs its parent"),
        ] {
            let said = Descriptor::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(said.contains(why), "{text:?}: {said}");
        }
    }
}
