//! Directories that are read: `drupe_dir`.

use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use drupe::{FileType, Mount, ReadDir};

use crate::border::Out;

/// A directory that is being read, and the name that was told last.
pub(crate) struct Dir(Mutex<(ReadDir, CString)>);

handles! {
    Dir => drupe_dir_close;
}

/// `DT_*` of a type.
fn number(kind: FileType) -> u32 {
    let kind = match () {
        () if kind.is_file() => libc::DT_REG,
        () if kind.is_dir() => libc::DT_DIR,
        () if kind.is_symlink() => libc::DT_LNK,
        () if kind.is_block_device() => libc::DT_BLK,
        () if kind.is_char_device() => libc::DT_CHR,
        () if kind.is_fifo() => libc::DT_FIFO,
        () if kind.is_socket() => libc::DT_SOCK,
        () => libc::DT_UNKNOWN,
    };
    kind.into()
}

export! {
    fn drupe_dir_open(mount: &Mount, path: &Path) -> handle<Dir> {
        Ok(Dir(Mutex::new((mount.read_dir(path)?, CString::default()))))
    }

    fn drupe_dir_read(
        dir: &Dir,
        name: Out<*const c_char>,
        kind: Option<Out<u32>>,
        ino: Option<Out<u64>>,
    ) -> number {
        let mut state = dir.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = state.0.next() else {
            return Ok(0);
        };
        let entry = entry?;
        let found = match &kind {
            Some(_) => number(entry.file_type()?),
            None => 0,
        };
        // The kernel's names have no NUL.
        state.1 = CString::new(entry.name().as_bytes()).unwrap_or_default();
        name.put(state.1.as_ptr());
        if let Some(kind) = kind {
            kind.put(found);
        }
        if let Some(ino) = ino {
            ino.put(entry.ino());
        }
        Ok(1)
    }
}
