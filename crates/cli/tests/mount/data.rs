//! Contents of files: written in all ways, and read by other programs.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::process::{Command, Stdio};
use std::ptr;

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use rustix::io::Errno;
use rustix::mm::{MapFlags, MsyncFlags, ProtFlags, mmap, msync, munmap};

use crate::harness::{Outcome, Place, noise, tool};
use crate::mounted::{BTRFS, EXT4, Mounted, VFAT, XFS, left_out, on};

fn open(mounted: &Mounted, name: &str) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    options.open(mounted.path(name))
}

fn contents(mounted: &Mounted) -> Outcome {
    let bytes = noise((5 << 20) + 123);
    fs::write(mounted.path("big"), &bytes)?;
    assert!(fs::read(mounted.path("big"))? == bytes);
    let file = open(mounted, "big")?;
    file.write_all_at(b"in the middle", 1_234_567)?;
    file.set_len(3 << 20)?;
    file.sync_all()?;
    let mut expected = bytes[..3 << 20].to_vec();
    expected[1_234_567..][..13].copy_from_slice(b"in the middle");
    assert!(fs::read(mounted.path("big"))? == expected);
    Ok(())
}

#[test]
fn contents_on_all() -> Outcome {
    for kind in [&EXT4, &XFS, &BTRFS, &VFAT] {
        on(kind, contents).map_err(|error| format!("{}: {error}", kind.name))?;
    }
    Ok(())
}

#[test]
fn contents_outlive_the_mount() -> Outcome {
    if left_out() {
        return Ok(());
    }
    for options in [&[][..], &["--writeback"]] {
        let place = Place::new()?;
        let image = EXT4.image(&place)?;
        let bytes = noise(3 << 20);
        let mounted = Mounted::new(&place, &image, options)?;
        fs::write(mounted.path("file"), &bytes)?;
        mounted.unmount()?;
        EXT4.check(&image)?;
        let mounted = Mounted::new(&place, &image, options)?;
        assert!(fs::read(mounted.path("file"))? == bytes);
        mounted.unmount()?;
    }
    Ok(())
}

#[test]
fn appending() -> Outcome {
    on(&EXT4, |mounted| {
        let path = mounted.path("log");
        let append = || OpenOptions::new().append(true).create(true).open(&path);
        let (mut one, mut two) = (append()?, append()?);
        for round in 0..50 {
            writeln!(one, "one {round}")?;
            writeln!(two, "two {round}")?;
        }
        let expected: String = (0..50)
            .map(|round| format!("one {round}\ntwo {round}\n"))
            .collect();
        assert_eq!(fs::read_to_string(&path)?, expected);
        Ok(())
    })
}

/// Maps `len` bytes of a file, calls `work` with them, and unmaps.
pub(crate) fn mapped(file: &File, len: usize, work: impl FnOnce(&mut [u8])) -> Outcome {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping, wherever there is room.
    let start = unsafe { mmap(ptr::null_mut(), len, access, MapFlags::SHARED, file, 0)? };
    // SAFETY: mapped just now with that length, and nobody else has it; the file
    // is as long, so no page is missing.
    work(unsafe { std::slice::from_raw_parts_mut(start.cast(), len) });
    // SAFETY: the same mapping.
    unsafe { msync(start, len, MsyncFlags::SYNC)? };
    // SAFETY: nobody refers to it any more.
    unsafe { munmap(start, len)? };
    Ok(())
}

#[test]
fn memory_maps() -> Outcome {
    on(&EXT4, |mounted| {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(mounted.path("map"))?;
        (&file).write_all(&[1; 20_000])?;
        mapped(&file, 20_000, |bytes| {
            assert_eq!(bytes, [1; 20_000]);
            bytes[10_000] = 2;
            file.write_all_at(b"x", 0).expect("appended");
        })?;
        // Another open file sees it, and the kernel that has it on disk.
        let bytes = fs::read(mounted.path("map"))?;
        assert_eq!(
            (bytes.len(), bytes[10_000], bytes[20_000]),
            (20_001, 2, b'x')
        );
        Ok(())
    })
}

