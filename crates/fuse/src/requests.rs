//! What each request becomes: [`fuser::Filesystem`] for [`Served`].
//!
//! A request is served in the name of its caller where that matters: where a file
//! is made or its space is used, where capabilities decide. The rest, such as
//! lookups, is done with whatever credentials the thread had last: all of them
//! may look everywhere.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, FopenFlags, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs,
    ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use crate::attr::{attr, kind as file_kind, times};
use crate::caller::{caller, is_in_group, killing, without_fsetid};
use crate::served::{
    GENERATION, LARGEST, Served, attr_of, attributes, each_entry, empty, entry, group_of, read,
    serving_flags, sized, with_file, write,
};
use crate::state::{ATTRIBUTES, Change, Found, OpenDir, OpenFile, maker};
use crate::table::lock;

/// Sends `$reply` what `$result` is, by `$ok`, or its error.
macro_rules! answer {
    ($reply:ident, $result:expr, $ok:expr) => {
        match $result {
            Ok(value) => $ok(value),
            Err(errno) => $reply.error(errno),
        }
    };
}

impl Filesystem for Served {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let flags = self.shared.serve(|state| Ok(Served::init_flags(state)));
        for flag in flags.unwrap_or(InitFlags::empty()).iter() {
            // An older kernel of the host: it does without.
            let _ = config.add_capabilities(flag);
        }
        let _ = config.set_max_write(LARGEST);
        let largest = config.set_max_readahead(LARGEST);
        if let Err(largest) = largest {
            let _ = config.set_max_readahead(largest);
        }
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let result = self.shared.serve(|state| {
            let dir = state.node(parent.0)?;
            Ok((state.enter(parent.0, &dir, name)?, state.names))
        });
        entry(reply, result);
    }

    fn forget(&self, _request: &Request, ino: INodeNo, nlookup: u64) {
        // Afterwards there is nothing to forget.
        let _ = self.shared.serve(|state| {
            state.table.forget(ino.0, nlookup);
            Ok(())
        });
    }

    fn getattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        let result = self.shared.serve(|state| attributes(state, ino));
        attr_of(reply, result);
    }

    fn setattr(
        &self,
        request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _changed: Option<SystemTime>,
        handle: Option<FileHandle>,
        _created: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let change = Change {
            mode,
            uid,
            gid,
            size,
            times: times(accessed, modified),
        };
        let who = match size {
            Some(_) => killing(request),
            None => caller(request),
        };
        let result = self.shared.serve_as(&who, |state| {
            let file = handle.and_then(|handle| state.files.get(handle).ok());
            state.change(ino.0, &change, file.as_ref().map(|open| &open.file))?;
            attributes(state, ino)
        });
        attr_of(reply, result);
    }

    fn readlink(&self, _request: &Request, ino: INodeNo, reply: ReplyData) {
        let result = self
            .shared
            .serve(|state| Ok(state.node(ino.0)?.read_link()?));
        answer!(reply, result, |target: std::path::PathBuf| reply
            .data(target.as_os_str().as_encoded_bytes()));
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        self.make(request, (parent, name), (mode, umask), reply, |dir| {
            dir.mknod(name, mode, rdev.into())
        });
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        self.make(request, (parent, name), (0, umask), reply, |dir| {
            dir.create_dir(name, mode)
        });
    }

    fn symlink(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        self.make(request, (parent, name), (0, 0), reply, |dir| {
            dir.symlink(target, name)
        });
    }

    fn link(
        &self,
        request: &Request,
        ino: INodeNo,
        parent: INodeNo,
        name: &OsStr,
        reply: ReplyEntry,
    ) {
        let result = self.shared.serve_as(&caller(request), |state| {
            let (original, dir) = (state.node(ino.0)?, state.node(parent.0)?);
            dir.hard_link(&original, name)?;
            Ok((state.enter(parent.0, &dir, name)?, state.names))
        });
        entry(reply, result);
    }

    fn unlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove((parent, name), reply, |dir| dir.remove_file(name));
    }

    fn rmdir(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove((parent, name), reply, |dir| dir.remove_dir(name));
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        to: INodeNo,
        new: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        // A whiteout is made in the caller's name.
        let result = self.shared.serve_as(&caller(request), |state| {
            let (from, dir) = (state.node(parent.0)?, state.node(to.0)?);
            if !flags.contains(RenameFlags::RENAME_EXCHANGE) {
                state.pin(&dir, new);
            }
            from.rename(name, &dir, new, flags.bits())?;
            state.renamed(to.0, &dir, new);
            Ok(())
        });
        empty(reply, result);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let result = self.shared.serve(|state| {
            let who = maker(request, umask, mode, || group_of(state, parent));
            let dir = state.directory(parent.0, &who)?;
            let flags = serving_flags(flags, state.writeback);
            let file = dir.create(name, flags, mode & 0o7777)?;
            let found = state.enter(parent.0, &dir, name)?;
            let _inode = Arc::clone(&found.inode);
            Ok((found, state.files.insert(OpenFile { file, _inode })))
        });
        answer!(reply, result, |(found, handle): (Found, _)| reply.created(
            &ATTRIBUTES,
            &found.attr(),
            GENERATION,
            handle,
            FopenFlags::FOPEN_KEEP_CACHE,
        ));
    }

    fn open(&self, request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let flags = flags.0;
        let result = self.shared.serve_as(&caller(request), |state| {
            let inode = state.inode(ino.0)?;
            let node = state.table.node(&inode)?;
            let serving = serving_flags(flags, state.writeback);
            let file = match node.open(serving) {
                // A file that can only be appended to (chattr +a).
                Err(error)
                    if flags & libc::O_APPEND != 0 && error.errno() == Some(drupe::Errno::PERM) =>
                {
                    node.open(serving | libc::O_APPEND)?
                }
                file => file?,
            };
            let reads = flags & libc::O_ACCMODE != libc::O_WRONLY;
            let keep = !reads || !state.renews_access(&file.metadata()?);
            let open = OpenFile {
                file,
                _inode: inode,
            };
            Ok((state.files.insert(open), keep))
        });
        answer!(reply, result, |(handle, keep)| {
            let mut flags = FopenFlags::FOPEN_NOFLUSH;
            flags.set(FopenFlags::FOPEN_KEEP_CACHE, keep);
            reply.opened(handle, flags)
        });
    }

    fn read(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.serve_data(move |shared| read(shared, reply, handle, offset, size as usize));
    }

    fn write(
        &self,
        request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let who = match write_flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID) {
            true => without_fsetid(caller(request)),
            false => caller(request),
        };
        match self.workers.is_slow() {
            true => {
                let data = data.to_vec();
                self.offload(move |shared| write(shared, reply, &who, (handle, offset), &data));
            }
            false => self.workers.timed(|| {
                write(&self.shared, reply, &who, (handle, offset), data);
            }),
        }
    }

    fn flush(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        // Local filesystems do nothing when a file is closed.
        reply.ok();
    }

    fn release(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let result = self.shared.serve(|state| {
            state.files.remove(handle);
            Ok(())
        });
        empty(reply, result);
    }

    fn fsync(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        data_only: bool,
        reply: ReplyEmpty,
    ) {
        self.offload(move |shared| {
            let result = with_file(shared, handle, |file| match data_only {
                true => file.sync_data(),
                false => file.sync_all(),
            });
            empty(reply, result);
        });
    }

    fn opendir(&self, _request: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let result = self.shared.serve(|state| {
            let inode = state.inode(ino.0)?;
            let stream = Mutex::new(state.table.node(&inode)?.open_stream()?);
            Ok(state.dirs.insert(OpenDir { inode, stream }))
        });
        answer!(reply, result, |handle| reply
            .opened(handle, FopenFlags::empty()));
    }

    fn readdir(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let result = self.shared.serve(|state| {
            each_entry(state, handle, offset, |_, number, entry| {
                let kind = entry
                    .file_type
                    .map_or(fuser::FileType::RegularFile, file_kind);
                Ok(reply.add(number, entry.next as u64, kind, entry.name))
            })
        });
        answer!(reply, result, |()| reply.ok());
    }

    fn readdirplus(
        &self,
        _request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let result = self.shared.serve(|state| {
            each_entry(state, handle, offset, |node, number, entry| {
                let (next, name) = (entry.next as u64, entry.name);
                let ttl = &state.names;
                if matches!(name.as_encoded_bytes(), b"." | b"..") {
                    // The host wants no more than the number, and does not count.
                    let attr = attr(number.0, &node.metadata()?);
                    return Ok(reply.add(number, next, name, ttl, &attr, GENERATION));
                }
                let found = match state.enter(ino.0, node, name) {
                    Ok(found) => found,
                    // Removed meanwhile.
                    Err(_) => return Ok(false),
                };
                let full = reply.add(number, next, name, ttl, &found.attr(), GENERATION);
                if full {
                    state.table.forget(found.inode.number, 1);
                }
                Ok(full)
            })
        });
        answer!(reply, result, |()| reply.ok());
    }

    fn releasedir(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        let result = self.shared.serve(|state| {
            state.dirs.remove(handle);
            Ok(())
        });
        empty(reply, result);
    }

    fn fsyncdir(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        _data_only: bool,
        reply: ReplyEmpty,
    ) {
        self.offload(move |shared| {
            let result = shared.serve(|state| {
                let dir = state.dirs.get(handle)?;
                Ok(lock(&dir.stream).sync_all()?)
            });
            empty(reply, result);
        });
    }

    fn statfs(&self, _request: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let result = self.shared.serve(|state| Ok(state.mount.statfs()?));
        answer!(reply, result, |room: drupe::StatFs| {
            let unit = room.block_size().max(1);
            let narrow = |number: u64| number.try_into().unwrap_or(u32::MAX);
            reply.statfs(
                room.total() / unit,
                room.free() / unit,
                room.available() / unit,
                room.files(),
                room.files_free(),
                narrow(unit),
                narrow(room.name_max()),
                narrow(unit),
            );
        });
    }

    fn setxattr(
        &self,
        request: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let result = self.shared.serve(|state| {
            let mut who = caller(request);
            // Whoever is not in the group cannot keep set-group-ID by way of an ACL.
            let access = who.uid != 0 && name == "system.posix_acl_access";
            if access && !group_of(state, ino).is_some_and(|gid| is_in_group(request, gid)) {
                who = without_fsetid(who);
            }
            state.mount.act_as(&who)?;
            Ok(state.node(ino.0)?.set_xattr(name, value, flags)?)
        });
        empty(reply, result);
    }

    fn getxattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        name: &OsStr,
        size: u32,
        reply: ReplyXattr,
    ) {
        let result = self
            .shared
            .serve_as_root(|state| Ok(state.node(ino.0)?.get_xattr(name)?));
        answer!(reply, result, |value: Vec<u8>| sized(reply, &value, size));
    }

    fn listxattr(&self, request: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        // Only root is told of trusted.* attributes.
        let result = self.shared.serve_as(&caller(request), |state| {
            Ok(state.node(ino.0)?.list_xattr()?)
        });
        answer!(reply, result, |names: Vec<u8>| sized(reply, &names, size));
    }

    fn removexattr(&self, request: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let result = self.shared.serve_as(&caller(request), |state| {
            Ok(state.node(ino.0)?.remove_xattr(name)?)
        });
        empty(reply, result);
    }

    fn fallocate(
        &self,
        request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let who = killing(request);
        self.offload(move |shared| {
            let result = shared.serve_as(&who, |state| {
                Ok(state
                    .files
                    .get(handle)?
                    .file
                    .fallocate(mode, offset, length)?)
            });
            empty(reply, result);
        });
    }

    fn lseek(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let from = offset as u64;
        let result = match whence {
            libc::SEEK_DATA => with_file(&self.shared, handle, |file| file.seek_data(from)),
            libc::SEEK_HOLE => with_file(&self.shared, handle, |file| file.seek_hole(from)),
            _ => Err(Errno::EINVAL),
        };
        let result = result.and_then(|found| found.ok_or(Errno::ENXIO));
        answer!(reply, result, |offset| reply.offset(offset as i64));
    }

    fn copy_file_range(
        &self,
        request: &Request,
        _from: INodeNo,
        from: FileHandle,
        offset: u64,
        _to: INodeNo,
        to: FileHandle,
        to_offset: u64,
        len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let who = killing(request);
        self.offload(move |shared| {
            let result = shared.serve_as(&who, |state| {
                let (from, to) = (state.files.get(from)?, state.files.get(to)?);
                // The answer has 32 bits.
                let len = len.min(1 << 30) as usize;
                Ok(from.file.copy_range_to(offset, &to.file, to_offset, len)?)
            });
            answer!(reply, result, |len| reply.written(len as u32));
        });
    }
}
