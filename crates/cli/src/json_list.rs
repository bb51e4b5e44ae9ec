//! [`JsonList`]: prints the output of `--json` (an array of objects) and `--json-lines`
//! (an object on each line). [`text_of`] and [`bytes_of`] convert names.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use serde::Serialize;

use crate::args::Global;

/// The bytes of a name that are not UTF-8, for a field `NAME_bytes` beside the field
/// `NAME`, which has replacement characters then: see `docs/json.md`.
pub(crate) fn bytes_of(name: &(impl AsRef<OsStr> + ?Sized)) -> Option<Vec<u8>> {
    let name = name.as_ref();
    name.to_str().is_none().then(|| name.as_bytes().to_vec())
}

/// The text of a name, for the field `NAME`.
pub(crate) fn text_of(name: &(impl AsRef<OsStr> + ?Sized)) -> String {
    name.as_ref().to_string_lossy().into_owned()
}

/// Objects that are printed as they come.
#[derive(Debug)]
pub(crate) struct JsonList {
    is_array: bool,
    begun: bool,
}

impl JsonList {
    /// `None`: text was asked for.
    pub(crate) fn new(options: &Global) -> Option<JsonList> {
        (options.json || options.json_lines).then_some(JsonList {
            is_array: !options.json_lines,
            begun: false,
        })
    }

    /// Prints one more.
    pub(crate) fn push(&mut self, mut out: impl Write, object: &impl Serialize) -> io::Result<()> {
        if self.is_array {
            out.write_all(if self.begun { b",\n" } else { b"[\n" })?;
        }
        self.begun = true;
        serde_json::to_writer(&mut out, object)?;
        match self.is_array {
            true => Ok(()),
            false => out.write_all(b"\n"),
        }
    }

    /// Nothing more comes.
    pub(crate) fn finish(self, mut out: impl Write) -> io::Result<()> {
        match (self.is_array, self.begun) {
            (true, true) => out.write_all(b"\n]\n"),
            (true, false) => out.write_all(b"[]\n"),
            (false, _) => Ok(()),
        }
    }
}