/// What is being executed cannot be written to, and is not emptied by trying.
#[test]
fn programs() -> Outcome {
    on(&EXT4, |mounted| {
        let path = mounted.path("cat");
        fs::copy("/bin/cat", &path)?;
        let mut cat = Command::new(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut truncating = OpenOptions::new();
        truncating.read(true).custom_flags(libc::O_TRUNC);
        let error = truncating.open(&path).expect_err("it runs");
        assert_eq!(error.raw_os_error(), Some(libc::ETXTBSY));
        assert_eq!(path.metadata()?.len(), fs::metadata("/bin/cat")?.len());
        let mut stdin = cat.stdin.take().ok_or("no standard input")?;
        stdin.write_all(b"still there")?;
        drop(stdin);
        assert_eq!(cat.wait_with_output()?.stdout, b"still there");
        Ok(())
    })
}

#[test]
fn direct_io() -> Outcome {
    on(&EXT4, |mounted| {
        let path = mounted.path("direct");
        let mut direct = OpenOptions::new();
        direct.read(true).write(true).create(true);
        let file = direct.custom_flags(libc::O_DIRECT).open(&path)?;
        // Aligned to pages by hand.
        let mut memory = vec![0u8; 3 << 12];
        let start = memory.as_ptr().align_offset(1 << 12);
        let block = &mut memory[start..][..1 << 12];
        block.fill(9);
        file.write_all_at(block, 1 << 16)?;
        block.fill(0);
        file.read_exact_at(block, 1 << 16)?;
        assert_eq!(block, [9; 1 << 12]);
        let bytes = fs::read(&path)?;
        assert_eq!(bytes.len(), (1 << 16) + (1 << 12));
        assert_eq!((bytes[0], bytes[1 << 16]), (0, 9));
        Ok(())
    })
}

#[test]
fn holes_and_room() -> Outcome {
    let allocate = |mounted: &Mounted| -> Outcome {
        let mut file = open(mounted, "holes")?;
        fallocate(&file, FallocateFlags::empty(), 0, 1 << 20)?;
        assert_eq!(file.metadata()?.len(), 1 << 20);
        assert!(file.metadata()?.blocks() >= 2048);
        fallocate(&file, FallocateFlags::KEEP_SIZE, 1 << 20, 1 << 20)?;
        assert_eq!(file.metadata()?.len(), 1 << 20);
        file.write_all_at(&[5; 1 << 20], 0)?;
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&file, punch, 256 << 10, 256 << 10)?;
        fallocate(&file, FallocateFlags::ZERO_RANGE, 768 << 10, 64 << 10).or_else(
            // Not of all filesystems.
            |error| match error {
                Errno::OPNOTSUPP => file
                    .write_all_at(&[0; 64 << 10], 768 << 10)
                    .map_err(|_| error),
                error => Err(error),
            },
        )?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let expected = |at: usize| match at >> 10 {
            256..512 | 768..832 => 0,
            _ => 5,
        };
        assert!((0..1 << 20).all(|at| bytes[at] == expected(at)));
        let seek =
            |from, whence: fn(u64) -> rustix::fs::SeekFrom| rustix::fs::seek(&file, whence(from));
        assert_eq!(seek(0, rustix::fs::SeekFrom::Hole)?, 256 << 10);
        assert_eq!(seek(256 << 10, rustix::fs::SeekFrom::Data)?, 512 << 10);
        let behind = seek(2 << 20, rustix::fs::SeekFrom::Data);
        assert_eq!(behind, Err(Errno::NXIO));
        // FUSE passes no more modes than these.
        let collapse = fallocate(&file, FallocateFlags::COLLAPSE_RANGE, 0, 4096);
        assert_eq!(collapse, Err(Errno::OPNOTSUPP));
        Ok(())
    };
    for kind in [&EXT4, &XFS, &BTRFS] {
        on(kind, allocate).map_err(|error| format!("{}: {error}", kind.name))?;
    }
    Ok(())
}

#[test]
fn copies_within() -> Outcome {
    let copy = |mounted: &Mounted| -> Outcome {
        let bytes = noise(1 << 20);
        fs::write(mounted.path("from"), &bytes)?;
        let (from, mut to) = (File::open(mounted.path("from"))?, open(mounted, "to")?);
        let (mut at, mut to_at) = (4096, 8192);
        let mut left = 512 << 10;
        while left > 0 {
            let copied =
                rustix::fs::copy_file_range(&from, Some(&mut at), &to, Some(&mut to_at), left)?;
            assert!(copied > 0, "the file is long enough");
            left -= copied;
        }
        let mut copied = Vec::new();
        to.read_to_end(&mut copied)?;
        assert!(copied[..8192] == [0; 8192]);
        assert!(copied[8192..] == bytes[4096..][..512 << 10]);
        Ok(())
    };
    for kind in [&EXT4, &XFS, &BTRFS] {
        on(kind, copy).map_err(|error| format!("{}: {error}", kind.name))?;
    }
    Ok(())
}

