//! `drupe umount`: returns when the image is clean, or says what was lost.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::harness::{Outcome, Place, noise, tool};
use crate::mounted::{EXT4, Mounted, left_out};

#[test]
fn the_image_is_clean_on_return() -> Outcome {
    if left_out() {
        return Ok(());
    }
    for options in [&["mount"][..], &["mount", "--writeback"]] {
        let place = Place::new()?;
        let image = EXT4.image(&place)?;
        fs::create_dir(place.path("dir"))?;
        place.ok(&[options, &["ext4.img", "dir"]].concat())?;
        fs::write(place.path("dir/file"), noise(20 << 20))?;
        assert_eq!(place.ok(&["umount", "dir"])?, "");
        // Nobody is waited for here.
        EXT4.check(&image)?;
        assert_eq!(fs::read_dir(place.path("dir"))?.count(), 0);
    }
    Ok(())
}

#[test]
fn what_is_in_use_stays() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    let image = EXT4.image(&place)?;
    let mounted = Mounted::new(&place, &image, &[])?;
    let mut file = File::create(mounted.path("file"))?;
    let line = place.fails(1, &["mount", "ext4.img", "mnt-ext4"])?;
    assert!(
        line.contains("mnt-ext4: something is mounted there already"),
        "{line}"
    );
    let line = place.fails(1, &["umount", "mnt-ext4"])?;
    assert!(line.contains("mnt-ext4: is in use"), "{line}");
    // The image in place of the directory.
    let lines = place.fails(1, &["umount", "ext4.img"])?;
    let dir = mounted.path("").canonicalize()?;
    assert_eq!(
        lines,
        format!(
            "drupe: ext4.img: is an image; it is mounted on {0}\nhint: drupe umount {0}\n",
            dir.display()
        )
    );
    file.write_all(b"still mounted")?;
    drop(file);
    place.ok(&["umount", "mnt-ext4"])?;
    mounted.ended()?;
    EXT4.check(&image)
}

/// What is mounted twice lasts as long as one of them.
#[test]
fn what_is_mounted_elsewhere_too() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    let image = EXT4.image(&place)?;
    let mounted = Mounted::new(&place, &image, &[])?;
    fs::create_dir(place.path("bound"))?;
    let bound = place.path("bound");
    tool("mount", |mount| {
        mount.arg("--bind").arg(&mounted.dir).arg(&bound)
    })?;
    let line = place.fails(1, &["umount", "bound"])?;
    assert!(line.contains("bound: is still mounted on"), "{line}");
    assert!(line.contains("mnt-ext4: the image is in use"), "{line}");
    place.ok(&["umount", "mnt-ext4"])?;
    mounted.ended()
}

/// The list of mounts has them all, whatever bytes are in their names.
#[test]
fn names_that_are_not_utf8() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    let image = EXT4.image(&place)?;
    let dir = OsStr::from_bytes(b"b\xff \n");
    fs::create_dir(place.path(dir))?;
    place.ok(&[OsStr::new("mount"), image.as_os_str(), dir])?;
    fs::write(place.path(dir).join("file"), "x")?;
    // Another mount is not to be disturbed by it.
    fs::create_dir(place.path("other"))?;
    fs::copy(&image, place.path("other.img"))?;
    place.ok(&["--replay", "mount", "--read-only", "other.img", "other"])?;
    place.ok(&["umount", "other"])?;
    place.ok(&[OsStr::new("umount"), dir])?;
    EXT4.check(&image)
}

#[test]
fn what_is_not_ours() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    fs::create_dir(place.path("dir"))?;
    let line = place.fails(1, &["umount", "dir"])?;
    assert!(line.contains("dir: no mount of drupe"), "{line}");
    let line = place.fails(1, &["umount", "none"])?;
    assert!(line.contains("none: No such file"), "{line}");
    Ok(())
}

/// Its mount stays until somebody takes it away: programs that write there would write
/// to the directory below.
#[test]
fn a_process_that_has_died() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    let image = EXT4.image(&place)?;
    let mut mounted = Mounted::new(&place, &image, &[])?;
    mounted.kill()?;
    let error = fs::write(mounted.path("file"), "x").expect_err("dead");
    assert_eq!(error.raw_os_error(), Some(libc::ENOTCONN));
    let line = place.fails(3, &["umount", "mnt-ext4"])?;
    assert!(line.contains("died before the image was clean"), "{line}");
    assert!(line.contains("hint: what fsync has acknowledged"), "{line}");
    assert_eq!(fs::read_dir(&mounted.dir)?.count(), 0);
    let line = place.fails(1, &["umount", "mnt-ext4"])?;
    assert!(line.contains("no mount of drupe"), "{line}");
    Ok(())
}

