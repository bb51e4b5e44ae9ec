//! The numbered statements of `docs/promises.md` about existing files.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use drupe_testing::skipped;

use super::harness::{Outcome, Place, as_nobody, check_ext4, noise, strings, succeeds, tool};

/// Names in a directory of the host, sorted.
fn names(dir: &Path) -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Promise 1: a copy that cannot be completed leaves what was there.
#[test]
fn an_old_file_outlives_a_copy_that_fails() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 32 << 20, &[])?;
    place.write("old", "precious")?;
    place.ok(&strings(&["cp", "old", "d.img:/f"]))?;
    place.write("big", noise(60 << 20))?;
    let full = place.fails(1, &strings(&["cp", "big", "d.img:/f"]))?;
    assert!(full.contains("ENOSPC"), "{full}");
    assert_eq!(place.ok(&strings(&["cat", "d.img:/f"]))?, "precious");
    assert_eq!(place.ok(&strings(&["ls", "d.img:/"]))?, "f\nlost+found\n");
    check_ext4(&place.path("d.img"))
}

/// Promise 1: `write` and `ln -f` replace in one step; `write --append` adds all or
/// nothing.
#[test]
fn write_and_ln_keep_what_was_there() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 32 << 20, &[])?;
    place.write("old", "precious")?;
    place.ok(&strings(&["cp", "old", "d.img:/f"]))?;
    place.ok(&strings(&["chmod", "640", "d.img:/f"]))?;
    place.ok(&strings(&["ln", "-s", "f", "d.img:/link"]))?;
    place.write("big", noise(60 << 20))?;
    let from = |file: &str, words: &[&str]| -> Outcome<(Option<i32>, String)> {
        let mut command = place.command();
        let stdin = fs::File::open(place.path(file))?;
        let output = command.args(words).stdin(stdin).output()?;
        let line = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((output.status.code(), line))
    };
    for words in [
        &["write", "d.img:/f"][..],
        &["write", "d.img:/link"],
        &["write", "-a", "d.img:/f"],
        &["write", "d.img:/new"],
        &["write", "-a", "d.img:/new"],
    ] {
        let (code, line) = from("big", words)?;
        assert_eq!(code, Some(1), "{words:?} {line}");
        assert!(line.contains("ENOSPC"), "{line}");
        assert_eq!(place.ok(&strings(&["cat", "d.img:/f"]))?, "precious");
    }
    place.ok(&strings(&["ln", "d.img:/f", "d.img:/other"]))?;
    place.write("short", "short")?;
    assert_eq!(from("short", &["write", "d.img:/link"])?.0, Some(0));
    assert_eq!(from("short", &["write", "-a", "d.img:/f"])?.0, Some(0));
    let cat = |path: &str| place.ok(&strings(&["cat", path]));
    assert_eq!(
        cat("d.img:/f")? + &cat("d.img:/other")?,
        "shortshortprecious"
    );
    let mode = place.ok(&strings(&["stat", "-c", "%a", "d.img:/f"]))?;
    assert_eq!(mode, "640\n");

    let long = "x".repeat(5000);
    let line = place.fails(1, &strings(&["ln", "-sf", &long, "d.img:/other"]))?;
    assert!(line.contains("ENAMETOOLONG"), "{line}");
    assert_eq!(cat("d.img:/other")?, "precious");
    place.ok(&strings(&["ln", "-f", "d.img:/f", "d.img:/other"]))?;
    place.ok(&strings(&["ln", "-f", "d.img:/f", "d.img:/other"]))?;
    assert_eq!(cat("d.img:/other")?, "shortshort");
    let names = place.ok(&strings(&["ls", "-a", "d.img:/"]))?;
    assert_eq!(names, "f\nlink\nlost+found\nother\n");
    check_ext4(&place.path("d.img"))
}

