//! Open files.

use std::ffi::{c_int, c_void};
use std::fs::Permissions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use drupe::{File, Mount, OpenOptions};

use crate::border::{Out, bytes, bytes_mut, check_flags};
use crate::failure::Failure;
use crate::path::Stat;

/// `DRUPE_DATA_ONLY`.
const DATA_ONLY: u32 = 1;

handles! {
    File => drupe_file_close;
}

export! {
    fn drupe_open(mount: &Mount, path: &Path, flags: c_int, mode: u32) -> handle<File> {
        let (read, write) = match flags & libc::O_ACCMODE {
            libc::O_RDONLY => (true, false),
            libc::O_WRONLY => (false, true),
            libc::O_RDWR => (true, true),
            _ => return Err(Failure::argument("`flags` open for neither reading nor writing")),
        };
        let mut options = OpenOptions::new();
        options.read(read).write(write).mode(mode).custom_flags(flags);
        Ok(mount.open_with(path, &options)?)
    }

    fn drupe_file_read(file: &File, buffer: *mut c_void, len: usize, done: Out<usize>) -> status {
        // SAFETY: so much room, as the header says.
        let buffer = unsafe { bytes_mut(buffer, len, "buffer") }?;
        let mut file = file;
        let read = file.read(buffer);
        done.put(read.map_err(|e| Failure::io("read", e))?);
        Ok(())
    }

    fn drupe_file_write(
        file: &File,
        buffer: *const c_void,
        len: usize,
        done: Out<usize>,
    ) -> status {
        // SAFETY: so many bytes, as the header says.
        let buffer = unsafe { bytes(buffer, len, "buffer") }?;
        let mut file = file;
        let written = file.write(buffer);
        done.put(written.map_err(|e| Failure::io("write", e))?);
        Ok(())
    }

    fn drupe_file_pread(
        file: &File,
        buffer: *mut c_void,
        len: usize,
        offset: u64,
        done: Out<usize>,
    ) -> status {
        // SAFETY: so much room, as the header says.
        let buffer = unsafe { bytes_mut(buffer, len, "buffer") }?;
        done.put(file.read_at(buffer, offset)?);
        Ok(())
    }

    fn drupe_file_pwrite(
        file: &File,
        buffer: *const c_void,
        len: usize,
        offset: u64,
        done: Out<usize>,
    ) -> status {
        // SAFETY: so many bytes, as the header says.
        let buffer = unsafe { bytes(buffer, len, "buffer") }?;
        done.put(file.write_at(buffer, offset)?);
        Ok(())
    }

    fn drupe_file_seek(
        file: &File,
        offset: i64,
        whence: c_int,
        position: Option<Out<u64>>,
    ) -> status {
        let to = match whence {
            libc::SEEK_SET => match u64::try_from(offset) {
                Ok(offset) => SeekFrom::Start(offset),
                Err(_) => return Err(Failure::errno(libc::EINVAL, "seek")),
            },
            libc::SEEK_CUR => SeekFrom::Current(offset),
            libc::SEEK_END => SeekFrom::End(offset),
            _ => return Err(Failure::argument("`whence` is not SEEK_SET, SEEK_CUR or SEEK_END")),
        };
        let mut file = file;
        let now = file.seek(to).map_err(|e| Failure::io("seek", e))?;
        if let Some(position) = position {
            position.put(now);
        }
        Ok(())
    }

    fn drupe_file_truncate(file: &File, len: u64) -> status {
        Ok(file.set_len(len)?)
    }

    fn drupe_file_sync(file: &File, flags: u32) -> status {
        check_flags(flags, DATA_ONLY)?;
        match flags & DATA_ONLY {
            0 => Ok(file.sync_all()?),
            _ => Ok(file.sync_data()?),
        }
    }

    fn drupe_file_stat(file: &File, stat: Out<Stat>) -> status {
        stat.put(Stat::of(&file.metadata()?));
        Ok(())
    }

    fn drupe_file_chmod(file: &File, mode: u32) -> status {
        Ok(file.set_permissions(Permissions::from_mode(mode & 0o7777))?)
    }

    fn drupe_file_descriptor(file: &File, number: Out<c_int>) -> status {
        number.put(file.raw_fd());
        Ok(())
    }
}
