//! The files of `repart.d`: which of them count.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::definition::Definition;
use crate::error::{Error, Result};
use crate::pairs;

/// Bytes of a definition file.
const MOST_TEXT: u64 = 1 << 20;

/// Reads the definitions in `directories`: files named `*.conf`, in the order of their
/// names. Of two files with the same name, that of the first directory counts; an empty
/// one, or a link to `/dev/null`, hides those of later directories.
///
/// # Errors
///
/// [`Error::Read`]; [`Error::Setting`] for what a file says.
pub fn read(directories: &[PathBuf]) -> Result<Vec<Definition>> {
    let mut files = BTreeMap::<OsString, PathBuf>::new();
    for directory in directories {
        let on_read = |cause: io::Error| Error::Read {
            path: directory.clone(),
            cause,
        };
        for entry in fs::read_dir(directory).map_err(on_read)? {
            let name = entry.map_err(on_read)?.file_name();
            if Path::new(&name).extension().is_some_and(|it| it == "conf") {
                files.entry(name.clone()).or_insert(directory.join(&name));
            }
        }
    }
    let mut definitions = Vec::new();
    for path in files.into_values() {
        if let Some(text) = text_of(&path)? {
            definitions.push(Definition::parse(&path, &text)?);
        }
    }
    pairs::check_pairs(&definitions)?;
    Ok(definitions)
}

/// The text of a definition file; `None`: it hides another one.
fn text_of(path: &Path) -> Result<Option<String>> {
    let on_read = |cause: io::Error| Error::Read {
        path: path.to_owned(),
        cause,
    };
    if fs::canonicalize(path).map_err(on_read)? == Path::new("/dev/null") {
        return Ok(None);
    }
    let is_definition = |found: fs::Metadata| found.is_file() && found.len() <= MOST_TEXT;
    // A FIFO or a device may have no end.
    if !fs::metadata(path).map(is_definition).map_err(on_read)? {
        return Err(Error::Setting {
            file: path.to_owned(),
            line: 0,
            reason: format!("not a file of at most {MOST_TEXT} bytes"),
        });
    }
    let text = fs::read_to_string(path).map_err(on_read)?;
    Ok((!text.is_empty()).then_some(text))
}
