//! All operations of a mount, on a real ext4 image.

use std::error::Error;
use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use drupe::{Disk, Errno, FileTimes, Kernel, Mount, MountOptions, OpenOptions, makedev};

mod image;

type Outcome = Result<(), Box<dyn Error>>;

/// A fresh ext4 filesystem, checked by e2fsck when the test is through with it.
fn on_ext4(test: impl FnOnce(&Mount) -> Outcome) -> Outcome {
    let image = image::ext4(64 << 20)?;
    let kernel = Kernel::boot()?;
    let disk = kernel.add_disk(Disk::open(image.path())?)?;
    let mount = disk.whole().mount(MountOptions::new())?;
    test(&mount)?;
    mount.umount()?;
    disk.remove()?;
    kernel.halt()?;
    image::check_ext4(image.path())
}

fn errno<T>(result: drupe::Result<T>) -> Option<Errno> {
    result.err().and_then(|error| error.errno())
}

#[test]
fn files() -> Outcome {
    on_ext4(|root| {
        root.write("hello", "hello, world\n")?;
        assert_eq!(root.read_to_string("/hello")?, "hello, world\n");
        assert_eq!(root.metadata("hello")?.permissions().mode() & 0o7777, 0o644);

        let mut file = root.open_with("hello", OpenOptions::new().read(true).write(true))?;
        file.seek(SeekFrom::Start(7))?;
        file.write_all(b"drupe")?;
        let mut all = String::new();
        file.rewind()?;
        file.read_to_string(&mut all)?;
        assert_eq!(all, "hello, drupe\n");
        file.write_all_at(b"J", 0)?;
        let mut first = [0; 5];
        assert_eq!(file.read_at(&mut first, 0)?, 5);
        assert_eq!(&first, b"Jello");
        file.set_len(5)?;
        file.sync_all()?;
        assert_eq!(file.metadata()?.len(), 5);

        assert_eq!(errno(root.open("nothing")), Some(Errno::NOENT));
        let error = root.open("/no/thing").expect_err("there is no such file");
        assert_eq!(
            error.to_string(),
            "open /no/thing: No such file or directory (ENOENT)"
        );
        assert_eq!(std::io::Error::from(error).raw_os_error(), Some(2));
        assert_eq!(errno(root.open("a\0b")), Some(Errno::INVAL));

        let mut new = OpenOptions::new();
        new.write(true).create_new(true).mode(0o4711);
        root.open_with("suid", &new)?;
        assert_eq!(root.metadata("suid")?.mode() & 0o7777, 0o4711);
        assert_eq!(errno(root.open_with("suid", &new)), Some(Errno::EXIST));

        assert_eq!(root.copy("suid", "copy")?, 0);
        assert_eq!(root.metadata("copy")?.mode() & 0o7777, 0o4711);
        let big = vec![7; 3 << 20];
        root.write("big", &big)?;
        assert_eq!(root.copy("big", "big2")?, 3 << 20);
        assert_eq!(root.read("big2")?, big);
        Ok(())
    })
}

#[test]
fn holes() -> Outcome {
    on_ext4(|root| {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        let file = root.open_with("sparse", &options)?;
        file.set_len(1 << 20)?;
        file.write_all_at(&[1; 4096], 512 << 10)?;
        file.sync_all()?;
        assert_eq!(file.seek_data(0)?, Some(512 << 10));
        assert_eq!(file.seek_hole(512 << 10)?, Some((512 << 10) + 4096));
        assert_eq!(file.seek_data(600 << 10)?, None);
        file.punch_hole(512 << 10, 4096)?;
        assert_eq!(file.seek_data(0)?, None);
        file.allocate(0, 2 << 20)?;
        assert_eq!(file.metadata()?.len(), 2 << 20);
        assert!(file.metadata()?.blocks() * 512 >= 2 << 20);
        Ok(())
    })
}

