//! [`hint`]: what to use instead of an option that another program of that name has.

use clap::error::{ContextKind, ContextValue};

/// What the user of a command line that makes no sense may have meant.
pub(crate) fn hint(error: &clap::Error) -> Option<&'static str> {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let usage = error.to_string();
    let is_of = |command: &str| usage.contains(command);
    Some(match option.as_str() {
        "-x" | "--extract" if is_of(" tar [") => {
            "`drupe untar -f FILE IMAGE:/PATH` extracts an archive into an image"
        }
        "-t" | "--list" if is_of(" tar [") || is_of(" untar [") => {
            "`tar -tf FILE` of the host lists an archive, and `drupe find IMAGE:/PATH` files"
        }
        "-c" | "--create" if is_of(" untar [") => {
            "`drupe tar -f FILE IMAGE:/PATH` writes an archive of files of an image"
        }
        "-C" | "--directory" if is_of(" tar [") || is_of(" untar [") => {
            "the directory is the PATH of IMAGE:/PATH"
        }
        "--root" => "`--root` stands in front of the command: drupe --root ls IMAGE:/PATH",
        _ => return None,
    })
}
