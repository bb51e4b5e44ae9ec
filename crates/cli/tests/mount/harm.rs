//! Promise 2: changes of the image file by other programs, which cannot be prevented, are
//! reported.

use std::fs::{self, File};
use std::io::Write;

use crate::harness::{Outcome, Place, noise};
use crate::mounted::{EXT4, Mounted, left_out};

/// Drops what the host has cached of a mount.
fn forget(mounted: &Mounted) -> Outcome {
    let file = File::open(mounted.path("file"))?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(())
}

#[test]
fn an_image_that_is_removed() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    let image = EXT4.image(&place)?;
    let mounted = Mounted::new(&place, &image, &[])?;
    fs::remove_file(&image)?;
    fs::write(mounted.path("file"), "lost")?;
    let line = place.fails(3, &["umount", "mnt-ext4"])?;
    assert!(
        line.contains("ext4.img: the image file was removed while it was in use"),
        "{line}"
    );
    // Of one that is only read nothing is lost.
    let image = EXT4.image(&place)?;
    let mounted = Mounted::new(&place, &image, &["--read-only"])?;
    fs::remove_file(&image)?;
    place.ok(&["umount", "mnt-ext4"])?;
    mounted.ended()
}

#[test]
fn an_image_that_is_cut() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    let image = EXT4.image(&place)?;
    place.write("file", noise(64 << 20))?;
    place.ok(&["cp", "file", "ext4.img:/"])?;
    let mounted = Mounted::new(&place, &image, &[])?;
    let short = 48 << 20;
    File::options().write(true).open(&image)?.set_len(short)?;
    forget(&mounted)?;
    // Not zeroes, nor the end of the file.
    let read = fs::read(mounted.path("file")).map(|bytes| bytes.len());
    let read = read.expect_err("it is cut");
    assert_eq!(read.raw_os_error(), Some(libc::EIO), "{read}");
    // From now on nothing is changed any more.
    let made = File::create(mounted.path("new")).expect_err("it is cut");
    assert_eq!(made.raw_os_error(), Some(libc::EIO), "{made}");
    let line = place.fails(3, &["umount", "mnt-ext4"])?;
    assert!(
        line.contains("the image file was cut from 268435456 to 50331648 bytes"),
        "{line}"
    );
    assert_eq!(image.metadata()?.len(), short, "it was made longer");
    Ok(())
}

/// Whoever only writes is told too.
#[test]
fn a_cut_image_is_not_written() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    let image = EXT4.image(&place)?;
    let mounted = Mounted::new(&place, &image, &[])?;
    let mut file = File::create(mounted.path("file"))?;
    File::options()
        .write(true)
        .open(&image)?
        .set_len(48 << 20)?;
    let written = file
        .write_all(&noise(64 << 20))
        .and_then(|()| file.sync_all());
    assert!(written.is_err(), "nobody has what was written");
    drop(file);
    let line = place.fails(3, &["umount", "mnt-ext4"])?;
    assert!(line.contains("the image file was cut"), "{line}");
    Ok(())
}
