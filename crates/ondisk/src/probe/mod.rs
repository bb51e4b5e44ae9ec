//! [`probe`]: identifies the content of a disk or partition: type, label, UUID, size.
//!
//! It goes through a table of formats: each has the place of its magic bytes, and a
//! function that reads the details. Names and texts are as in blkid(8). Nothing on the
//! disk is trusted: every access is checked, every loop bounded, and an inconsistent
//! structure does not match.

mod foreign;
mod layer;
mod linux;
mod optical;
mod source;
mod unsupported;

use std::ffi::CStr;
use std::fmt;
use std::io::{self, Read, Seek};

use source::{Label, Source};

/// The content of a disk or partition, as its signature tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probe {
    /// The type, named as in blkid: "ext4", "vfat", "swap", "crypto_LUKS".
    pub kind: &'static str,
    /// The kernel's filesystem type that mounts it; `None` if it is not a filesystem, or
    /// this kernel has no driver.
    pub driver: Option<&'static CStr>,
    /// Set if it is a filesystem or volume for which this kernel has no driver.
    pub no_driver: Option<NoDriver>,
    /// Its label; bytes that are not UTF-8 are replaced.
    pub label: Option<String>,
    /// The label's bytes, if it is not UTF-8.
    pub label_bytes: Option<Vec<u8>>,
    /// Its UUID or serial number, in the format of blkid.
    pub uuid: Option<String>,
    /// Its size in bytes, according to its superblock.
    pub size: Option<u64>,
}

/// A filesystem or volume for which this kernel has no driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoDriver {
    /// Its name: "a romfs filesystem", "part of a ZFS pool".
    pub what: &'static str,
    /// What the user can do: "fsck.cramfs --extract=DIR unpacks it".
    pub remedy: &'static str,
}

impl fmt::Display for NoDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NoDriver { what, remedy } = self;
        write!(
            f,
            "is {what}, which this kernel has no driver for; {remedy}"
        )
    }
}

/// The details of a match.
#[derive(Default)]
struct Detail {
    /// The type, if it is not the format's name.
    kind: Option<&'static str>,
    label: Option<Label>,
    uuid: Option<String>,
    size: Option<u64>,
}

/// A type, how to recognise it, and how to read its details.
struct Format {
    kind: &'static str,
    driver: Option<&'static CStr>,
    /// Magic bytes with their offsets: one of them must match. Empty: always a candidate.
    magic: &'static [(u64, &'static [u8])],
    /// Reads the details. `None`: it is not this type.
    detail: fn(&mut Source<'_>) -> io::Result<Option<Detail>>,
}

/// The formats in the order in which they are tried. Those that may contain another
/// signature come first.
const FORMATS: &[&[Format]] = &[
    layer::FORMATS,
    linux::FORMATS,
    optical::FORMATS,
    foreign::FORMATS,
];

/// Identifies the content of `reader`. `None`: unknown.
pub fn probe<R: Read + Seek>(reader: &mut R) -> io::Result<Option<Probe>> {
    let mut source = Source::new(reader)?;
    for format in FORMATS.iter().copied().flatten() {
        if !source.has_any(format.magic)? {
            continue;
        }
        if let Some(detail) = (format.detail)(&mut source)? {
            let label = detail.label.filter(|label| !label.text.is_empty());
            let (label, label_bytes) = label.map(|label| (label.text, label.bytes)).unzip();
            return Ok(Some(Probe {
                kind: detail.kind.unwrap_or(format.kind),
                driver: format.driver,
                no_driver: None,
                label,
                label_bytes: label_bytes.flatten(),
                uuid: detail.uuid,
                size: detail.size,
            }));
        }
    }
    unsupported::probe(&mut source)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
