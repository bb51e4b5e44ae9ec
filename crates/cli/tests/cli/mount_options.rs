//! Mount options: `-o`, and those in a location.

use super::harness::{Outcome, Place, tool};

/// A btrfs with the subvolumes `@home` and `plain`, each with a file.
fn btrfs(place: &Place) -> Outcome {
    place.write("tree/@home/mine", "m")?;
    place.write("tree/plain/other", "o")?;
    let image = place.path("b.img");
    std::fs::File::create(&image)?.set_len(128 << 20)?;
    tool("mkfs.btrfs", |mkfs| mkfs.arg("-q").arg(&image))?;
    place.ok(&["subvolume", "create", "b.img:/@home"])?;
    place.ok(&["subvolume", "create", "b.img:/plain"])?;
    place.ok(&["cp", "tree/@home/mine", "b.img:/@home/"])?;
    place.ok(&["cp", "tree/plain/other", "b.img:/plain/"])?;
    Ok(())
}

#[test]
fn subvolumes() -> Outcome {
    let place = Place::new()?;
    btrfs(&place)?;
    assert_eq!(
        place.ok(&["ls", "-o", "subvol=@home", "b.img:/"])?,
        "mine\n"
    );
    assert_eq!(place.ok(&["ls", "b.img@0,subvol=@home:/"])?, "mine\n");
    assert_eq!(place.ok(&["ls", "b.img@,subvol=/@home:/"])?, "mine\n");
    // Two of them, and written to.
    place.ok(&[
        "cp",
        "b.img@,subvol=@home:/mine",
        "b.img@,subvol=plain:/mine",
    ])?;
    assert_eq!(place.ok(&["ls", "b.img:/plain"])?, "mine\nother\n");
    // Two ways to one file.
    let line = place.fails(1, &["cp", "b.img:/@home/mine", "b.img@,subvol=@home:/mine"])?;
    assert!(line.contains("onto or into itself"), "{line}");
    place.ok(&["mkdir", "b.img:/plain/dir"])?;
    let line = place.fails(
        1,
        &["cp", "-r", "b.img:/plain/dir", "b.img@,subvol=plain:/dir/x"],
    )?;
    assert!(line.contains("onto or into itself"), "{line}");
    let line = place.fails(3, &["ls", "b.img@,subvol=none:/"])?;
    assert!(
        line.contains("b.img@0,subvol=none") || line.contains("b.img@,subvol=none"),
        "{line}"
    );
    Ok(())
}

#[test]
fn read_only() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 16 << 20, &[])?;
    let line = place.fails(1, &["mkdir", "-o", "ro", "d.img:/a"])?;
    assert!(line.contains("EROFS"), "{line}");
    let line = place.fails(1, &["mkdir", "d.img@,ro:/a"])?;
    assert!(line.contains("EROFS"), "{line}");
    let line = place.fails(3, &["ls", "-o", "nonsense", "d.img:/"])?;
    assert!(line.contains("nonsense"), "{line}");
    // The expression of find has an -o of its own.
    let found = place.ok(&[
        "find", "-o", "noatime", "d.img:/", "-name", "a", "-o", "-name", "lost*",
    ])?;
    assert_eq!(found, "/lost+found\n");
    Ok(())
}
