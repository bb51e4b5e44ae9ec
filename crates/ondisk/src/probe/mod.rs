//! What is on a disk or partition, by its signature: type, label, UUID, size.
//!
//! [`probe`] goes through a table of formats: where the magic bytes are,
//! and a function that reads the details. Names and texts are those of
//! blkid(8), so that both tools say the same. Nothing is trusted: every access
//! is checked, every loop bounded, and what does not add up is no match.

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

/// Something with a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probe {
    /// blkid's name of the type: "ext4", "vfat", "swap", "crypto_LUKS".
    pub kind: &'static str,
    /// The kernel's filesystem type that mounts it; `None` if it is not a
    /// filesystem, or not one of this kernel's.
    pub driver: Option<&'static CStr>,
    /// It is a filesystem or a volume that no driver of this kernel reads.
    pub no_driver: Option<NoDriver>,
    /// Its label, if it has one; with replacement characters where it is not UTF-8.
    pub label: Option<String>,
    /// The label's own bytes, where it is not UTF-8.
    pub label_bytes: Option<Vec<u8>>,
    /// Its UUID or serial number, as blkid writes it.
    pub uuid: Option<String>,
    /// Bytes that it says it occupies.
    pub size: Option<u64>,
}

/// What this kernel has no driver for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoDriver {
    /// "a romfs filesystem", "part of a ZFS pool".
    pub what: &'static str,
    /// What reads it instead: "fsck.cramfs --extract=DIR unpacks it".
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
    /// In place of the format's own name.
    kind: Option<&'static str>,
    label: Option<Label>,
    uuid: Option<String>,
    size: Option<u64>,
}

/// A type, how to recognise it, and how to read its details.
struct Format {
    kind: &'static str,
    driver: Option<&'static CStr>,
    /// Any of these at its offset makes it a candidate; none: always one.
    magic: &'static [(u64, &'static [u8])],
    /// `None`: it is not this type after all.
    detail: fn(&mut Source<'_>) -> io::Result<Option<Detail>>,
}

/// In the order of trial: what may carry another signature inside comes first.
const FORMATS: &[&[Format]] = &[
    layer::FORMATS,
    linux::FORMATS,
    optical::FORMATS,
    foreign::FORMATS,
];

/// Recognises what `reader` holds. `None`: nothing known.
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
