//! Inodes: flags, times of birth, files without names, the host's file handles, damaged
//! entries.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, OFlags, StatxFlags, linkat, statx};

use crate::harness::{Outcome, Place, tool};
use crate::mounted::{BTRFS, EXT4, Mounted, VFAT, XFS, left_out, on};

#[test]
fn times_of_birth() -> Outcome {
    for kind in [&EXT4, &XFS, &BTRFS] {
        on(kind, |mounted| {
            let path = mounted.path("file");
            fs::write(&path, "")?;
            let born = path.metadata()?.created()?;
            let modified = path.metadata()?.modified()?;
            assert!(born <= modified, "{born:?} {modified:?}");
            let file = File::options().write(true).open(&path)?;
            file.set_modified(born - std::time::Duration::from_secs(1000))?;
            assert_eq!(path.metadata()?.created()?, born);
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn flags_of_chattr() -> Outcome {
    for kind in [&EXT4, &XFS, &BTRFS] {
        on(kind, |mounted| {
            let path = mounted.path("file");
            fs::write(&path, "kept")?;
            let flags = || tool("lsattr", |lsattr| lsattr.arg("-d").arg(&path));
            let has = |flag| Ok::<_, Box<dyn std::error::Error>>(flags()?[..20].contains(flag));
            let chattr = |change: &str, path: &Path| {
                tool("chattr", |chattr| chattr.arg(change).arg(path)).map(drop)
            };
            assert!(!has('i')?);
            let time = || path.metadata().map(|it| (it.ctime(), it.ctime_nsec()));
            let before = time()?;
            // The filesystem's clock has ticks.
            let changed = (0..50).any(|_| {
                let set = chattr("-i", &path).and_then(|()| chattr("+i", &path));
                set.is_ok() && time().is_ok_and(|after| after > before)
            });
            assert!(changed, "{}: {before:?} {:?}", kind.name, time());
            assert!(has('i')?, "{}", flags()?);
            assert!(fs::write(&path, "lost").is_err());
            assert!(fs::remove_file(&path).is_err());
            chattr("-i", &path)?;
            fs::write(&path, "new")?;
            // Of a directory.
            fs::create_dir(mounted.path("dir"))?;
            chattr("+i", &mounted.path("dir"))?;
            assert!(fs::write(mounted.path("dir/file"), "").is_err());
            chattr("-i", &mounted.path("dir"))
        })
        .map_err(|error| format!("{}: {error}", kind.name))?;
    }
    Ok(())
}

#[test]
fn an_ioctl_that_is_nothing_of_the_files() -> Outcome {
    on(&EXT4, |mounted| {
        let file = File::create(mounted.path("file"))?;
        assert!(!rustix::termios::isatty(&file));
        Ok(())
    })
}

#[test]
fn files_without_names() -> Outcome {
    for kind in [&EXT4, &XFS, &BTRFS] {
        on(kind, |mounted| {
            let unnamed = |flags| {
                let mut options = OpenOptions::new();
                options.read(true).write(true);
                options
                    .custom_flags(libc::O_TMPFILE | flags)
                    .open(&mounted.dir)
            };
            let mut file = unnamed(0)?;
            file.write_all(b"unnamed")?;
            assert_eq!(file.metadata()?.nlink(), 0);
            let path = |file: &File| format!("/proc/self/fd/{}", file.as_raw_fd());
            let link = |file: &File, name: &str| {
                let to = mounted.path(name);
                linkat(CWD, path(file), CWD, to, AtFlags::SYMLINK_FOLLOW)
            };
            link(&file, "named")?;
            file.write_all(b" once")?;
            assert_eq!(fs::read(mounted.path("named"))?, b"unnamed once");
            assert_eq!(mounted.path("named").metadata()?.nlink(), 1);
            // Nobody will be able to name this one.
            let file = unnamed(libc::O_EXCL)?;
            assert_eq!(link(&file, "never"), Err(rustix::io::Errno::NOENT));
            Ok(())
        })
        .map_err(|error| format!("{}: {error}", kind.name))?;
    }
    Ok(())
}

#[test]
fn free_room_is_given_back() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    let image = EXT4.image(&place)?;
    let mounted = Mounted::new(&place, &image, &[])?;
    let path = mounted.path("file");
    let mut file = File::create(&path)?;
    file.write_all(&vec![1; 50 << 20])?;
    file.sync_all()?;
    drop(file);
    let used = || Ok::<_, std::io::Error>(image.metadata()?.blocks());
    let before = used()?;
    fs::remove_file(&path)?;
    // The host says when it likes that it has forgotten the file; its room is free with
    // the next transaction after that.
    let given_back = (0..200).any(|_| {
        let synced = File::open(&mounted.dir).and_then(|dir| dir.sync_all());
        let trimmed = tool("fstrim", |fstrim| fstrim.arg("-v").arg(&mounted.dir));
        let after = used();
        synced.is_ok() && trimmed.is_ok() && after.is_ok_and(|it| it + (40 << 11) < before)
    });
    assert!(given_back, "{before} then {:?}", used());
    mounted.unmount()?;
    EXT4.check(&image)
}

/// A handle of the host's: `struct file_handle`.
#[repr(C)]
struct HostHandle {
    bytes: u32,
    kind: i32,
    handle: [u8; 128],
}

fn handle_of(path: &Path) -> Outcome<HostHandle> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut handle = HostHandle {
        bytes: 128,
        kind: 0,
        handle: [0; 128],
    };
    let mut mount = 0;
    let pointer = (&raw mut handle).cast::<libc::file_handle>();
    // SAFETY: a string, a handle with as much room as it says, and a number.
    let done = unsafe {
        libc::name_to_handle_at(libc::AT_FDCWD, path.as_ptr(), pointer, &raw mut mount, 0)
    };
    match done {
        0 => Ok(handle),
        _ => Err(std::io::Error::last_os_error().into()),
    }
}

fn open_handle(mounted: &Mounted, handle: &mut HostHandle) -> std::io::Result<File> {
    let dir = File::open(&mounted.dir)?;
    let pointer = (&raw mut *handle).cast::<libc::file_handle>();
    // SAFETY: a handle that is as long as it says.
    let fd = unsafe { libc::open_by_handle_at(dir.as_raw_fd(), pointer, libc::O_RDONLY) };
    match fd {
        -1 => Err(std::io::Error::last_os_error()),
        // SAFETY: it was opened just now, and nobody else knows it.
        fd => Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) }),
    }
}

