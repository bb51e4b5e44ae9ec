//! Commands about a whole filesystem: subvolumes, snapshots, labels, UUIDs, scrub.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::harness::{Outcome, Place, check_ext4, tool};

fn made(place: &Place, name: &str, size: u64, mkfs: &[&str]) -> Outcome {
    let image = place.path(name);
    File::create(&image)?.set_len(size)?;
    tool(mkfs[0], |tool| tool.args(&mkfs[1..]).arg(&image))?;
    Ok(())
}

#[test]
fn subvolumes_and_snapshots() -> Outcome {
    let place = Place::new()?;
    made(&place, "b.img", 128 << 20, &["mkfs.btrfs", "-q"])?;
    place.ok(&["subvolume", "create", "b.img:/a", "b.img:/b"])?;
    place.ok(&["mkdir", "b.img:/a/dir"])?;
    place.ok(&["subvolume", "create", "b.img:/a/dir/inner"])?;
    place.write("f", "first")?;
    place.ok(&["cp", "f", "b.img:/a/f"])?;
    place.ok(&["snapshot", "-r", "b.img:/a", "b.img:/snap"])?;
    place.write("f", "second")?;
    place.ok(&["cp", "f", "b.img:/a/f"])?;
    // In a directory, it has the name of its source.
    place.ok(&["snapshot", "b.img:/a", "b.img:/b"])?;
    assert_eq!(place.ok(&["cat", "b.img:/snap/f"])?, "first");
    assert_eq!(place.ok(&["cat", "b.img:/b/a/f"])?, "second");
    let line = place.fails(1, &["touch", "b.img:/snap/f"])?;
    assert!(line.contains("EROFS"), "{line}");

    let found: serde_json::Value =
        serde_json::from_str(&place.ok(&["subvolume", "list", "--json", "b.img"])?)?;
    let found: Vec<(&str, bool)> = found
        .as_array()
        .ok_or("an array")?
        .iter()
        .map(|one| {
            let path = one["path"].as_str().unwrap_or_default();
            (path, one["read_only"] == true)
        })
        .collect();
    let wanted = [
        ("a", false),
        ("b", false),
        ("a/dir/inner", false),
        ("snap", true),
        ("b/a", false),
    ];
    assert_eq!(found, wanted);
    let text = place.ok(&["subvolume", "list", "b.img"])?;
    assert!(text.starts_with("ID 256 gen "), "{text}");
    assert!(text.contains(" top level 256 path a/dir/inner\n"), "{text}");
    // Mounted by the number that is listed.
    assert_eq!(place.ok(&["ls", "b.img@,subvolid=257:/"])?, "a\n");

    let line = place.fails(1, &["subvolume", "delete", "b.img:/a"])?;
    assert!(line.contains("another subvolume is in it"), "{line}");
    place.ok(&["subvolume", "delete", "b.img:/a/dir/inner", "b.img:/a"])?;
    assert_eq!(place.ok(&["ls", "b.img:/"])?, "b\nsnap\n");
    let line = place.fails(1, &["subvolume", "delete", "b.img:/b/none"])?;
    assert!(line.contains("ENOENT"), "{line}");
    tool("btrfs", |check| {
        check.args(["check", "-q"]).arg(place.path("b.img"))
    })?;

    place.ext4("e.img", 16 << 20, &[])?;
    let line = place.fails(1, &["subvolume", "create", "e.img:/a"])?;
    assert!(line.contains("no btrfs"), "{line}");
    let line = place.fails(2, &["snapshot", "e.img:/", "b.img:/x"])?;
    assert!(line.contains("not on the same filesystem"), "{line}");
    Ok(())
}

#[test]
fn labels_and_uuids() -> Outcome {
    let place = Place::new()?;
    place.ext4("ext4.img", 16 << 20, &["-O", "metadata_csum_seed"])?;
    made(&place, "xfs.img", 300 << 20, &["mkfs.xfs", "-q"])?;
    made(&place, "btrfs.img", 128 << 20, &["mkfs.btrfs", "-q"])?;
    made(&place, "f2fs.img", 64 << 20, &["mkfs.f2fs", "-q"])?;
    for kind in ["ext4", "xfs", "btrfs", "f2fs"] {
        let image = format!("{kind}.img");
        assert_eq!(place.ok(&["label", &image])?, "\n", "{kind}");
        place.ok(&["label", &image, "new name"])?;
        assert_eq!(place.ok(&["label", &image])?, "new name\n", "{kind}");
        let blkid = tool("blkid", |blkid| {
            blkid
                .args(["-p", "-o", "value", "-s", "LABEL"])
                .arg(place.path(&image))
        })?;
        assert_eq!(blkid, "new name\n", "{kind}");
    }
    let uuid = "01234567-89ab-cdef-0123-456789abcdef";
    place.ok(&["uuid", "ext4.img", uuid])?;
    assert_eq!(place.ok(&["uuid", "ext4.img"])?, format!("{uuid}\n"));
    place.ok(&["uuid", "ext4.img", "random"])?;
    let random = place.ok(&["uuid", "ext4.img"])?;
    assert_ne!(random, format!("{uuid}\n"));
    check_ext4(&place.path("ext4.img"))?;

    let line = place.fails(1, &["uuid", "xfs.img", uuid])?;
    assert!(
        line.contains("the kernel cannot set the UUID of xfs"),
        "{line}"
    );
    assert!(line.contains("xfs_admin -U"), "{line}");
    let line = place.fails(1, &["label", "xfs.img", "longer than twelve"])?;
    assert!(line.contains("does not take this label"), "{line}");
    made(&place, "fat.img", 8 << 20, &["mkfs.vfat"])?;
    let line = place.fails(1, &["label", "fat.img", "X"])?;
    assert!(line.contains("fatlabel"), "{line}");
    let run = place.drupe(&["uuid", "ext4.img", "1234"])?;
    assert_eq!(run.code, Some(2), "{run:?}");
    Ok(())
}

#[test]
fn scrub_finds_what_is_damaged() -> Outcome {
    let place = Place::new()?;
    made(
        &place,
        "b.img",
        128 << 20,
        &["mkfs.btrfs", "-q", "-M", "-m", "single"],
    )?;
    let text = "drupe scrubs this. ".repeat(4096);
    place.write("f", &text)?;
    place.ok(&["cp", "f", "b.img:/f"])?;
    let said = place.ok(&["scrub", "b.img"])?;
    assert!(said.ends_with("bytes read, no errors\n"), "{said}");

    let bytes = std::fs::read(place.path("b.img"))?;
    let at = bytes
        .windows(200)
        .position(|part| part == &text.as_bytes()[..200]);
    let image = File::options().write(true).open(place.path("b.img"))?;
    image.write_all_at(b"D", at.ok_or("its data is in the image")? as u64)?;
    let run = place.drupe(&["scrub", "b.img"])?;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stdout.contains("csum=1 "), "{run:?}");
    assert!(run.stdout.contains("uncorrectable=1"), "{run:?}");
    place.ext4("e.img", 16 << 20, &[])?;
    let line = place.fails(1, &["scrub", "e.img"])?;
    assert!(line.contains("check-log"), "{line}");
    Ok(())
}
