//! Where `cp` puts things: by the rules of cp(1).

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::harness::{Outcome, Place, check_ext4, command_in_shell, strings, tool};

const SIZE: u64 = 16 << 20;

fn place() -> Outcome<Place> {
    let place = Place::new()?;
    place.ext4("d.img", SIZE, &[])?;
    place.write("a", "A")?;
    place.write("b", "B")?;
    place.write("dir/c", "C")?;
    Ok(place)
}

/// The names in the image.
fn tree(place: &Place) -> Outcome<Vec<String>> {
    let list = place.ok(&strings(&["ls", "-R", "--json", "d.img:/"]))?;
    let files: Vec<serde_json::Value> = serde_json::from_str(&list)?;
    let paths = files.iter().filter_map(|file| file["path"].as_str());
    Ok(paths
        .filter(|path| *path != "/lost+found")
        .map(String::from)
        .collect())
}

#[test]
fn to_a_name_and_into_a_directory() -> Outcome {
    let place = place()?;
    place.ok(&strings(&["cp", "a", "d.img:/new"]))?;
    place.ok(&strings(&["cp", "a", "b", "d.img:/"]))?;
    place.ok(&strings(&["cp", "-r", "dir", "d.img:/"]))?;
    place.ok(&strings(&["cp", "-r", "dir", "d.img:/dir"]))?;
    place.ok(&strings(&["cp", "-r", "dir/.", "d.img:/dir/dir"]))?;
    place.ok(&strings(&["cp", "-r", "dir/", "d.img:/fresh/"]))?;
    assert_eq!(
        tree(&place)?,
        [
            "/a",
            "/b",
            "/dir",
            "/fresh",
            "/new",
            "/dir/c",
            "/dir/dir",
            "/dir/dir/c",
            "/fresh/c"
        ]
    );
    place.ok(&strings(&["cp", "b", "d.img:/a"]))?;
    assert_eq!(
        place.ok(&strings(&["cat", "d.img:/a", "d.img:/new"]))?,
        "BA"
    );
    check_ext4(&place.path("d.img"))
}

#[test]
fn out_to_the_host() -> Outcome {
    let place = place()?;
    place.ok(&strings(&["cp", "-r", "a", "dir", "d.img:/"]))?;
    place.ok(&strings(&["cp", "d.img:/a", "out"]))?;
    place.ok(&strings(&["cp", "d.img:/a", "."]))?;
    place.ok(&strings(&["cp", "-r", "d.img:/", "all"]))?;
    place.ok(&strings(&["cp", "-r", "d.img:/dir/.", "all"]))?;
    assert_eq!(
        (&*place.read("out")?, &*place.read("all/dir/c")?),
        ("A", "C")
    );
    assert_eq!(place.read("all/c")?, "C");
    // A name with a colon is still a file of the host.
    place.ok(&strings(&["cp", "d.img:/a", "./odd:name"]))?;
    place.ok(&strings(&["cp", "odd:name", "d.img:/odd"]))?;
    assert_eq!(place.ok(&strings(&["cat", "d.img:/odd"]))?, "A");
    Ok(())
}

#[test]
fn what_can_not_be() -> Outcome {
    let place = place()?;
    place.ok(&strings(&["cp", "-r", "a", "dir", "d.img:/"]))?;
    let line = place.fails(1, &strings(&["cp", "dir", "d.img:/x"]))?;
    assert!(line.contains("neither -r nor -a"), "{line}");
    let line = place.fails(1, &strings(&["cp", "a", "b", "d.img:/a"]))?;
    assert!(line.contains("is not a directory"), "{line}");
    let line = place.fails(1, &strings(&["cp", "a", "b", "d.img:/x"]))?;
    assert!(line.contains("is not a directory"), "{line}");
    let line = place.fails(2, &strings(&["cp", "a", "b"]))?;
    assert!(line.contains("IMAGE:/PATH"), "{line}");
    let line = place.fails(1, &strings(&["cp", "a", "d.img:/x/y"]))?;
    assert!(line.contains("d.img:/x: No such file"), "{line}");
    let line = place.fails(1, &strings(&["cp", "a", "d.img:/a/"]))?;
    assert!(line.contains("ot a directory"), "{line}");
    place.write("name/c", "")?;
    place.ok(&strings(&["cp", "a", "d.img:/name"]))?;
    let line = place.fails(1, &strings(&["cp", "-r", "name", "d.img:/"]))?;
    assert!(line.contains("exists and is not a directory"), "{line}");
    let line = place.fails(1, &strings(&["cp", "-r", "d.img:/dir", "d.img:/dir/sub"]))?;
    assert!(line.contains("into itself"), "{line}");
    let line = place.fails(1, &strings(&["cp", "d.img:/a", "d.img:/a"]))?;
    assert!(line.contains("onto or into itself"), "{line}");
    assert_eq!(place.ok(&strings(&["cat", "d.img:/a"]))?, "A");
    check_ext4(&place.path("d.img"))
}