#[test]
fn direct_io() -> Outcome {
    on_ext4(|root| {
        let mut buffer = root.buffer(1 << 20)?;
        for (n, byte) in buffer.iter_mut().enumerate() {
            *byte = (n / 4096) as u8;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        let file = root.open_with("direct", &options)?;
        assert!(file.set_direct(true)?, "ext4 does direct I/O");
        file.write_buffer_at(&buffer, 4096..1 << 20, 0)?;
        buffer.fill(0);
        assert_eq!(file.read_buffer_at(&mut buffer, 0..4096, 8192)?, 4096);
        assert!(buffer[..4096].iter().all(|&byte| byte == 3));
        assert!(file.set_direct(false)?);
        file.write_buffer_at(&buffer, 0..10, 1)?;
        assert_eq!(
            root.read("direct")?[..12],
            [1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 1]
        );
        Ok(())
    })
}

#[test]
fn tree() -> Outcome {
    on_ext4(|root| {
        root.create_dir_all("a/b/c")?;
        root.create_dir_all("/a/b/c/")?;
        assert_eq!(errno(root.create_dir("a")), Some(Errno::EXIST));
        assert_eq!(errno(root.create_dir("/")), Some(Errno::EXIST));
        assert_eq!(errno(root.create_dir("x/y")), Some(Errno::NOENT));
        root.write("a/b/file", "x")?;
        root.hard_link("a/b/file", "a/second")?;
        assert_eq!(root.metadata("a/second")?.nlink(), 2);
        root.rename("a/second", "a/b/third")?;
        assert!(!root.exists("a/second")?);
        root.symlink("b/file", "a/link")?;
        assert_eq!(root.read_link("a/link")?, Path::new("b/file"));
        assert_eq!(errno(root.read_link("a/b")), Some(Errno::INVAL));
        assert_eq!(root.read("a/link")?, b"x");
        assert!(root.symlink_metadata("a/link")?.is_symlink());
        assert_eq!(root.canonicalize("a/./link")?, Path::new("/a/b/file"));
        root.hard_link("a/link", "a/link2")?;
        assert!(root.symlink_metadata("a/link2")?.is_symlink());
        root.mknod("null", libc::S_IFCHR | 0o600, makedev(1, 3))?;
        let null = root.metadata("null")?;
        assert!(null.file_type().is_char_device());
        assert_eq!((null.rdev(), null.mode() & 0o7777), (makedev(1, 3), 0o600));
        assert_eq!(errno(root.open("null")), Some(Errno::ACCESS));
        root.mknod("fifo", libc::S_IFIFO | 0o644, 0)?;
        assert!(root.metadata("fifo")?.file_type().is_fifo());

        let odd = OsStr::from_bytes(b"\xff\n");
        root.write(odd, "")?;
        let mut names: Vec<_> = root
            .read_dir("/")?
            .map(|entry| {
                Ok((
                    entry.as_ref().map_err(clone)?.file_name(),
                    entry?.file_type()?.is_dir(),
                ))
            })
            .collect::<drupe::Result<_>>()?;
        names.sort();
        let expected = [
            ("a", true),
            ("fifo", false),
            ("lost+found", true),
            ("null", false),
        ];
        let mut expected: Vec<_> = expected.map(|(name, dir)| (name.into(), dir)).into();
        expected.push((odd.to_owned(), false));
        assert_eq!(names, expected);

        assert_eq!(errno(root.remove_dir("a")), Some(Errno::NOTEMPTY));
        assert_eq!(errno(root.remove_file("a")), Some(Errno::ISDIR));
        root.remove_dir_all("a")?;
        assert!(!root.exists("a")?);
        root.remove_file(odd)?;
        Ok(())
    })
}

/// Errors can't be cloned; a test may make one anew.
fn clone(error: &drupe::Error) -> drupe::Error {
    panic!("{error}")
}

#[test]
fn many_entries_and_deep_trees() -> Outcome {
    on_ext4(|root| {
        root.create_dir("many")?;
        let dir = root.open_dir("many")?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        for n in 0..3000 {
            dir.open_with(format!("file number {n}"), &options)?;
        }
        assert_eq!(root.read_dir("many")?.count(), 3000);
        let mut deep = root.open_dir("/")?;
        for _ in 0..1500 {
            deep.create_dir("deep", 0o755)?;
            deep = deep.open_dir("deep")?;
        }
        drop(deep);
        root.remove_dir_all("deep")?;
        root.remove_dir_all("many")?;
        Ok(())
    })
}

#[test]
fn attributes() -> Outcome {
    on_ext4(|root| {
        root.write("file", "")?;
        root.symlink("file", "link")?;
        root.set_permissions("link", Permissions::from_mode(0o600))?;
        root.chown("link", Some(1000), Some(100_000))?;
        root.lchown("link", Some(5), None)?;
        let (file, link) = (root.metadata("file")?, root.symlink_metadata("link")?);
        assert_eq!(
            (file.uid(), file.gid(), file.mode() & 0o7777),
            (1000, 100_000, 0o600)
        );
        assert_eq!((link.uid(), link.gid()), (5, 0));

        let before_1970 = UNIX_EPOCH - Duration::from_nanos(1_500_000_001);
        let later = UNIX_EPOCH + Duration::new(5_000_000_000, 123_456_789);
        let times = FileTimes::new()
            .set_accessed(later)
            .set_modified(before_1970);
        root.set_times("link", times)?;
        let file = root.metadata("file")?;
        assert_eq!((file.accessed()?, file.modified()?), (later, before_1970));
        root.set_times_nofollow("link", FileTimes::new().set_modified(later))?;
        assert_eq!(root.symlink_metadata("link")?.modified()?, later);
        assert_eq!(root.metadata("file")?.modified()?, before_1970);

        root.set_xattr("link", "user.colour", "green")?;
        assert_eq!(
            root.get_xattr("file", "user.colour")?,
            Some(b"green".to_vec())
        );
        assert_eq!(root.get_xattr("file", "user.none")?, None);
        root.lset_xattr("link", "trusted.of-link", [0; 300])?;
        assert_eq!(
            root.lget_xattr("link", "trusted.of-link")?,
            Some(vec![0; 300])
        );
        assert_eq!(root.llist_xattr("link")?, ["trusted.of-link"]);
        assert_eq!(root.list_xattr("link")?, ["user.colour"]);
        root.remove_xattr("file", "user.colour")?;
        assert_eq!(
            errno(root.remove_xattr("file", "user.colour")),
            Some(Errno::NODATA)
        );
        let all = root.open_dir("/")?.xattrs_of("link")?;
        assert_eq!(all, [("trusted.of-link".into(), vec![0; 300])]);

        let stat = root.statfs()?;
        assert!(stat.total() > 50 << 20 && stat.free() < stat.total());
        Ok(())
    })
}

#[test]
fn nothing_leads_out() -> Outcome {
    on_ext4(|root| {
        root.create_dir("etc")?;
        root.write("etc/passwd", "of the image")?;
        root.create_dir("dir")?;
        root.symlink("/etc/passwd", "dir/absolute")?;
        root.symlink("../../../../../../etc/passwd", "dir/dots")?;
        root.symlink("/", "dir/root")?;
        for path in [
            "dir/absolute",
            "dir/dots",
            "dir/root/etc/passwd",
            "../../etc/passwd",
            "/../etc/passwd",
            "dir/root/../../etc/passwd",
        ] {
            assert_eq!(root.read_to_string(path)?, "of the image", "{path}");
        }
        // The kernel's own tree has these; the image does not.
        for path in ["/../proc", "dir/root/../mnt", "dir/root/../../dev"] {
            assert!(!root.exists(path)?, "{path}");
            root.create_dir(path)?;
            root.remove_dir(path)?;
        }
        assert_eq!(errno(root.remove_dir("..")), Some(Errno::NOTEMPTY));
        assert_eq!(errno(root.rename("..", "x")), Some(Errno::BUSY));
        assert_eq!(root.canonicalize("dir/root/..")?, Path::new("/"));
        let dir = root.open_dir("dir")?;
        assert_eq!(errno(dir.open("absolute")), Some(Errno::LOOP));
        assert_eq!(errno(dir.open("../etc/passwd")), Some(Errno::INVAL));
        Ok(())
    })
}
