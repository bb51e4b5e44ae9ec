//! Splits paths as POSIX tools do, where [`Path`]'s methods differ.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Whether a path ends with a slash, and so must be a directory.
pub fn ends_with_slash(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b"/")
}

/// The last name of a path, as by basename(1); `None` for "/", "." and "..". (For "a/.",
/// [`Path::file_name`] returns "a".)
pub fn base_name(path: &Path) -> Option<OsString> {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|&byte| byte != b'/')? + 1;
    let start = bytes[..end].iter().rposition(|&byte| byte == b'/');
    let name = &bytes[start.map_or(0, |at| at + 1)..end];
    (name != b"." && name != b"..").then(|| OsStr::from_bytes(name).to_owned())
}

/// The part before the last name; may be empty.
pub fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_names() {
        for (path, name) in [
            ("a", Some("a")),
            ("/a/b//", Some("b")),
            ("a/.", None),
            ("a/..", None),
            (".", None),
            ("/", None),
            ("", None),
        ] {
            let expected = name.map(OsString::from);
            assert_eq!(base_name(Path::new(path)), expected, "{path}");
        }
    }
}