/// One failure does not keep the others from being copied.
#[test]
fn goes_on_after_a_failure() -> Outcome {
    let place = place()?;
    place.ok(&strings(&["cp", "-r", "dir", "d.img:/b"]))?;
    let line = place.fails(1, &strings(&["cp", "a", "missing", "d.img:/"]))?;
    assert!(line.contains("open missing: No such file"), "{line}");
    let line = place.fails(1, &strings(&["cp", "b", "a", "d.img:/"]))?;
    assert!(
        line.contains("replace d.img:/b: it is a directory"),
        "{line}"
    );
    assert_eq!(
        place.ok(&strings(&["cat", "d.img:/a", "d.img:/b/c"]))?,
        "AC"
    );
    Ok(())
}

#[test]
fn links_are_followed_or_kept_but_not_written_through() -> Outcome {
    let place = place()?;
    symlink("a", place.path("link"))?;
    place.ok(&strings(&["cp", "link", "d.img:/followed"]))?;
    place.ok(&strings(&["cp", "-r", "link", "d.img:/kept"]))?;
    let list = place.ok(&strings(&["ls", "-l", "d.img:/"]))?;
    assert!(list.contains("kept -> a\n"), "{list}");
    assert_eq!(place.ok(&strings(&["cat", "d.img:/followed"]))?, "A");
    let line = place.fails(1, &strings(&["cp", "b", "d.img:/kept"]))?;
    assert!(line.contains("leads nowhere"), "{line}");

    // A link in the target to somewhere else, where the source has a file.
    place.write("victim", "unharmed")?;
    fs::create_dir(place.path("out"))?;
    symlink(place.path("victim"), place.path("out/a"))?;
    place.ok(&strings(&["cp", "a", "d.img:/a"]))?;
    place.ok(&strings(&["cp", "d.img:/a", "out"]))?;
    assert_eq!(
        (&*place.read("victim")?, &*place.read("out/a")?),
        ("unharmed", "A")
    );
    Ok(())
}

#[test]
fn permissions_without_archive() -> Outcome {
    let place = place()?;
    for (name, mode) in [("a", 0o4755), ("b", 0o400), ("dir", 0o555)] {
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(mode))?;
    }
    let drupe = command_in_shell()?;
    let run = |command: &str| {
        tool("sh", |sh| {
            let script = format!("umask 027; {drupe} {command}");
            sh.arg("-c").arg(script).current_dir(place.path(""))
        })
    };
    run("cp -r a b dir d.img:/")?;
    let list = place.ok(&strings(&["ls", "-l", "d.img:/"]))?;
    for line in ["-rwxr-x--- ", "-r-------- ", "dr-xr-x--- "] {
        assert!(list.contains(line), "{line} is not in {list}");
    }
    run("cp -r d.img:/dir out")?;
    let mode = place.path("out").metadata()?.permissions().mode();
    assert_eq!(mode & 0o7777, 0o550);
    Ok(())
}

/// Two sources with one name in the target: the first one stays, and the other is told.
#[test]
fn names_that_are_one_in_the_target() -> Outcome {
    let place = Place::new()?;
    place.ext4("e.img", 16 << 20, &[])?;
    let vfat = place.path("v.img");
    std::fs::File::create(&vfat)?.set_len(64 << 20)?;
    tool("mkfs.vfat", |mkfs| mkfs.arg(&vfat))?;
    for (path, text) in [
        ("a/x", "a"),
        ("b/x", "b"),
        ("t/in/Aa", "1"),
        ("t/in/aA", "2"),
        ("t/Dir/f", "3"),
        ("t/dIR/g", "4"),
    ] {
        place.write(path, text)?;
    }
    let told = place.fails(1, &["cp", "a/x", "b/x", "e.img:/"])?;
    assert!(told.contains("just been copied"), "{told}");
    assert_eq!(place.ok(&["cat", "e.img:/x"])?, "a");
    place.ok(&["cp", "b/x", "e.img:/"])?;
    assert_eq!(place.ok(&["cat", "e.img:/x"])?, "b");
    place.ok(&["cp", "-r", "t", "e.img:/"])?;
    let run = place.drupe(&["cp", "-r", "t", "v.img:/"])?;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(run.stderr.matches("just been copied").count(), 2, "{run:?}");
    let run = place.drupe(&["cp", "-r", "t/in/.", "v.img:/"])?;
    assert_eq!(run.stderr.matches("just been copied").count(), 1, "{run:?}");
    Ok(())
}

/// A symbolic link is not put in the place of what it leads to.
#[test]
fn a_link_to_itself() -> Outcome {
    let place = Place::new()?;
    place.ext4("e.img", 16 << 20, &[])?;
    place.write("f", "contents")?;
    place.ok(&["cp", "f", "e.img:/f"])?;
    for target in ["f", "./f", "/f"] {
        let told = place.fails(1, &["ln", "-sf", target, "e.img:/f"])?;
        assert!(told.contains("the same file"), "{told}");
    }
    assert_eq!(place.ok(&["cat", "e.img:/f"])?, "contents");
    place
        .ok(&["ln", "-sf", "g", "e.img:/f"])
        .map(|printed| assert!(printed.is_empty()))
}