/// Promise 1: `untar` puts no file in the place of an empty directory, nor a directory in
/// that of a file, before it has it.
#[test]
fn untar_keeps_what_was_there() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 32 << 20, &[])?;
    place.ok(&strings(&["mkdir", "d.img:/empty"]))?;
    place.write("a/empty", noise(60 << 20))?;
    tool("tar", |tar| {
        tar.current_dir(place.path("a"))
            .args(["-cf", "../a.tar", "empty"])
    })?;
    let line = place.fails(1, &strings(&["untar", "-f", "a.tar", "d.img:/"]))?;
    assert!(line.contains("ENOSPC"), "{line}");
    let kind = |path: &str| place.ok(&strings(&["stat", "-c", "%F", path]));
    assert_eq!(kind("d.img:/empty")?, "directory\n");
    place.write("a/empty", "now a file")?;
    fs::create_dir(place.path("a/file"))?;
    place.write("f", "x")?;
    place.ok(&strings(&["cp", "f", "d.img:/file"]))?;
    tool("tar", |tar| {
        tar.current_dir(place.path("a"))
            .args(["-cf", "../b.tar", "empty", "file"])
    })?;
    place.ok(&strings(&["untar", "-f", "b.tar", "d.img:/"]))?;
    assert_eq!(kind("d.img:/empty")?, "regular file\n");
    assert_eq!(kind("d.img:/file")?, "directory\n");
    check_ext4(&place.path("d.img"))
}

/// Promise 2: output that cannot be written is an error.
#[test]
fn a_full_output_is_told() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 32 << 20, &[])?;
    place.write("f", "x")?;
    place.ok(&strings(&["cp", "f", "d.img:/f"]))?;
    let image = "d.img";
    for words in [
        &["info", image][..],
        &["info", "--json", image],
        &["ls", image],
        &["ls", "-l", "--json", image],
        &["cat", "d.img:/f"],
        &["tree", image],
        &["stat", "d.img:/f"],
        &["df", image],
        &["du", image],
        &["find", image],
        &["fstrim", "-v", image],
        &["tar", "d.img:/"],
        &["tar", "-f", "/dev/full", "d.img:/"],
        &["cp", "d.img:/f", "/dev/full"],
        &["man"],
        &["completions", "bash"],
        &["--help"],
        &["cp", "--help"],
        &["--version"],
    ] {
        let full = fs::File::options().write(true).open("/dev/full")?;
        let output = place.command().args(words).stdout(full).output()?;
        let line = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {line}");
        assert!(
            line.contains("No space left on device"),
            "{words:?}: {line}"
        );
        assert!(!line.contains("panicked"), "{words:?}: {line}");
        let which = match words.contains(&"/dev/full") {
            true => "/dev/full",
            false => "standard output",
        };
        assert!(line.contains(which), "{words:?}: {line}");
        if words.contains(&"/dev/full") {
            continue;
        }
        // Whoever has read enough is no error.
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let output = place.command().args(words).stdout(writer).output()?;
        assert_eq!(output.status.code(), Some(0), "{words:?}: {output:?}");
    }
    Ok(())
}

/// Promise 2: what the host has no room for shows when the image is closed, at the latest.
#[test]
fn a_full_host_is_told() -> Outcome {
    if !is_root() {
        skipped("it needs root");
        return Ok(());
    }
    let place = Place::new()?;
    place.write("f", noise(3 << 20))?;
    fs::create_dir(place.path("small"))?;
    // It fits the image, whose file is sparse, and not the filesystem of the host.
    let script = "mount -t tmpfs -o size=2M none small && truncate -s 64M small/d.img && \
                  /sbin/mkfs.ext4 -q small/d.img && cp small/d.img small/e.img && \
                  ! \"$DRUPE\" write small/d.img:/f < f; rm small/d.img; \
                  \"$DRUPE\" cp f small/e.img:/f || test $? = 3";
    let mut unshare = Command::new("unshare");
    unshare
        .args(["-m", "sh", "-ec", script])
        .env("DRUPE", env!("CARGO_BIN_EXE_drupe"))
        .current_dir(place.path("."));
    let output = unshare.output()?;
    let line = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}");
    assert!(
        line.contains("d.img: the image may be incomplete"),
        "{line}"
    );
    Ok(())
}