/// The host forgets names and inodes that nobody uses.
fn forget() -> Outcome {
    Ok(fs::write("/proc/sys/vm/drop_caches", "2")?)
}

#[test]
fn handles_of_the_host_last() -> Outcome {
    for kind in [&EXT4, &XFS, &BTRFS] {
        on(kind, |mounted| {
            fs::create_dir(mounted.path("dir"))?;
            let path = mounted.path("dir/file");
            fs::write(&path, "found")?;
            let mut of_file = handle_of(&path)?;
            let mut of_dir = handle_of(&mounted.path("dir"))?;
            forget()?;
            let mut text = String::new();
            open_handle(mounted, &mut of_file)?.read_to_string(&mut text)?;
            assert_eq!(text, "found");
            let dir = open_handle(mounted, &mut of_dir)?;
            // The host needs to know what it is in.
            assert!(fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd()))?.ends_with("dir"));
            // Another file with that number is another file.
            let number = path.metadata()?.ino();
            fs::remove_file(&path)?;
            forget()?;
            for index in 0..20 {
                fs::write(mounted.path(format!("dir/{index}")), "other")?;
            }
            let mut tries = 0;
            let error = loop {
                let file = match open_handle(mounted, &mut of_file) {
                    Ok(file) => file,
                    Err(error) => break error,
                };
                // The host may not have closed it yet, and so not forgotten it either:
                // then it is the file that was removed.
                let found = file.metadata();
                let removed = found.as_ref().map_or(true, |found| found.nlink() == 0);
                tries += 1;
                if !removed || tries == 1000 {
                    return Err(format!("{tries} tries: {found:?}").into());
                }
                drop(file);
                forget()?;
            };
            assert_eq!(error.raw_os_error(), Some(libc::ESTALE), "{number}");
            Ok(())
        })
        .map_err(|error| format!("{}: {error}", kind.name))?;
    }
    Ok(())
}

