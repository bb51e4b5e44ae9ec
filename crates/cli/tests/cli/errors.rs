//! Errors: one clear line, the right exit code, and an unchanged image.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};

use super::harness::{Outcome, Place, check_ext4, digest, noise, strings, tool};

const SIZE: u64 = 16 << 20;

#[test]
fn no_such_image_or_no_image_at_all() -> Outcome {
    let place = Place::new()?;
    let line = place.fails(3, &strings(&["ls", "none.img:/"]))?;
    assert!(
        line.contains("none.img: No such file or directory"),
        "{line}"
    );
    place.write("text", "just text ".repeat(1000))?;
    let line = place.fails(3, &strings(&["ls", "text:/"]))?;
    assert!(
        line.contains("text: ") && line.contains("no filesystem"),
        "{line}"
    );
    // So small that the filesystems' own answers are ENOMEM and EIO.
    for (name, content) in [("empty", 0), ("tiny", 300), ("small", 1300)] {
        place.write(name, "x".repeat(content))?;
        let line = place.fails(3, &strings(&["ls", &format!("{name}:/")]))?;
        assert!(line.contains("no filesystem"), "{line}");
    }
    let line = place.fails(3, &strings(&["ls", ".:/"]))?;
    assert!(line.contains("is a directory"), "{line}");
    File::create(place.path("swap"))?.set_len(SIZE)?;
    tool("mkswap", |mkswap| mkswap.arg(place.path("swap")))?;
    let line = place.fails(3, &strings(&["ls", "swap:/"]))?;
    assert!(line.contains("holds swap, not a filesystem"), "{line}");
    Ok(())
}

#[test]
fn no_such_file() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", SIZE, &[])?;
    for command in ["ls", "cat"] {
        let line = place.fails(1, &strings(&[command, "d.img:/none"]))?;
        assert!(
            line.contains("/none: No such file or directory (ENOENT)"),
            "{line}"
        );
    }
    let line = place.fails(1, &strings(&["cat", "d.img:/"]))?;
    assert!(line.contains("Is a directory"), "{line}");
    Ok(())
}

#[test]
fn wrong_usage() -> Outcome {
    let place = Place::new()?;
    for args in [
        &["cp", "one"][..],
        &["frobnicate"],
        &["ls"],
        &["--memory", "3", "ls", "x"],
    ] {
        assert_eq!(place.drupe(&strings(args))?.code, Some(2), "{args:?}");
    }
    place.ext4("d.img", SIZE, &[])?;
    place.write("a", "")?;
    let line = place.fails(2, &strings(&["cp", "--read-only", "a", "d.img:/"]))?;
    assert!(line.contains("--read-only"), "{line}");
    Ok(())
}

#[test]
fn full_disk() -> Outcome {
    let place = Place::new()?;
    let image = place.ext4("d.img", 8 << 20, &[])?;
    place.write("tree/1 first", noise(100_000))?;
    place.write("tree/2 large", noise(20 << 20))?;
    let line = place.fails(1, &strings(&["cp", "-r", "tree", "d.img:/"]))?;
    assert!(
        line.contains("d.img:/tree/2 large: No space left on device"),
        "{line}"
    );
    check_ext4(&image)?;
    place.ok(&strings(&["cp", "-r", "d.img:/tree", "out"]))?;
    let names: Vec<_> = fs::read_dir(place.path("out"))?.collect::<Result<_, _>>()?;
    assert_eq!(names.len(), 1, "half a file is worse than none");
    let first = fs::read(place.path("out/1 first"))?;
    assert!(first == noise(100_000), "what was copied before is damaged");
    Ok(())
}

#[test]
fn many_small_files_on_a_full_disk() -> Outcome {
    let place = Place::new()?;
    let image = place.ext4("d.img", 4 << 20, &["-N", "100"])?;
    for n in 0..200 {
        place.write(&format!("tree/{n}"), "x")?;
    }
    let line = place.fails(1, &strings(&["cp", "-r", "tree", "d.img:/"]))?;
    assert!(line.contains("No space left on device"), "{line}");
    check_ext4(&image)
}