/// Promise 1, on the host: a filesystem that is full.
#[test]
fn an_old_file_of_the_host_outlives_a_full_disk() -> Outcome {
    if !is_root() {
        skipped("it needs root");
        return Ok(());
    }
    let place = Place::new()?;
    place.ext4("d.img", 64 << 20, &[])?;
    place.write("big", noise(20 << 20))?;
    place.ok(&strings(&["cp", "big", "d.img:/big"]))?;
    fs::create_dir(place.path("small"))?;
    // In a namespace of its own: it ends with the command.
    let script = "mount -t tmpfs -o size=4M none small && echo precious > small/f && \
                  ! \"$DRUPE\" cp d.img:/big small/f && \
                  ! \"$DRUPE\" tar -f small/f d.img:/ && \
                  cat small/f && ls -A small";
    let mut unshare = Command::new("unshare");
    unshare
        .args(["-m", "sh", "-ec", script])
        .env("DRUPE", env!("CARGO_BIN_EXE_drupe"))
        .current_dir(place.path("."));
    assert_eq!(succeeds(&mut unshare)?, "precious\nf\n");
    Ok(())
}

/// Promise 1: what replaces a file has its permissions and owners, unless told
/// otherwise, and other names of the old one keep that.
#[test]
fn what_replaces_a_file_is_as_it_was() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 64 << 20, &[])?;
    for (name, size) in [("small", 5), ("large", 3 << 20)] {
        place.write("old", "precious")?;
        let old = format!("d.img:/{name}");
        place.ok(&strings(&["cp", "old", &old]))?;
        place.ok(&strings(&["chmod", "640", &old]))?;
        place.ok(&strings(&["chown", "7:8", &old]))?;
        let other = format!("d.img:/{name}.other");
        place.ok(&strings(&["ln", &old, &other]))?;
        let contents = noise(size);
        place.write("new", &contents)?;
        place.ok(&strings(&["cp", "new", &old]))?;
        let stat = place.ok(&strings(&["stat", "--json", &old]))?;
        for field in [
            "\"mode\":\"0640\"".to_owned(),
            "\"uid\":7".to_owned(),
            "\"gid\":8".to_owned(),
            format!("\"size\":{size}"),
        ] {
            assert!(stat.replace(' ', "").contains(&field), "{field}: {stat}");
        }
        assert_eq!(place.ok(&strings(&["cat", &other]))?, "precious");
        place.ok(&strings(&["cp", &old, "back"]))?;
        assert!(fs::read(place.path("back"))? == contents);
    }
    check_ext4(&place.path("d.img"))
}

/// Promise 1: a file is not copied onto itself, whatever it is called.
#[test]
fn the_same_file_is_refused() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 64 << 20, &[])?;
    place.write("big", noise(5 << 20))?;
    place.ok(&strings(&["cp", "big", "d.img:/big"]))?;
    place.ok(&strings(&["ln", "d.img:/big", "d.img:/hard"]))?;
    place.ok(&strings(&["ln", "-s", "big", "d.img:/soft"]))?;
    place.ok(&strings(&["mkdir", "d.img:/dir"]))?;
    fs::hard_link(place.path("d.img"), place.path("same.img"))?;
    for (from, to) in [
        ("d.img:/big", "d.img:/hard"),
        ("d.img:/hard", "d.img:/big"),
        ("d.img:/big", "d.img:/big"),
        ("d.img:/big", "d.img:/soft"),
        ("d.img:/soft", "d.img:/dir/../big"),
        ("d.img:/big", "same.img:/hard"),
    ] {
        let line = place.fails(1, &strings(&["cp", from, to]))?;
        assert!(
            line.contains("same file") || line.contains("itself"),
            "{line}"
        );
        let size = place.ok(&strings(&["cat", "d.img:/hard"]))?.len();
        assert!(size > 1 << 20, "{from} {to}: {size}");
    }
    check_ext4(&place.path("d.img"))
}

