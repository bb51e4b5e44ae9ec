//! Names and attributes: making, finding, renaming and removing files.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileTimes};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, FileType, Mode, RenameFlags, StatxFlags, makedev};

use crate::harness::Outcome;
use crate::mounted::{BTRFS, EXT4, Kind, Mounted, VFAT, XFS, on};

fn tree(mounted: &Mounted) -> Outcome {
    let at = |name: &str| mounted.path(name);
    fs::create_dir_all(at("d/e/f"))?;
    fs::write(at("d/e/f/one"), "one")?;
    fs::write(at("d/two"), vec![7; 100_000])?;
    fs::rename(at("d/e/f/one"), at("d/1"))?;
    assert_eq!(fs::read(at("d/1"))?, b"one");
    assert_eq!(fs::read(at("d/two"))?, vec![7; 100_000]);
    fs::remove_dir(at("d/e/f"))?;
    assert!(fs::remove_dir(at("d")).is_err(), "not empty");
    let left: BTreeSet<OsString> = fs::read_dir(at("d"))?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<_, _>>()?;
    assert_eq!(left, ["1", "e", "two"].map(OsString::from).into());
    fs::remove_dir_all(at("d"))?;
    assert!(!at("d").exists());
    Ok(())
}

#[test]
fn trees() -> Outcome {
    for kind in [&EXT4, &XFS, &BTRFS, &VFAT] {
        on(kind, tree).map_err(|error| format!("{}: {error}", kind.name))?;
    }
    Ok(())
}

#[test]
fn every_type_of_file() -> Outcome {
    on(&EXT4, |mounted| {
        let at = |name: &str| mounted.path(name);
        symlink("to/nowhere", at("link"))?;
        assert_eq!(fs::read_link(at("link"))?.as_os_str(), "to/nowhere");
        assert_eq!(at("link").symlink_metadata()?.len(), 10);
        let made = [
            ("fifo", FileType::Fifo, 0),
            ("socket", FileType::Socket, 0),
            ("char", FileType::CharacterDevice, makedev(300, 70_000)),
            ("block", FileType::BlockDevice, makedev(8, 1)),
            ("file", FileType::RegularFile, 0),
        ];
        for (name, kind, dev) in made {
            rustix::fs::mknodat(CWD, at(name), kind, Mode::from_raw_mode(0o640), dev)?;
            let metadata = at(name).symlink_metadata()?;
            assert_eq!(FileType::from_raw_mode(metadata.mode()), kind, "{name}");
            assert_eq!(metadata.mode() & 0o777, 0o640, "{name}");
            assert_eq!(metadata.rdev(), dev, "{name}");
        }
        let kinds: BTreeSet<_> = fs::read_dir(&mounted.dir)?
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_fifo()))
            .map(|entry| entry.file_name())
            .collect();
        assert_eq!(kinds, [OsString::from("fifo")].into());
        fs::hard_link(at("link"), at("link2"))?;
        let (one, two) = (
            at("link").symlink_metadata()?,
            at("link2").symlink_metadata()?,
        );
        assert_eq!((one.ino(), one.nlink()), (two.ino(), 2));
        fs::remove_file(at("link"))?;
        assert_eq!(at("link2").symlink_metadata()?.nlink(), 1);
        Ok(())
    })
}

#[test]
fn any_bytes_in_names() -> Outcome {
    on(&EXT4, |mounted| {
        let mut names: Vec<Vec<u8>> = (1..=255u8)
            .filter(|byte| !b"/.".contains(byte))
            .map(|byte| vec![byte])
            .collect();
        names.push(vec![b'x'; 255]);
        names.push(b"\xff\xfe\n,\\ ".to_vec());
        for name in &names {
            fs::write(mounted.path(OsStr::from_bytes(name)), name)?;
        }
        for name in &names {
            assert_eq!(&fs::read(mounted.path(OsStr::from_bytes(name)))?, name);
        }
        let long = mounted.path(OsStr::from_bytes(&[b'x'; 256]));
        let error = fs::write(long, "").expect_err("256 bytes");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidFilename);
        Ok(())
    })
}

/// More entries than fit in any buffer, removed while they are read, and found
/// by their numbers.
fn many(mounted: &Mounted, count: u32) -> Outcome {
    let dir = mounted.path("many");
    fs::create_dir(&dir)?;
    for index in 0..count {
        File::create(dir.join(format!("file-{index}")))?;
    }
    let mut names = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    for entry in fs::read_dir(&dir)? {
        let entry = entry?;
        assert_eq!(entry.metadata()?.ino(), entry.ino());
        assert!(numbers.insert(entry.metadata()?.ino()), "a number twice");
        assert!(names.insert(entry.file_name()), "a name twice");
    }
    assert_eq!(names.len(), count as usize);
    for entry in fs::read_dir(&dir)? {
        fs::remove_file(entry?.path())?;
    }
    assert_eq!(fs::read_dir(&dir)?.count(), 0);
    Ok(fs::remove_dir(&dir)?)
}