/// Who waited is told that it will not hear.
#[test]
fn a_process_that_dies_while_somebody_waits() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    let image = EXT4.image(&place)?;
    let mut mounted = Mounted::new(&place, &image, &[])?;
    // A process that is stopped unmounts, but does not end.
    mounted.signal(Signal::STOP)?;
    let mut umount = place.command();
    let umount = umount.args(["umount", "mnt-ext4"]).stderr(Stdio::piped());
    let umount = umount.spawn()?;
    mounted.wait_until_gone()?;
    mounted.kill()?;
    let output = umount.wait_with_output()?;
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    Ok(())
}

/// It cannot take anything away, and the rest is as it was.
#[test]
fn a_keeper_that_has_died() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    let image = EXT4.image(&place)?;
    let mounted = Mounted::new(&place, &image, &[])?;
    mounted.kill_keeper()?;
    fs::write(mounted.path("file"), "still served")?;
    let line = place.fails(1, &["umount", "mnt-ext4"])?;
    assert!(line.contains("cannot be reached"), "{line}");
    mounted.unmount()?;
    EXT4.check(&image)
}

#[test]
fn the_one_that_serves_is_confined() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    let image = EXT4.image(&place)?;
    for (options, confined) in [
        (&["mount"][..], true),
        (&["--sandbox=always", "mount"], true),
        (&["--sandbox=never", "mount"], false),
    ] {
        let mut command = place.command();
        command.args(options);
        let mounted = Mounted::with(&place, &image, command)?;
        let status = mounted.process_status()?;
        // A filter, of seccomp(2).
        assert_eq!(status.contains("\nSeccomp:\t2\n"), confined, "{status}");
        fs::write(mounted.path("file"), "served")?;
        mounted.unmount()?;
    }
    EXT4.check(&image)
}

/// A sparse image on a host's filesystem that has not the room for all of it.
#[test]
fn a_full_host_is_told_of() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    fs::create_dir(place.path("small"))?;
    fs::create_dir(place.path("dir"))?;
    File::create(place.path("log"))?;
    // In a mount namespace of its own, which goes with the shell, and with a log
    // that this test reads.
    let log = std::os::unix::net::UnixDatagram::bind(place.path("socket"))?;
    let script = r#"set -e
        mount -t tmpfs -o size=30M small small
        truncate -s 256M small/disk.img
        mkfs.ext4 -q -F small/disk.img
        touch /dev/log 2> /dev/null || true
        mount --bind socket /dev/log
        "$0" mount small/disk.img dir
        ! dd if=/dev/urandom of=dir/file bs=1M count=100 2> said
        grep -q 'No space left' said
        ! touch dir/another 2> /dev/null
        set +e
        "$0" umount dir 2> ended
        test $? = 3 && grep -q 'cannot be written any more' ended"#;
    let output = Command::new("unshare")
        .args(["--mount", "--propagation=private", "sh", "-c", script])
        .arg(place.command().get_program())
        .current_dir(place.path(""))
        .stdin(Stdio::null())
        .output()?;
    let ended = fs::read_to_string(place.path("ended"));
    assert!(output.status.success(), "{output:?} {ended:?}");
    let mut line = [0; 1000];
    log.set_nonblocking(true)?;
    let len = log.recv(&mut line)?;
    let line = String::from_utf8_lossy(&line[..len]);
    assert!(
        line.starts_with("<27>drupe[") && line.contains("small/disk.img"),
        "{line}"
    );
    Ok(())
}

#[test]
fn options_of_the_mount_in_the_image() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    let image = EXT4.image(&place)?;
    // Reading renews times of access always, or never.
    for (options, renewed) in [("strictatime", true), ("noatime", false)] {
        let mounted = Mounted::new(&place, &image, &["-o", options])?;
        let path = mounted.path("file");
        fs::write(&path, "x")?;
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        let times = fs::FileTimes::new().set_accessed(long_ago);
        // The second time the host has it in its cache.
        for round in 0..2 {
            File::options().write(true).open(&path)?.set_times(times)?;
            fs::read(&path)?;
            let accessed = path.metadata()?.accessed()?;
            assert_eq!(accessed > long_ago, renewed, "{options}, {round}");
        }
        mounted.unmount()?;
    }
    let mounted = Mounted::new(&place, &image, &["-o", "ro"])?;
    let error = fs::write(mounted.path("file"), "y").expect_err("read-only");
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    mounted.unmount()?;
    let line = place.fails(3, &["mount", "-o", "nonsense=1", "ext4.img", "mnt-ext4"])?;
    assert!(line.contains("nonsense"), "{line}");
    // Of other commands.
    let line = place.fails(3, &["--mount-options", "nonsense", "ls", "ext4.img:/"])?;
    assert!(line.contains("nonsense"), "{line}");
    tool("e2fsck", |fsck| fsck.arg("-fn").arg(&image)).map(drop)
}