/// Promise 1: an archive takes its name when it is complete.
#[test]
fn an_old_archive_outlives_what_fails() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 64 << 20, &[])?;
    for source in ["d.img@9:/x", "nosuch.img:/", "d.img:/nosuch"] {
        place.write("backup.tar", "keep")?;
        let run = place.drupe(&strings(&["tar", "-f", "backup.tar", source]))?;
        assert_ne!(run.code, Some(0), "{run:?}");
        assert_eq!(place.read("backup.tar")?, "keep", "{source}");
    }
    assert_eq!(names(&place.path("."))?, ["backup.tar", "d.img"]);
    fs::set_permissions(place.path("backup.tar"), PermissionsExt::from_mode(0o600))?;
    place.ok(&strings(&["tar", "-f", "backup.tar", "d.img:/"]))?;
    let new = fs::metadata(place.path("backup.tar"))?;
    assert_eq!((new.mode() & 0o777, new.len() > 4), (0o600, true));
    Ok(())
}

/// Promise 1: a disk image is not overwritten by whoever forgets a colon.
#[test]
fn disk_images_are_not_overwritten() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 64 << 20, &[])?;
    place.write("f", "hello")?;
    place.ok(&strings(&["cp", "f", "d.img:/f"]))?;
    place.ext4("ext4.img", 8 << 20, &[])?;
    for (name, table) in [
        ("gpt.img", "label: gpt"),
        ("mbr.img", "label: dos\nsize=1M"),
    ] {
        fs::File::create(place.path(name))?.set_len(8 << 20)?;
        let script = "printf '%s\n' \"$1\" | /sbin/sfdisk -q \"$2\"";
        tool("sh", |sh| {
            sh.args(["-c", script, "sh", table]).arg(place.path(name))
        })?;
    }
    tool("qemu-img", |qemu| {
        qemu.args(["create", "-q", "-f", "qcow2"])
            .arg(place.path("q.qcow2"))
            .arg("8M")
    })?;
    fs::hard_link(place.path("d.img"), place.path("hard.img"))?;
    std::os::unix::fs::symlink("ext4.img", place.path("link"))?;
    for image in [
        "ext4.img", "gpt.img", "mbr.img", "q.qcow2", "link", "hard.img", "d.img",
    ] {
        let before = fs::read(place.path(image))?;
        for command in [
            strings(&["cp", "d.img:/f", image]),
            strings(&["tar", "-f", image, "d.img:/"]),
        ] {
            let line = place.fails(1, &command)?;
            assert!(line.contains("image"), "{line}");
        }
        assert!(fs::read(place.path(image))? == before, "{image}");
    }
    let line = place.fails(
        1,
        &strings(&["tar", "--force", "-f", "hard.img", "d.img:/"]),
    )?;
    assert!(line.contains("the image itself"), "{line}");
    place.ok(&strings(&["cp", "--force", "d.img:/f", "ext4.img"]))?;
    assert_eq!(place.read("ext4.img")?, "hello");
    place.ok(&strings(&["tar", "--force", "-f", "gpt.img", "d.img:/"]))?;
    Ok(())
}

/// Promise 1: devices and FIFOs are written into.
#[test]
fn devices_and_fifos_are_written_into() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 64 << 20, &[])?;
    let large = noise(3 << 20);
    place.write("f", &large)?;
    place.ok(&strings(&["cp", "f", "d.img:/f"]))?;
    tool("mkfifo", |mkfifo| mkfifo.arg(place.path("fifo")))?;
    for command in [
        strings(&["cp", "d.img:/f", "fifo"]),
        strings(&["tar", "-f", "fifo", "d.img:/", "f"]),
    ] {
        let child = place.command().args(&command).spawn()?;
        let read = fs::read(place.path("fifo"))?;
        assert!(child.wait_with_output()?.status.success());
        // In the archive it is behind headers.
        let at = |start: usize| read.get(start..start + large.len()) == Some(&large[..]);
        assert!(
            (0..8).any(|header| at(header * 512)),
            "{} bytes",
            read.len()
        );
        let kind = fs::symlink_metadata(place.path("fifo"))?.file_type();
        assert!(kind.is_fifo());
    }
    if is_root() {
        let null = place.path("null");
        tool("mknod", |mknod| mknod.arg(&null).args(["c", "1", "3"]))?;
        place.ok(&strings(&["cp", "d.img:/f", "null"]))?;
        assert!(fs::symlink_metadata(&null)?.file_type().is_char_device());
    } else {
        skipped("device nodes need root");
    }
    Ok(())
}