#[test]
fn big_directories() -> Outcome {
    on(&EXT4, |mounted| many(mounted, 5000))?;
    on(&XFS, |mounted| many(mounted, 3000))?;
    on(&BTRFS, |mounted| many(mounted, 3000))
}

/// What the host remembers must not fill the memory of the kernel, which is less
/// than these need when they are all kept open; and what it is made to forget must
/// be the same file when it asks again.
#[test]
fn more_files_than_fit_into_memory() -> Outcome {
    if crate::mounted::left_out() {
        return Ok(());
    }
    for kind in [&EXT4, &VFAT] {
        let place = crate::harness::Place::new()?;
        let image = kind.image(&place)?;
        let mounted = Mounted::new(&place, &image, &["--memory", "40M"])?;
        many_at_once(&mounted).map_err(|error| format!("{}: {error}", kind.name))?;
        mounted.unmount()?;
        kind.check(&image)?;
    }
    Ok(())
}

fn many_at_once(mounted: &Mounted) -> Outcome {
    let mut numbers = Vec::new();
    let first = mounted.path("first");
    let open = File::create(&first)?;
    for dir in 0..10 {
        let dir = mounted.path(format!("{dir}"));
        fs::create_dir(&dir)?;
        numbers.push((dir.clone(), dir.metadata()?.ino()));
        for file in 0..2000 {
            let file = dir.join(format!("{file}"));
            let number = File::create(&file)?.metadata()?.ino();
            numbers.push((file, number));
        }
    }
    // What is open was not taken from its place.
    let link = format!("/proc/self/fd/{}", open.as_raw_fd());
    assert_eq!(fs::read_link(link)?, first);
    for (path, number) in &numbers {
        assert_eq!(path.metadata()?.ino(), *number, "{}", path.display());
    }
    for entry in fs::read_dir(&mounted.dir)? {
        let entry = entry?;
        assert_eq!(entry.ino(), entry.metadata()?.ino(), "{entry:?}");
    }
    // It goes into directories that it has seen long before, and complains about
    // those that are others by then. Its output would be the error's.
    let found = crate::harness::tool("bash", |find| {
        let count = "set -o pipefail; find . -ls | wc -l";
        find.args(["-c", count]).current_dir(&mounted.dir)
    })?;
    let lost_and_found = usize::from(mounted.path("lost+found").exists());
    assert_eq!(found.trim().parse::<usize>()?, 20_012 + lost_and_found);
    Ok(())
}

#[test]
fn times_are_kept_to_the_nanosecond() -> Outcome {
    let set = |mounted: &Mounted| -> Outcome {
        let path = mounted.path("file");
        let file = File::create(&path)?;
        let accessed = UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
        // Before 1970 too.
        for modified in [
            UNIX_EPOCH + Duration::new(2_000_000_000, 987_654_321),
            UNIX_EPOCH - Duration::new(1_000_000, 200_000_001),
        ] {
            let times = FileTimes::new()
                .set_accessed(accessed)
                .set_modified(modified);
            file.set_times(times)?;
            let metadata = path.metadata()?;
            assert_eq!(metadata.modified()?, modified);
            assert_eq!(metadata.accessed()?, accessed);
            let changed = (metadata.ctime(), metadata.ctime_nsec());
            // It stays when nothing happens, and goes on when something does.
            assert_eq!(
                changed,
                (path.metadata()?.ctime(), path.metadata()?.ctime_nsec())
            );
        }
        let before = path.metadata()?;
        fs::write(&path, "more")?;
        let after = path.metadata()?;
        assert!(after.mtime() > before.mtime());
        assert!(after.ctime() >= before.ctime());
        // The first reading after writing renews it.
        fs::read(&path)?;
        assert!(path.metadata()?.atime() >= after.mtime());
        Ok(())
    };
    on(&EXT4, set)?;
    on(&XFS, set)?;
    on(&BTRFS, set)
}

#[test]
fn times_outlive_the_mount() -> Outcome {
    if crate::mounted::left_out() {
        return Ok(());
    }
    let place = crate::harness::Place::new()?;
    let image = EXT4.image(&place)?;
    let mounted = Mounted::new(&place, &image, &[])?;
    let stat = |mounted: &Mounted| {
        let metadata = mounted.path("file").metadata();
        metadata.map(|it| {
            (
                it.ino(),
                it.mtime_nsec(),
                it.ctime_nsec(),
                it.mode(),
                it.uid(),
            )
        })
    };
    fs::write(mounted.path("file"), "x")?;
    std::os::unix::fs::chown(mounted.path("file"), Some(7), Some(8))?;
    fs::set_permissions(mounted.path("file"), PermissionsExt::from_mode(0o4751))?;
    let before = stat(&mounted)?;
    mounted.unmount()?;
    let mounted = Mounted::new(&place, &image, &["--read-only"])?;
    assert_eq!(stat(&mounted)?, before);
    let error = fs::write(mounted.path("file"), "y").expect_err("read-only");
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    mounted.unmount()?;
    EXT4.check(&image)
}

