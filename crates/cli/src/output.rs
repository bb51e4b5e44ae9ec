//! Standard output: names as they are or made visible, and its errors.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;

/// How names are written: to a terminal, control characters are escaped, lest
/// an image play tricks on it; otherwise the bytes are what they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names {
    escape: bool,
}

impl Names {
    pub(crate) fn for_stdout() -> Names {
        Names {
            escape: io::stdout().is_terminal(),
        }
    }

    pub(crate) fn show(self, name: &OsStr) -> Cow<'_, [u8]> {
        let text = name.to_string_lossy();
        match self.escape && text.contains(char::is_control) {
            true => Cow::Owned(text.escape_debug().to_string().into_bytes()),
            false => Cow::Borrowed(name.as_bytes()),
        }
    }
}

/// Whether an error is that of an output nobody reads any more.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_only_for_terminals() {
        let name = OsStr::from_bytes(b"a\x1b[2J");
        assert_eq!(*Names { escape: false }.show(name), *b"a\x1b[2J");
        assert_eq!(*Names { escape: true }.show(name), *b"a\\u{1b}[2J");
    }
}