/// Promise 1: `-n`, `-i`, `-b` and `--backup` as with coreutils.
#[test]
fn options_of_replacing() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 64 << 20, &[])?;
    place.write("one", "one")?;
    place.write("two", "two")?;
    place.ok(&strings(&["cp", "one", "d.img:/f"]))?;
    place.ok(&strings(&["cp", "-n", "two", "d.img:/f"]))?;
    assert_eq!(place.ok(&strings(&["cat", "d.img:/f"]))?, "one");

    let ask = |answer: &str| -> Outcome<String> {
        place.write("answer", answer)?;
        let stdin = fs::File::open(place.path("answer"))?;
        let output = place
            .command()
            .args(["cp", "-i", "two", "d.img:/f"])
            .stdin(Stdio::from(stdin))
            .output()?;
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("overwrite"));
        place.ok(&strings(&["cat", "d.img:/f"]))
    };
    assert_eq!(ask("n\n")?, "one");
    assert_eq!(ask("")?, "one");
    assert_eq!(ask("yes\n")?, "two");

    place.ok(&strings(&["cp", "-b", "one", "d.img:/f"]))?;
    assert_eq!(
        place.ok(&strings(&["cat", "d.img:/f", "d.img:/f~"]))?,
        "onetwo"
    );
    for _ in 0..2 {
        place.ok(&strings(&["cp", "--backup=numbered", "two", "d.img:/f"]))?;
    }
    place.ok(&strings(&["cp", "--backup", "one", "d.img:/f"]))?;
    let names = place.ok(&strings(&["ls", "d.img:/"]))?;
    assert_eq!(names, "f\nf.~1~\nf.~2~\nf.~3~\nf~\nlost+found\n");

    place.ok(&strings(&["cp", "d.img:/f", "f"]))?;
    place.ok(&strings(&["cp", "-b", "-S", ".old", "two", "d.img:/f"]))?;
    place.ok(&strings(&["cp", "-b", "d.img:/f", "f"]))?;
    assert_eq!(place.read("f")? + &place.read("f~")?, "twoone");
    check_ext4(&place.path("d.img"))
}

/// Promise 1: a directory that is not ours to write in: nothing is lost.
#[test]
fn without_permission_nothing_changes() -> Outcome {
    if !is_root() {
        skipped("it needs root");
        return Ok(());
    }
    let place = Place::for_anyone()?;
    let image = place.ext4("d.img", 64 << 20, &[])?;
    place.write("f", "new")?;
    place.ok(&strings(&["cp", "f", "d.img:/f"]))?;
    fs::set_permissions(&image, PermissionsExt::from_mode(0o644))?;
    place.write("old", "old")?;
    fs::set_permissions(place.path("old"), PermissionsExt::from_mode(0o666))?;
    let program = super::harness::command_for_anyone()?;
    let mut command = as_nobody();
    command
        .arg(program.path())
        .args(["cp", "d.img:/f", "old"])
        .current_dir(place.path("."));
    assert!(!command.output()?.status.success());
    assert_eq!(place.read("old")?, "old");
    Ok(())
}

