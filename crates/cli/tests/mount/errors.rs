//! Mounts that fail: one line says why, and nothing is left behind.

use std::fs;
use std::process::Command;

use crate::harness::{Outcome, Place, command_for_anyone, tool};
use crate::mounted::{EXT4, Mounted, left_out};

#[test]
fn what_cannot_be_mounted_on() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    EXT4.image(&place)?;
    fs::create_dir_all(place.path("full/of"))?;
    fs::create_dir(place.path("dir"))?;
    for foreground in [&["mount"][..], &["mount", "-f"]] {
        let fails = |code, image: &str, dir: &str, why: &str| -> Outcome {
            let line = place.fails(code, &[foreground, &[image, dir]].concat())?;
            match line.contains(why) {
                true => Ok(()),
                false => Err(format!("{line:?} does not say {why:?}").into()),
            }
        };
        fails(1, "ext4.img", "none", "none: No such file or directory")?;
        fails(1, "ext4.img", "ext4.img", "ext4.img: is not a directory")?;
        fails(1, "ext4.img", "full", "full: is not empty")?;
        fails(3, "none.img", "dir", "none.img: No such file or directory")?;
        fails(
            3,
            "ext4.img@7",
            "dir",
            "ext4.img@7: there is no partition 7",
        )?;
        fails(3, "full", "dir", "full: is a directory, not a disk image")?;
        place.write("text.img", vec![b'x'; 4096])?;
        fails(3, "text.img", "dir", "text.img: holds no partition table")?;
    }
    assert_eq!(fs::read_dir(place.path("dir"))?.count(), 0);
    // The root of a filesystem is all of it; what is below cannot be mounted.
    let line = place.fails(2, &["mount", "ext4.img:/lost+found", "dir"])?;
    assert!(
        line.contains("ext4.img:/lost+found: only a whole filesystem")
            && line.contains("hint: mount ext4.img on a directory DIR, and use DIR/lost+found"),
        "{line}"
    );
    place.ok(&["mount", "ext4.img:/", "dir"])?;
    place.ok(&["umount", "dir"])?;
    Ok(())
}

#[test]
fn an_image_that_is_in_use() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    let image = EXT4.image(&place)?;
    let mounted = Mounted::new(&place, &image, &[])?;
    fs::create_dir(place.path("dir"))?;
    let line = place.fails(3, &["mount", "ext4.img", "dir"])?;
    assert!(line.contains("ext4.img: "), "{line}");
    mounted.unmount()?;
    EXT4.check(&image)
}

/// The command in a mount namespace where something was done to /dev/fuse.
fn without_device(place: &Place, script: &str) -> Outcome<String> {
    let script = format!("{script} && exec \"$0\" mount ext4.img dir");
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .arg(command_for_anyone()?.path())
        .current_dir(place.path(""))
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() == Some(1) && said.lines().count() == 1 {
        true => Ok(said),
        false => Err(format!("{output:?}").into()),
    }
}

#[test]
fn no_device() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::for_anyone()?;
    EXT4.image(&place)?;
    fs::create_dir(place.path("dir"))?;
    let missing = without_device(&place, "mount -t tmpfs tmpfs /dev && mknod /dev/null c 1 3")?;
    assert!(
        missing.starts_with("drupe: /dev/fuse: is not there"),
        "{missing}"
    );
    let forbidden = "mount -t tmpfs tmpfs /dev && mknod -m 600 /dev/fuse c 10 229 && \
                     mknod -m 666 /dev/null c 1 3 && chmod 777 dir && \
                     exec setpriv --reuid=65534 --regid=65534 --clear-groups \
                     \"$0\" mount ext4.img dir";
    let forbidden = without_device(&place, forbidden)?;
    assert!(
        forbidden.starts_with("drupe: /dev/fuse: may not be opened"),
        "{forbidden}"
    );
    Ok(())
}

#[test]
fn a_filesystem_of_a_kind_that_is_only_read() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    let image = place.path("udf.img");
    fs::File::create(&image)?.set_len(64 << 20)?;
    tool("mkudffs", |udf| udf.arg("--media-type=dvd").arg(&image))?;
    fs::create_dir(place.path("dir"))?;
    let line = place.fails(3, &["mount", "udf.img", "dir"])?;
    assert!(line.contains("its filesystem is read-only"));
    Mounted::new(&place, &image, &["--read-only"])?.unmount()?;
    // One that has no other kind needs no word; the host knows it then.
    fs::create_dir(place.path("tree"))?;
    let squashed = place.path("squash.img");
    tool("mksquashfs", |squash| {
        squash.arg(place.path("tree")).arg(&squashed).arg("-quiet")
    })?;
    let mounted = Mounted::new(&place, &squashed, &[])?;
    let error = fs::write(mounted.path("file"), "").expect_err("read-only");
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    mounted.unmount()
}