/// An image whose journal holds a change of a file's only block: "new" instead
/// of "old".
fn dirty(place: &Place) -> Outcome {
    let image = place.ext4("d.img", SIZE, &[])?;
    place.write("old", "old")?;
    place.write("new", "new")?;
    // A whole block: the journal knows nothing less.
    File::options()
        .write(true)
        .open(place.path("new"))?
        .set_len(1024)?;
    place.ok(&strings(&["cp", "old", "d.img:/file"]))?;
    let debugfs = |request: &str| {
        tool("debugfs", |debugfs| {
            debugfs.arg("-R").arg(request).arg(&image)
        })
    };
    let block = debugfs("blocks /file")?.trim().to_owned();
    let script = place.path("script");
    fs::write(&script, format!("jo\njw -b {block} new\njc\n"))?;
    tool("debugfs", |debugfs| {
        debugfs.arg("-w").arg("-f").arg(&script).arg(&image);
        // Its words end at spaces, which a path of ours may have.
        debugfs.current_dir(place.path(""))
    })?;
    assert!(debugfs("features")?.contains("needs_recovery"));
    Ok(())
}

#[test]
fn dirty_journal() -> Outcome {
    let place = Place::new()?;
    dirty(&place)?;
    let before = digest(&fs::read(place.path("d.img"))?);
    let line = place.fails(3, &strings(&["cat", "d.img:/file"]))?;
    assert!(
        line.contains("ext4 journal") && line.contains("--replay"),
        "{line}"
    );
    assert_eq!(
        place.ok(&strings(&["--replay", "cat", "d.img:/file"]))?,
        "new"
    );
    let after = digest(&fs::read(place.path("d.img"))?);
    assert_eq!(before, after, "reading has changed the image");
    // Writing replays it.
    place.ok(&strings(&["cp", "old", "d.img:/other"]))?;
    assert_eq!(place.ok(&strings(&["cat", "d.img:/file"]))?, "new");
    check_ext4(&place.path("d.img"))
}

#[test]
fn reading_changes_nothing() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", SIZE, &[])?;
    place.write("dir/a", "A")?;
    place.ok(&strings(&["cp", "-r", "dir", "d.img:/"]))?;
    let before = digest(&fs::read(place.path("d.img"))?);
    place.ok(&strings(&["info", "d.img"]))?;
    place.ok(&strings(&["ls", "-lR", "d.img"]))?;
    place.ok(&strings(&["cat", "d.img:/dir/a"]))?;
    place.ok(&strings(&["cp", "-a", "d.img:/dir", "out"]))?;
    assert_eq!(before, digest(&fs::read(place.path("d.img"))?));
    Ok(())
}

#[test]
fn damaged_superblock() -> Outcome {
    let place = Place::new()?;
    let image = place.ext4("d.img", SIZE, &[])?;
    let mut file = File::options().write(true).open(&image)?;
    // Everything but the magic number.
    file.seek(SeekFrom::Start(1024 + 58))?;
    file.write_all(&noise(900))?;
    let line = place.fails(3, &strings(&["ls", "d.img:/"]))?;
    assert!(line.starts_with("drupe: d.img: "), "{line}");
    place.ok(&strings(&["info", "d.img"]))?;
    Ok(())
}

#[test]
fn image_in_use() -> Outcome {
    let place = Place::new()?;
    let image = place.ext4("d.img", SIZE, &[])?;
    place.write("a", "A")?;
    let file = File::open(image)?;
    file.lock_shared()?;
    // Others may read it meanwhile, but not write.
    place.ok(&strings(&["ls", "d.img:/"]))?;
    let line = place.fails(3, &strings(&["cp", "a", "d.img:/"]))?;
    assert!(line.starts_with("drupe: d.img: "), "{line}");
    Ok(())
}

/// Every command that writes, on what can't be written.
#[test]
fn read_only_media() -> Outcome {
    let place = Place::new()?;
    place.write("tree/a", "A")?;
    tool("mksquashfs", |mksquashfs| {
        let tree = place.path("tree");
        mksquashfs.arg(tree).arg(place.path("s.img")).arg("-quiet")
    })?;
    tool("tar", |tar| {
        tar.args(["-cf", "a.tar", "tree"])
            .current_dir(place.path(""))
    })?;
    let before = digest(&fs::read(place.path("s.img"))?);
    for command in [
        "mkdir s.img:/d",
        "rm s.img:/a",
        "rm -rf s.img:/a",
        "mv s.img:/a s.img:/b",
        "ln -s x s.img:/l",
        "chmod 600 s.img:/a",
        "chown -R 5 s.img:/a",
        "touch s.img:/a",
        "truncate -s 0 s.img:/a",
        "write s.img:/b",
        "untar -f a.tar s.img:/",
        "cp tree/a s.img:/b",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        let line = place.fails(1, &strings(&words))?;
        assert!(
            line.contains("Read-only file system (EROFS)"),
            "{command}: {line}"
        );
    }
    assert_eq!(before, digest(&fs::read(place.path("s.img"))?));
    Ok(())
}