#[test]
fn renames_of_all_kinds() -> Outcome {
    let rename = |mounted: &Mounted| -> Outcome {
        let at = |name: &str| mounted.path(name);
        let flagged = |from: &str, to: &str, flags| {
            rustix::fs::renameat_with(CWD, at(from), CWD, at(to), flags)
        };
        fs::write(at("a"), "a")?;
        fs::create_dir(at("b"))?;
        let refused = flagged("a", "b", RenameFlags::NOREPLACE);
        assert_eq!(refused, Err(rustix::io::Errno::EXIST));
        flagged("a", "b", RenameFlags::EXCHANGE)?;
        assert!(at("a").is_dir() && at("b").is_file());
        flagged("b", "c", RenameFlags::WHITEOUT)?;
        let whiteout = at("b").symlink_metadata()?;
        assert!(whiteout.file_type().is_char_device());
        assert_eq!((whiteout.rdev(), fs::read(at("c"))?), (0, b"a".to_vec()));
        // Who has the replaced file open keeps it, with its number.
        fs::write(at("d"), "d")?;
        let mut old = File::open(at("d"))?;
        let number = old.metadata()?.ino();
        fs::rename(at("c"), at("d"))?;
        let mut text = String::new();
        old.read_to_string(&mut text)?;
        assert_eq!((text.as_str(), old.metadata()?.nlink()), ("d", 0));
        fs::write(at("new"), "new")?;
        assert_eq!(old.metadata()?.ino(), number);
        assert_ne!(
            at("new").metadata()?.ino(),
            number,
            "given away while in use"
        );
        Ok(())
    };
    let kinds: [&Kind; 3] = [&EXT4, &XFS, &BTRFS];
    for kind in kinds {
        on(kind, rename).map_err(|error| format!("{}: {error}", kind.name))?;
    }
    Ok(())
}

#[test]
fn what_is_unlinked_stays_for_those_who_have_it() -> Outcome {
    let unlink = |mounted: &Mounted| -> Outcome {
        let path = mounted.path("file");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)?;
        file.write_all(b"before")?;
        // Pinned only, not open.
        let pinned = rustix::fs::open(&path, rustix::fs::OFlags::PATH, Mode::empty())?;
        fs::remove_file(&path)?;
        file.write_all(b" after")?;
        assert_eq!(file.metadata()?.nlink(), 0);
        assert_eq!(file.metadata()?.len(), 12);
        let stat = rustix::fs::statx(&pinned, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
        assert_eq!((stat.stx_nlink, stat.stx_size), (0, 12));
        // Nobody has this one open, and its number is not given away either.
        let only = mounted.path("only");
        fs::write(&only, "pinned")?;
        let pinned = rustix::fs::open(&only, rustix::fs::OFlags::PATH, Mode::empty())?;
        // More than are kept open because they were used last.
        fs::create_dir(mounted.path("others"))?;
        for index in 0..600 {
            let other = mounted.path(format!("others/{index}"));
            fs::write(&other, "")?;
            fs::read(&other)?;
        }
        fs::remove_file(&only)?;
        fs::write(mounted.path("next"), "")?;
        let stat = rustix::fs::statx(&pinned, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
        assert_eq!((stat.stx_nlink, stat.stx_size), (0, 6));
        assert_ne!(stat.stx_ino, mounted.path("next").metadata()?.ino());
        // A directory, with somebody in it.
        fs::create_dir(mounted.path("dir"))?;
        let dir = File::open(mounted.path("dir"))?;
        fs::remove_dir(mounted.path("dir"))?;
        let made = rustix::fs::mkdirat(&dir, "below", Mode::RWXU);
        assert_eq!(made, Err(rustix::io::Errno::NOENT));
        Ok(())
    };
    for kind in [&EXT4, &XFS, &BTRFS, &VFAT] {
        on(kind, unlink).map_err(|error| format!("{}: {error}", kind.name))?;
    }
    Ok(())
}

#[test]
fn names_that_differ_in_case_only() -> Outcome {
    if crate::mounted::left_out() {
        return Ok(());
    }
    let place = crate::harness::Place::new()?;
    let image = place.ext4("folds.img", 64 << 20, &["-O", "casefold"])?;
    let mounted = Mounted::new(&place, &image, &[])?;
    fs::create_dir(mounted.path("dir"))?;
    let fold = crate::harness::tool("chattr", |chattr| chattr.arg("+F").arg(mounted.path("dir")));
    assert!(fold.is_err(), "names that the host knows would change");
    mounted.unmount()?;
    crate::harness::tool("debugfs", |debugfs| {
        let flags = "set_inode_field dir flags 0x40080000";
        debugfs.args(["-w", "-R", flags]).arg(&image)
    })?;
    let mounted = Mounted::new(&place, &image, &[])?;
    let at = |name: &str| mounted.path("dir").join(name);
    assert!(!at("name").exists());
    fs::write(at("NAME"), "one")?;
    assert_eq!(fs::read(at("name"))?, b"one");
    fs::remove_file(at("NAME"))?;
    assert!(!at("name").exists());
    mounted.unmount()?;
    EXT4.check(&image)
}
