//! `cp -a`: a copy into an image and out again has all attributes.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};

use drupe_testing::anyone::NOBODY;

use super::harness::{
    Outcome, Place, as_nobody, check_ext4, command_for_anyone, manifest, noise, strings, succeeds,
    tool,
};

const MIB: u64 = 1 << 20;

/// Some of everything that a filesystem can hold.
pub(crate) fn make_tree(place: &Place) -> Outcome {
    place.write("tree/file", "contents\n")?;
    place.write("tree/empty", "")?;
    place.write("tree/sub/dir/deep", noise(5000))?;
    for (n, size) in [4095, 4096, 4097, 1048575, 1048576, 1048577, 9_000_001]
        .into_iter()
        .enumerate()
    {
        place.write(&format!("tree/sizes/{n}"), noise(size))?;
    }
    fs::hard_link(place.path("tree/file"), place.path("tree/sub/second name"))?;
    symlink("/nowhere/at all", place.path("tree/dangling"))?;
    symlink("file", place.path("tree/link"))?;
    fs::hard_link(place.path("tree/link"), place.path("tree/link2"))?;
    let odd = OsStr::from_bytes(b"tree/not \xff UTF-8\n");
    fs::write(place.path(odd), "odd")?;
    let script = "
        set -e; cd tree
        mknod null c 1 3; mknod disk b 8 17; mkfifo fifo
        chown 1000:1001 file sub/dir; chown -h 5:6 dangling; chown 7:8 null
        chmod 4711 sub/dir/deep; chmod 1777 sub; chmod 0500 sub/dir; chmod 6000 empty
        setfattr -n user.colour -v green file; setfattr -n trusted.link -v x -h dangling
        setfattr -n user.dir -v 1 sub/dir
        setfacl -m u:5:r,g:6:rwx file; setfacl -d -m u:7:rwx sub
        touch -h -d '1960-01-02 03:04:05.987654321' link
        touch -d '2040-05-06 07:08:09.123456789' file
        touch -d '1950-01-01 00:00:00.000000001' sub/dir sub";
    tool("sh", |sh| {
        let dir = place.path("");
        sh.arg("-c").arg(script).current_dir(dir)
    })?;
    Ok(())
}

#[test]
fn round_trip() -> Outcome {
    let place = Place::new()?;
    make_tree(&place)?;
    let image = place.ext4("disk.img", 64 * MIB, &[])?;
    place.ok(&strings(&["cp", "-a", "tree", "disk.img:/"]))?;
    check_ext4(&image)?;
    place.ok(&strings(&["cp", "-a", "disk.img:/tree", "back"]))?;
    assert_eq!(
        manifest(&place.path("tree"))?,
        manifest(&place.path("back"))?
    );

    // Once more over what is there: the same result.
    place.ok(&strings(&["cp", "-a", "tree/.", "disk.img:/tree"]))?;
    place.ok(&strings(&["cp", "-a", "disk.img:/tree/.", "back"]))?;
    check_ext4(&image)?;
    assert_eq!(
        manifest(&place.path("tree"))?,
        manifest(&place.path("back"))?
    );
    Ok(())
}

#[test]
fn from_image_to_image() -> Outcome {
    let place = Place::new()?;
    make_tree(&place)?;
    place.ext4("one.img", 64 * MIB, &[])?;
    let two = place.ext4("two.img", 64 * MIB, &["-b", "1024"])?;
    place.ok(&strings(&["cp", "-a", "tree", "one.img:/here"]))?;
    place.ok(&strings(&["cp", "-a", "one.img:/here", "two.img:/there"]))?;
    // And within one image.
    place.ok(&strings(&["cp", "-a", "two.img:/there", "two.img:/again"]))?;
    place.ok(&strings(&["cp", "-a", "two.img:/again", "back"]))?;
    check_ext4(&two)?;
    assert_eq!(
        manifest(&place.path("tree"))?,
        manifest(&place.path("back"))?
    );
    Ok(())
}

/// Default ACLs and set-group-ID directories in the target change what is made
/// in them; a copy must not be changed.
#[test]
fn the_targets_inheritance_does_not_show() -> Outcome {
    let place = Place::new()?;
    make_tree(&place)?;
    place.ext4("disk.img", 64 * MIB, &[])?;
    place.write("strict/keep", "")?;
    tool("sh", |sh| {
        let script = "chown 0:9 strict; chmod 2755 strict; setfacl -d -m u:9:rwx strict";
        sh.arg("-c").arg(script).current_dir(place.path(""))
    })?;
    place.ok(&strings(&["cp", "-a", "strict", "disk.img:/"]))?;
    place.ok(&strings(&["cp", "-a", "tree", "disk.img:/strict"]))?;
    place.ok(&strings(&["cp", "-a", "disk.img:/strict/tree", "back"]))?;
    assert_eq!(
        manifest(&place.path("tree"))?,
        manifest(&place.path("back"))?
    );
    Ok(())
}