#[test]
fn handles_of_the_host_outlive_the_mount() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    let image = EXT4.image(&place)?;
    let mounted = Mounted::new(&place, &image, &[])?;
    fs::write(mounted.path("file"), "found")?;
    fs::write(mounted.path("gone"), "")?;
    let mut handle = handle_of(&mounted.path("file"))?;
    let mut gone = handle_of(&mounted.path("gone"))?;
    fs::remove_file(mounted.path("gone"))?;
    mounted.unmount()?;
    let mounted = Mounted::new(&place, &image, &[])?;
    // Perhaps with the number of the one that is gone.
    fs::write(mounted.path("new"), "")?;
    forget()?;
    let mut text = String::new();
    open_handle(&mounted, &mut handle)?.read_to_string(&mut text)?;
    assert_eq!(text, "found");
    let error = open_handle(&mounted, &mut gone).expect_err("it was removed");
    assert_eq!(error.raw_os_error(), Some(libc::ESTALE));
    mounted.unmount()
}

#[test]
fn damaged_entries_are_listed() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    let image = EXT4.image(&place)?;
    let mounted = Mounted::new(&place, &image, &[])?;
    for name in ["before", "damaged", "whole"] {
        fs::write(mounted.path(name), name)?;
    }
    mounted.unmount()?;
    tool("debugfs", |debugfs| {
        debugfs.args(["-w", "-R", "clri damaged"]).arg(&image)
    })?;
    let mounted = Mounted::new(&place, &image, &["--read-only"])?;
    let mut names = Vec::new();
    for entry in fs::read_dir(&mounted.dir)? {
        names.push(entry?.file_name());
    }
    names.sort();
    assert_eq!(names, ["before", "damaged", "lost+found", "whole"]);
    let damaged = mounted.path("damaged").symlink_metadata();
    assert!(damaged.is_err(), "{damaged:?}");
    assert_eq!(fs::read(mounted.path("whole"))?, b"whole");
    mounted.unmount()
}

#[test]
fn what_the_host_shows_of_it() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    let image = EXT4.image(&place)?;
    let mounted = Mounted::new(&place, &image, &[])?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let dir = mounted.dir.to_string_lossy();
    let ours = mounts.lines().find(|line| line.contains(&*dir));
    let ours = ours.ok_or("not mounted")?;
    assert!(ours.contains(" fuse.drupe rw,nosuid,nodev"), "{ours}");
    assert!(ours.contains(&*image.to_string_lossy()), "{ours}");
    assert_eq!(mounted.process_name()?, "drupe-mount");
    mounted.unmount()
}

/// What is not there is believed not to be there, and found once it is.
#[test]
fn names_that_were_not_there() -> Outcome {
    for kind in [&EXT4, &VFAT] {
        on(kind, |mounted| {
            let there = |name: &str| mounted.path(name).exists();
            assert!(!there("name") && !there("name"));
            fs::write(mounted.path("name"), "")?;
            assert!(there("name"));
            fs::rename(mounted.path("name"), mounted.path("other"))?;
            assert!(!there("name") && there("other"));
            fs::hard_link(mounted.path("other"), mounted.path("name")).or_else(|error| {
                // vfat has none.
                match kind.name {
                    "vfat" => fs::write(mounted.path("name"), ""),
                    _ => Err(error),
                }
            })?;
            assert!(there("name"));
            fs::remove_file(mounted.path("name"))?;
            assert!(!there("name"));
            // A directory that was read before, and has changed since.
            let count = || Ok::<_, std::io::Error>(fs::read_dir(&mounted.dir)?.count());
            let before = count()?;
            fs::write(mounted.path("one more"), "")?;
            assert_eq!(count()?, before + 1);
            fs::remove_file(mounted.path("one more"))?;
            assert_eq!(count()?, before);
            Ok(())
        })
        .map_err(|error| format!("{}: {error}", kind.name))?;
    }
    Ok(())
}

#[test]
fn room_that_a_file_takes_is_not_stale_for_long() -> Outcome {
    on(&EXT4, |mounted| {
        let path = mounted.path("file");
        fs::write(&path, "")?;
        assert_eq!(path.metadata()?.blocks(), 0);
        let mut file = File::options().append(true).open(&path)?;
        file.write_all(&[1; 1 << 16])?;
        file.sync_all()?;
        let flags = AtFlags::STATX_FORCE_SYNC;
        let stat = statx(CWD, &path, flags, StatxFlags::BLOCKS)?;
        assert_eq!(stat.stx_blocks, 128);
        let open = rustix::fs::open(&path, OFlags::RDONLY, rustix::fs::Mode::empty())?;
        assert_eq!(rustix::fs::fstat(&open)?.st_size, 1 << 16);
        Ok(())
    })
}
