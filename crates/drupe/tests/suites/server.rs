//! Operations for file servers: nodes, handles, directory streams, calls with other
//! credentials.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use drupe::{Credentials, DirStream, Errno, Mount, MountOptions, capability};

use crate::Outcome;
use crate::image;
use crate::lab::mounted;

fn on_ext4(work: impl FnOnce(&Mount) -> Outcome) -> Outcome {
    let image = image::ext4(64 << 20)?;
    mounted(image.path(), &MountOptions::new(), |mount| {
        work(mount)?;
        Ok(mount.act_as(&Credentials::ROOT)?)
    })?;
    image::check_ext4(image.path())
}

#[test]
fn nodes_are_files_whatever_their_names() -> Outcome {
    on_ext4(|mount| {
        let root = mount.root()?;
        root.create_dir("dir", 0o755)?;
        let dir = root.lookup("dir")?;
        dir.create("file", libc::O_RDWR, 0o600)?
            .write_all_at(b"text", 0)?;
        let node = dir.lookup("file")?;
        let handle = node.handle()?.ok_or("ext4 has handles")?;
        dir.rename("file", &root, "moved", 0)?;
        drop(node);
        let node = mount.node(&handle)?;
        assert_eq!(mount.read("moved")?, b"text");
        node.set_len(2)?;
        node.set_permissions(Permissions::from_mode(0o640))?;
        node.chown(Some(3), None)?;
        node.set_xattr("user.x", b"1", 0)?;
        let metadata = mount.metadata("moved")?;
        assert_eq!((metadata.len(), metadata.uid()), (2, 3));
        assert_eq!(metadata.mode() & 0o7777, 0o640);
        assert_eq!(node.list_xattr()?, b"user.x\0");
        root.hard_link(&node, "link")?;
        root.remove_file("moved")?;
        root.remove_file("link")?;
        // It is there as long as it is pinned, and gone afterwards.
        assert_eq!(node.metadata()?.nlink(), 0);
        drop(node);
        let gone = mount.node(&handle).err().and_then(|e| e.errno());
        assert_eq!(gone, Some(Errno::STALE));
        for wrong in ["..", ".", "a/b", ""] {
            let error = root.lookup(wrong).err().and_then(|e| e.errno());
            assert_eq!(error, Some(Errno::INVAL), "{wrong:?}");
        }
        Ok(())
    })
}

fn rest(stream: &mut DirStream) -> Result<Vec<OsString>, drupe::Error> {
    let mut names = Vec::new();
    while let Some(entry) = stream.next_entry()? {
        names.push(entry.name.to_owned());
    }
    Ok(names)
}

#[test]
fn streams_return_to_where_they_were() -> Outcome {
    on_ext4(|mount| {
        let root = mount.root()?;
        for index in 0..2000 {
            root.mknod(format!("{index:04}"), libc::S_IFREG | 0o644, 0)?;
        }
        let mut stream = root.open_stream()?;
        let all = rest(&mut stream)?;
        // With `.`, `..` and lost+found.
        assert_eq!(all.len(), 2003);
        stream.seek(0)?;
        for _ in 0..1500 {
            stream.next_entry()?;
        }
        let position = stream.position();
        assert_eq!(rest(&mut stream)?, all[1500..]);
        stream.seek(position)?;
        assert_eq!(rest(&mut stream)?, all[1500..]);
        stream.seek(position)?;
        stream.next_entry()?;
        stream.back();
        assert_eq!(stream.position(), position);
        assert_eq!(rest(&mut stream)?, all[1500..]);
        Ok(())
    })
}

#[test]
fn calls_in_the_name_of_others() -> Outcome {
    on_ext4(|mount| {
        let root = mount.root()?;
        let user = Credentials {
            uid: 1001,
            gid: 1002,
            umask: 0o027,
            without: capability::FSETID,
        };
        mount.act_as(&user)?;
        // Root's directory: permissions are not checked.
        let file = root.create("file", libc::O_RDWR, 0o6777)?;
        let facts = || -> Result<_, drupe::Error> {
            let metadata = mount.metadata("file")?;
            Ok((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777))
        };
        assert_eq!(facts()?, (1001, 1002, 0o6750));
        file.write_at(b"x", 0)?;
        assert_eq!(facts()?.2, 0o750, "writing takes them away");
        // Another thread is root as ever.
        std::thread::scope(|scope| {
            let other = scope.spawn(|| root.create("other", libc::O_RDWR, 0o666));
            other.join().map_err(|_| "panicked")?.map_err(|_| "failed")
        })?;
        let other = mount.metadata("other")?;
        assert_eq!((other.uid(), other.mode() & 0o7777), (0, 0o666));
        mount.act_as(&Credentials::ROOT)?;
        root.create_dir("dir", 0o777)?;
        let dir = mount.metadata("dir")?;
        assert_eq!((dir.uid(), dir.mode() & 0o7777), (0, 0o777));
        Ok(())
    })
}