#[test]
fn sparse_files_stay_sparse() -> Outcome {
    let place = Place::new()?;
    let file = File::create(place.path("sparse"))?;
    file.set_len(300 * MIB)?;
    file.write_all_at(b"start", 0)?;
    file.write_all_at(&noise(10_000), 100 * MIB + 12_345)?;
    let small = File::create(place.path("small"))?;
    small.set_len(64 << 10)?;
    small.write_all_at(b"end", (64 << 10) - 3)?;
    let image = place.ext4("disk.img", 32 * MIB, &[])?;

    place.ok(&strings(&["cp", "sparse", "small", "disk.img:/"]))?;
    check_ext4(&image)?;
    place.ok(&strings(&["cp", "disk.img:/sparse", "sparse.out"]))?;
    place.ok(&strings(&["cp", "disk.img:/small", "small.out"]))?;
    for name in ["sparse", "small"] {
        let (old, new) = (place.path(name), place.path(format!("{name}.out")));
        assert!(fs::read(&old)? == fs::read(&new)?, "{name} differs");
        let blocks = new.metadata()?.blocks();
        assert!(blocks * 512 < 64 << 10, "{name} occupies {blocks} blocks");
    }
    Ok(())
}

/// What an ordinary user can't set on the host is no error, and not mentioned.
#[test]
fn out_as_an_ordinary_user() -> Outcome {
    let place = Place::for_anyone()?;
    make_tree(&place)?;
    // Device nodes can't be made either, which is an error, as with cp.
    fs::remove_file(place.path("tree/null"))?;
    fs::remove_file(place.path("tree/disk"))?;
    let image = place.ext4("disk.img", 64 * MIB, &[])?;
    place.ok(&strings(&["cp", "-a", "tree", "disk.img:/"]))?;
    for path in [place.path(""), image] {
        fs::set_permissions(path, Permissions::from_mode(0o777))?;
    }
    let drupe = command_for_anyone()?;
    succeeds(
        as_nobody()
            .arg(drupe.path())
            .args(["cp", "-a", "disk.img:/tree", "back"])
            .current_dir(place.path("")),
    )?;
    let (old, new) = (
        manifest(&place.path("tree"))?,
        manifest(&place.path("back"))?,
    );
    assert!(old.keys().eq(new.keys()));
    // Set-user-ID for another user than it was meant for would be a trap.
    let deep = place.path("back/sub/dir/deep").metadata()?;
    assert_eq!((deep.uid(), deep.mode() & 0o7777), (NOBODY, 0o711));
    let dangling = place.path("back/dangling").symlink_metadata()?;
    assert_eq!(dangling.uid(), NOBODY);
    Ok(())
}

/// A filesystem with times up to 2038: the kernel takes that for a later one, without an
/// error.
#[test]
fn times_out_of_range_are_told_once() -> Outcome {
    let place = Place::new()?;
    place.ext4("disk.img", 16 * MIB, &["-I", "128"])?;
    place.write("tree/sub/a", "")?;
    place.write("tree/sub/b", "")?;
    place.write("tree/old", "")?;
    let script = "touch -d '1970-01-01 UTC' tree/old; touch -d 2050-01-01 tree/sub/a tree/sub/b;
        touch -d '2037-12-31 UTC' tree/sub; tar --sort=name -cf a.tar tree; touch -h -d 2060-01-01 tree";
    tool("sh", |sh| {
        sh.arg("-c").arg(script).current_dir(place.path(""))
    })?;
    let warning = |files: &str| {
        format!(
            "drupe: warning: the target's filesystem cannot store {files}: the nearest time \
             that it can is set\n"
        )
    };
    for (args, files) in [
        (
            &["cp", "-a", "tree", "disk.img:/"][..],
            "the modification times of disk.img:/tree/sub/a and of 2 other files",
        ),
        (
            &["untar", "-f", "a.tar", "disk.img:/"],
            "the modification times of disk.img:/tree/sub/a and of another file",
        ),
        (
            &["cp", "--mtime", "2100-01-01", "a.tar", "disk.img:/"],
            "the modification time of disk.img:/a.tar",
        ),
    ] {
        let run = place.drupe(&strings(args))?;
        assert_eq!((run.code, &run.stderr), (Some(0), &warning(files)));
    }
    let time = place.ok(&strings(&["stat", "-c", "%Y", "disk.img:/tree/sub/a"]))?;
    assert_eq!(time, format!("{}\n", i32::MAX));
    place.ok(&strings(&["cp", "-a", "tree/old", "disk.img:/tree"]))?;
    Ok(())
}