/// Promise 1: who may replace a file is the directory's to say, as with rename(2).
#[test]
fn nobody_replaces_roots_file_only_where_the_directory_lets_it() -> Outcome {
    if !is_root() {
        skipped("it needs root");
        return Ok(());
    }
    let place = Place::for_anyone()?;
    place.ext4("d.img", 16 << 20, &[])?;
    place.write("f", "new")?;
    place.ok(&strings(&["cp", "f", "d.img:/f"]))?;
    let program = super::harness::command_for_anyone()?;
    for (dir, mode, code, contents, owner) in [
        ("open", 0o777, Some(0), "new", drupe_testing::anyone::NOBODY),
        ("sticky", 0o1777, Some(1), "old", 0),
        ("closed", 0o755, Some(1), "old", 0),
    ] {
        let file = format!("{dir}/f");
        place.write(&file, "old")?;
        fs::set_permissions(place.path(&file), PermissionsExt::from_mode(0o640))?;
        fs::set_permissions(place.path(dir), PermissionsExt::from_mode(mode))?;
        let mut command = as_nobody();
        command
            .arg(program.path())
            .args(["cp", "d.img:/f", &file])
            .current_dir(place.path("."));
        let output = command.output()?;
        assert_eq!(output.status.code(), code, "{dir}: {output:?}");
        assert_eq!(place.read(&file)?, contents, "{dir}");
        let found = fs::metadata(place.path(&file))?;
        assert_eq!(
            (found.uid(), found.mode() & 0o7777),
            (owner, 0o640),
            "{dir}"
        );
        assert_eq!(names(&place.path(dir))?, ["f"]);
    }
    Ok(())
}

/// Promise 2: names of a file that are not left out are in the archive, whichever
/// of them are.
#[test]
fn hard_links_survive_exclusion() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 64 << 20, &[])?;
    place.write("s/a", "data")?;
    fs::hard_link(place.path("s/a"), place.path("s/b"))?;
    fs::hard_link(place.path("s/a"), place.path("s/c"))?;
    place.ok(&strings(&["cp", "-a", "s/.", "d.img:/"]))?;
    place.ok(&strings(&[
        "tar",
        "--exclude",
        "a",
        "-f",
        "x.tar",
        "d.img:/",
    ]))?;
    fs::create_dir(place.path("x"))?;
    tool("tar", |tar| {
        tar.arg("-xf")
            .arg(place.path("x.tar"))
            .arg("-C")
            .arg(place.path("x"))
    })?;
    assert_eq!(names(&place.path("x"))?, ["b", "c", "lost+found"]);
    assert_eq!(place.read("x/b")? + &place.read("x/c")?, "datadata");
    let inode = |name| fs::metadata(place.path(name)).map(|found| found.ino());
    assert_eq!(inode("x/b")?, inode("x/c")?);
    Ok(())
}

/// Promise 3: an attribute for which there is no room is told, and the rest is done.
#[test]
fn one_attribute_stops_nothing() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 64 << 20, &["-b", "1024"])?;
    for name in ["a", "b", "c"] {
        place.write(&format!("s/{name}"), name)?;
    }
    xattr::set(place.path("s/a"), "user.big", &[b'v'; 2000])?;
    let told = place.fails(1, &strings(&["cp", "-a", "s/.", "d.img:/"]))?;
    assert!(
        told.contains("d.img:/a") && told.contains("xattr"),
        "{told}"
    );
    let all = ["cat", "d.img:/a", "d.img:/b", "d.img:/c"];
    assert_eq!(place.ok(&strings(&all))?, "abc");

    tool("tar", |tar| {
        tar.args(["--xattrs", "-cf"])
            .arg(place.path("s.tar"))
            .arg("-C")
            .arg(place.path("s"))
            .arg(".")
    })?;
    place.ext4("e.img", 64 << 20, &["-b", "1024"])?;
    let told = place.fails(1, &strings(&["untar", "-f", "s.tar", "e.img:/"]))?;
    assert!(
        told.contains("e.img:/a") && told.contains("xattr"),
        "{told}"
    );
    let all = ["cat", "e.img:/a", "e.img:/b", "e.img:/c"];
    assert_eq!(place.ok(&strings(&all))?, "abc");
    check_ext4(&place.path("e.img"))
}