#[test]
fn locks() -> Outcome {
    on(&EXT4, |mounted| {
        let (one, two) = (open(mounted, "lock")?, open(mounted, "lock")?);
        flock(&one, FlockOperation::LockExclusive)?;
        let refused = flock(&two, FlockOperation::NonBlockingLockExclusive);
        assert_eq!(refused, Err(Errno::WOULDBLOCK));
        flock(&one, FlockOperation::Unlock)?;
        flock(&two, FlockOperation::NonBlockingLockShared)?;
        // POSIX locks are of processes: flock(1) has none, python's interpreter
        // may not be there; what is asked here is whether ours is noticed.
        rustix::fs::fcntl_lock(&one, FlockOperation::NonBlockingLockExclusive)?;
        let locks = fs::read_to_string("/proc/locks")?;
        let number = one.metadata()?.ino().to_string();
        let ours = |line: &&str| line.contains("POSIX") && line.contains(&format!(":{number} "));
        assert_eq!(locks.lines().filter(ours).count(), 1, "{locks}");
        Ok(())
    })
}

#[test]
fn room_in_the_filesystem() -> Outcome {
    on(&EXT4, |mounted| {
        let room = || rustix::fs::statvfs(&mounted.dir);
        let before = room()?;
        assert_eq!((before.f_bsize, before.f_namemax), (4096, 255));
        fs::write(mounted.path("file"), vec![1; 4 << 20])?;
        let after = room()?;
        assert!(after.f_bfree + 1024 <= before.f_bfree);
        assert_eq!(after.f_ffree + 1, before.f_ffree);
        // Until it is full.
        let mut file = open(mounted, "all")?;
        let full = loop {
            match file.write_all(&[2; 1 << 20]) {
                Ok(()) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(full.raw_os_error(), Some(libc::ENOSPC));
        Ok(())
    })
}

#[test]
fn seeks_past_the_end_leave_a_hole() -> Outcome {
    on(&VFAT, |mounted| {
        let mut file = open(mounted, "gap")?;
        file.seek(SeekFrom::Start(100_000))?;
        file.write_all(b"end")?;
        let bytes = fs::read(mounted.path("gap"))?;
        assert!(bytes[..100_000].iter().all(|&byte| byte == 0));
        assert_eq!(&bytes[100_000..], b"end");
        Ok(())
    })
}

#[test]
fn extended_attributes() -> Outcome {
    let attributes = |mounted: &Mounted| -> Outcome {
        let path = mounted.path("file");
        fs::write(&path, "")?;
        let value = noise(2000);
        xattr::set(&path, "user.small", b"1")?;
        xattr::set(&path, "user.big", &value)?;
        xattr::set(&path, "trusted.root", b"")?;
        assert_eq!(xattr::get(&path, "user.big")?, Some(value));
        assert_eq!(xattr::get(&path, "trusted.root")?, Some(vec![]));
        assert_eq!(xattr::get(&path, "user.none")?, None);
        let mut names: Vec<_> = xattr::list(&path)?.collect();
        names.sort();
        assert_eq!(names, ["trusted.root", "user.big", "user.small"]);
        xattr::remove(&path, "user.small")?;
        assert_eq!(xattr::get(&path, "user.small")?, None);
        // ACLs, and the mode that comes of them.
        tool("setfacl", |acl| acl.args(["-m", "u:5:rwx"]).arg(&path))?;
        assert_eq!(path.metadata()?.mode() & 0o777, 0o674);
        let shown = tool("getfacl", |acl| acl.args(["-n", "-c"]).arg(&path))?;
        assert!(shown.contains("user:5:rwx"), "{shown}");
        Ok(())
    };
    for kind in [&EXT4, &XFS, &BTRFS] {
        on(kind, attributes).map_err(|error| format!("{}: {error}", kind.name))?;
    }
    Ok(())
}