/// A filesystem that is larger than what it is on, and one that the kernel does
/// not know all of.
#[test]
fn cut_off_and_unknown() -> Outcome {
    let place = Place::new()?;
    let image = place.ext4("d.img", SIZE, &[])?;
    File::options()
        .write(true)
        .open(&image)?
        .set_len(SIZE / 2)?;
    let before = digest(&fs::read(&image)?);
    for command in [
        "ls d.img:/",
        "mkdir d.img:/x",
        "df d.img",
        "check-log d.img",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        let run = place.drupe(&strings(&words))?;
        assert_eq!(
            (run.code, run.stderr.lines().count()),
            (Some(3), 1),
            "{command}: {run:?}"
        );
        assert!(run.stderr.ends_with(": it was cut short\n"), "{run:?}");
    }
    assert_eq!(before, digest(&fs::read(&image)?));

    let image = place.ext4("u.img", SIZE, &["-O", "^metadata_csum"])?;
    let mut file = File::options().write(true).open(&image)?;
    // An incompatible feature (s_feature_incompat) that nobody has yet.
    file.seek(SeekFrom::Start(1024 + 0x63))?;
    file.write_all(&[0x40])?;
    let line = place.fails(3, &strings(&["rm", "-r", "u.img:/lost+found"]))?;
    assert!(line.starts_with("drupe: u.img: "), "{line}");
    let run = place.drupe(&strings(&["check-log", "u.img"]))?;
    assert!(
        run.code == Some(3) && run.stdout.contains("unsupported optional features"),
        "{run:?}"
    );
    Ok(())
}

/// The exit code tells, where nothing else can.
#[test]
fn a_standard_error_that_is_full() -> Outcome {
    let place = Place::new()?;
    let full = std::fs::File::options().write(true).open("/dev/full")?;
    let status = place
        .command()
        .args(["ls", "none.img:/"])
        .stderr(full)
        .status()?;
    assert_eq!(status.code(), Some(3));
    Ok(())
}

/// Slips of the keyboard, and habits of other programs: what to type instead.
#[test]
fn what_was_meant_is_hinted_at() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", SIZE, &[])?;
    place.write("f", "f")?;
    for (code, words, hint) in [
        (
            3,
            "ls d.img/etc",
            "a path in an image is written d.img:/etc",
        ),
        (3, "cat d.img@0/a/b", "a path in it is written d.img@0:/a/b"),
        (
            2,
            "cp f d.img/etc/f",
            "a path in an image is written d.img:/etc/f",
        ),
        (2, "rm d.img/f", "a path in an image is written d.img:/f"),
        (
            1,
            "mkdir d.img:/a/b",
            "-p makes the directories above it too",
        ),
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let told = place.fails(code, &strings(&words))?;
        assert!(
            told.ends_with(&format!("\nhint: {hint}\n")),
            "{words:?}: {told}"
        );
    }
    for (words, hint) in [
        (
            "tar -tf x.tar",
            "`tar -tf FILE` of the host lists an archive",
        ),
        ("tar -xf x.tar d.img:/", "`drupe untar -f FILE IMAGE:/PATH`"),
        ("untar -cf x.tar d.img:/", "`drupe tar -f FILE IMAGE:/PATH`"),
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let run = place.drupe(&strings(&words))?;
        assert_eq!(run.code, Some(2), "{run:?}");
        let last = run.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("hint: ") && last.contains(hint), "{run:?}");
    }
    // As tar(1) has it.
    place.ok(&strings(&["tar", "-cf", "x.tar", "d.img:/"]))?;
    place.ok(&strings(&["untar", "-xf", "x.tar", "d.img:/"]))?;
    let told = place.fails(1, &strings(&["umount", "d.img"]))?;
    assert!(
        told.contains("d.img: is a file that is not mounted"),
        "{told}"
    );
    Ok(())
}

#[test]
fn scripts_have_no_redirections() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", SIZE, &[])?;
    for (line, operator) in [
        ("echo x > f", ">"),
        ("ls >list", ">list"),
        ("ls | sort", "|"),
        ("ls && ls", "&&"),
    ] {
        place.write("script", line)?;
        let told = place.fails(2, &strings(&["script", "-i", "d.img", "script"]))?;
        let expected = format!(
            "drupe: script:1: {operator}: there are no redirections and no pipes here\nhint: "
        );
        assert!(told.starts_with(&expected), "{line}: {told}");
    }
    place.write(
        "script",
        "touch '>' \"a > b\" \\|\ntruncate -s >5 '>'\nls\n",
    )?;
    let told = place.ok(&strings(&["script", "-i", "d.img", "script"]))?;
    assert_eq!(told, ">\na > b\nlost+found\n|\n");
    Ok(())
}
