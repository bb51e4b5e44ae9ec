//! Extended attributes of files.

use std::ffi::{CStr, OsStr, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use drupe::Mount;

use crate::border::{Out, bytes, c_memory};
use crate::failure::Failure;
use crate::path::follows;

export! {
    fn drupe_getxattr(
        mount: &Mount,
        path: &Path,
        name: &CStr,
        flags: u32,
        value: Out<*mut c_char>,
        len: Out<usize>,
    ) -> status {
        let name = OsStr::from_bytes(name.to_bytes());
        let found = match follows(flags)? {
            true => mount.get_xattr(path, name)?,
            false => mount.lget_xattr(path, name)?,
        };
        let found = found.ok_or_else(|| Failure::errno(libc::ENODATA, "get xattr"))?;
        let memory = c_memory(&found)?;
        value.put(memory);
        len.put(found.len());
        Ok(())
    }

    fn drupe_setxattr(
        mount: &Mount,
        path: &Path,
        name: &CStr,
        value: *const c_void,
        len: usize,
        flags: u32,
    ) -> status {
        let name = OsStr::from_bytes(name.to_bytes());
        // SAFETY: so many bytes, as the header says.
        let value = unsafe { bytes(value, len, "value") }?;
        match follows(flags)? {
            true => Ok(mount.set_xattr(path, name, value)?),
            false => Ok(mount.lset_xattr(path, name, value)?),
        }
    }

    fn drupe_listxattr(
        mount: &Mount,
        path: &Path,
        flags: u32,
        names: Out<*mut c_char>,
        len: Out<usize>,
    ) -> status {
        let found = match follows(flags)? {
            true => mount.list_xattr(path)?,
            false => mount.llist_xattr(path)?,
        };
        let all = found.iter().flat_map(|name| [name.as_bytes(), b"\0"]);
        let all: Vec<u8> = all.flatten().copied().collect();
        let memory = c_memory(&all)?;
        names.put(memory);
        len.put(all.len());
        Ok(())
    }

    fn drupe_removexattr(mount: &Mount, path: &Path, name: &CStr, flags: u32) -> status {
        let name = OsStr::from_bytes(name.to_bytes());
        match follows(flags)? {
            true => Ok(mount.remove_xattr(path, name)?),
            false => Ok(mount.lremove_xattr(path, name)?),
        }
    }
}
