//! The commands with names of coreutils (`mv`, `rm`, `chmod` and so on), on ext4.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use super::harness::{Outcome, Place, check_ext4, noise, strings};

const SIZE: u64 = 16 << 20;

fn place() -> Outcome<Place> {
    let place = Place::new()?;
    place.ext4("d.img", SIZE, &[])?;
    place.write("a", "A")?;
    place.write("dir/sub/c", "CC")?;
    place.write("dir/.hidden", "")?;
    place.write(
        "etc/passwd",
        "root:x:0:0::/:\nann:x:1000:100::/:\nbob:x:1001:101::/:\n",
    )?;
    place.write("etc/group", "root:x:0:\nstaff:x:50:ann\n")?;
    place.ok(&strings(&["cp", "-r", "a", "dir", "etc", "d.img:/"]))?;
    Ok(place)
}

/// Of one file, by a format of stat.
fn stat(place: &Place, format: &str, path: &str) -> Outcome<String> {
    let text = place.ok(&strings(&["stat", "-c", format, &format!("d.img:{path}")]))?;
    Ok(text.trim_end_matches('\n').to_owned())
}

fn run(place: &Place, line: &str) -> Outcome<String> {
    let words: Vec<&str> = line.split(' ').collect();
    place
        .ok(&strings(&words))
        .map_err(|error| format!("{line}: {error}").into())
}

#[test]
fn the_version_is_the_commands_and_the_kernels() -> Outcome {
    let line = Place::new()?.ok(&strings(&["--version"]))?;
    let own = concat!("drupe ", env!("CARGO_PKG_VERSION"), " (Linux 6.12.");
    assert!(line.starts_with(own) && line.ends_with(")\n"), "{line}");
    Ok(())
}

#[test]
fn directories() -> Outcome {
    let place = place()?;
    run(&place, "mkdir d.img:/m")?;
    run(&place, "mkdir -p d.img:/m d.img:/p/q/r -m 2750")?;
    run(&place, "mkdir -m u=rwx,go= d.img:/n")?;
    assert_eq!(stat(&place, "%a", "/m")?, "755");
    assert_eq!(stat(&place, "%a", "/p/q")?, "755");
    assert_eq!(stat(&place, "%a", "/p/q/r")?, "2750");
    assert_eq!(stat(&place, "%a", "/n")?, "700");
    let line = place.fails(1, &strings(&["mkdir", "d.img:/m"]))?;
    assert!(
        line.contains("create directory d.img:/m: File exists"),
        "{line}"
    );
    let line = place.fails(1, &strings(&["mkdir", "-p", "d.img:/a/b"]))?;
    assert!(line.contains("d.img:/a/b"), "{line}");
    let line = place.fails(1, &strings(&["mkdir", "d.img:/x/y"]))?;
    assert!(line.contains("No such file"), "{line}");
    let line = place
        .drupe(&strings(&["mkdir", "-m", "9", "d.img:/y"]))?
        .stderr;
    assert!(line.contains("is not a mode"), "{line}");

    let line = place.fails(1, &strings(&["rmdir", "d.img:/dir"]))?;
    assert!(line.contains("not empty"), "{line}");
    run(&place, "rmdir -p d.img:/p/q/r")?;
    run(&place, "rmdir d.img:/m d.img:/n")?;
    assert_eq!(run(&place, "ls d.img:/")?, "a\ndir\netc\nlost+found\n");
    check_ext4(&place.path("d.img"))
}

#[test]
fn removing() -> Outcome {
    let place = place()?;
    let line = place.fails(1, &strings(&["rm", "d.img:/none"]))?;
    assert!(line.contains("remove d.img:/none: No such file"), "{line}");
    run(&place, "rm -f d.img:/none d.img:/a/b")?;
    run(&place, "rm -rf d.img:/none")?;
    let line = place.fails(1, &strings(&["rm", "d.img:/dir"]))?;
    assert!(line.contains("-r was not given"), "{line}");
    for top in ["d.img:/", "d.img:", "d.img:/dir/.", "d.img:/dir/.."] {
        let line = place.fails(1, &strings(&["rm", "-rf", top]))?;
        assert!(line.contains("are not removed"), "{line}");
    }
    // An image alone is not its root.
    let line = place.fails(2, &strings(&["rm", "-rf", "d.img"]))?;
    assert!(line.contains("path of the host"), "{line}");
    // A link is removed, not what it leads to.
    run(&place, "ln -s dir d.img:/link")?;
    let line = place.fails(1, &strings(&["rm", "-r", "d.img:/link/"]))?;
    assert!(line.contains("not a directory"), "{line}");
    run(&place, "rm -r d.img:/link")?;
    run(&place, "ln -s ../a d.img:/dir/sub/link")?;
    run(&place, "rm -r d.img:/dir d.img:/etc")?;
    assert_eq!(run(&place, "ls d.img:/")?, "a\nlost+found\n");
    check_ext4(&place.path("d.img"))
}

/// Deeper than a path can be long.
#[test]
fn removing_a_deep_tree() -> Outcome {
    let place = place()?;
    let deep = |letter: &str| vec![letter.repeat(250); 15].join("/");
    let (one, two) = (deep("d"), deep("e"));
    run(&place, &format!("mkdir -p d.img:/{one} d.img:/{two}"))?;
    run(&place, &format!("mv d.img:/{} d.img:/{two}", &one[..250]))?;
    run(&place, &format!("chmod -R o= d.img:/{}", &two[..250]))?;
    run(&place, &format!("rm -r d.img:/{}", &two[..250]))?;
    assert_eq!(run(&place, "ls d.img:/")?, "a\ndir\netc\nlost+found\n");
    check_ext4(&place.path("d.img"))
}

#[test]
fn renaming() -> Outcome {
    let place = place()?;
    run(&place, "mv d.img:/a d.img:/b")?;
    run(&place, "mv d.img:/b d.img:/dir d.img:/etc")?;
    assert_eq!(run(&place, "cat d.img:/etc/b d.img:/etc/dir/sub/c")?, "ACC");
    run(&place, "mv d.img:/etc/dir d.img:/")?;
    run(&place, "cp a d.img:/one")?;
    run(&place, "mv -n d.img:/etc/group d.img:/one")?;
    assert_eq!(run(&place, "cat d.img:/one")?, "A");
    run(&place, "mkdir d.img:/empty")?;
    run(&place, "mv -T d.img:/dir d.img:/empty")?;
    assert_eq!(run(&place, "cat d.img:/empty/sub/c")?, "CC");
    let line = place.fails(1, &strings(&["mv", "d.img:/empty", "d.img:/empty/sub"]))?;
    assert!(line.contains("into itself"), "{line}");
    let line = place.fails(1, &strings(&["mv", "d.img:/one", "d.img:/one"]))?;
    assert!(line.contains("same file"), "{line}");
    let line = place.fails(1, &strings(&["mv", "d.img:/none", "d.img:/x"]))?;
    assert!(
        line.contains("rename d.img:/none to d.img:/x: No such file"),
        "{line}"
    );
    let line = place.fails(2, &strings(&["mv", "d.img:/one", "d.img:/etc", "d.img:/x"]))?;
    assert!(line.contains("not a directory"), "{line}");
    place.ext4("e.img", SIZE, &[])?;
    let line = place.fails(2, &strings(&["mv", "d.img:/one", "e.img:/"]))?;
    assert!(line.contains("cp -a"), "{line}");
    check_ext4(&place.path("d.img"))
}

#[test]
fn linking() -> Outcome {
    let place = place()?;
    run(&place, "ln d.img:/a d.img:/hard")?;
    run(&place, "ln d.img:/a d.img:/dir")?;
    assert_eq!(stat(&place, "%h", "/hard")?, "3");
    run(&place, "ln -s ../etc d.img:/dir/link")?;
    run(&place, "ln -s one two d.img:/dir")?;
    assert_eq!(stat(&place, "%N", "/dir/two")?, "/dir/two -> two");
    let line = place.fails(1, &strings(&["ln", "-s", "x", "d.img:/hard"]))?;
    assert!(line.contains("symlink d.img:/hard: File exists"), "{line}");
    run(&place, "ln -sf x d.img:/hard")?;
    assert_eq!(stat(&place, "%N", "/hard")?, "/hard -> x");
    // Into the directory that a link leads to, or in its place.
    run(&place, "ln -sf y d.img:/dir/link")?;
    assert_eq!(stat(&place, "%N", "/etc/y")?, "/etc/y -> y");
    run(&place, "ln -sfn y d.img:/dir/link")?;
    assert_eq!(stat(&place, "%N", "/dir/link")?, "/dir/link -> y");
    let line = place.fails(1, &strings(&["ln", "-sfT", "y", "d.img:/dir"]))?;
    assert!(
        line.contains("replace d.img:/dir: it is a directory"),
        "{line}"
    );
    place.fails(1, &strings(&["ln", "d.img:/dir", "d.img:/dir2"]))?;
    check_ext4(&place.path("d.img"))
}

#[test]
fn modes() -> Outcome {
    let place = place()?;
    run(&place, "ln -s a d.img:/link")?;
    run(&place, "ln -s /etc d.img:/dir/etc")?;
    run(&place, "chmod 4711 d.img:/link")?;
    assert_eq!(stat(&place, "%a", "/a")?, "4711");
    run(&place, "chmod -x,u-s d.img:/a")?;
    assert_eq!(stat(&place, "%a", "/a")?, "600");
    run(&place, "chmod -R u=rwX,go=rX d.img:/dir")?;
    run(&place, "chmod -R go-rwx d.img:/dir")?;
    assert_eq!(stat(&place, "%a", "/dir/sub")?, "700");
    assert_eq!(stat(&place, "%a", "/dir/sub/c")?, "600");
    assert_eq!(stat(&place, "%a", "/etc")?, "755", "a link was followed");
    let line = place.fails(1, &strings(&["chmod", "0", "d.img:/none"]))?;
    assert!(line.contains("d.img:/none: No such file"), "{line}");
    check_ext4(&place.path("d.img"))
}

#[test]
fn owners() -> Outcome {
    let place = place()?;
    run(&place, "ln -s a d.img:/link")?;
    for (owners, expected) in [
        ("ann", "1000:0"),
        (":staff", "1000:50"),
        ("bob:", "1001:101"),
        ("0:0", "0:0"),
        ("+7:+8", "7:8"),
        ("65534:staff", "65534:50"),
    ] {
        run(&place, &format!("chown {owners} d.img:/link"))?;
        assert_eq!(stat(&place, "%u:%g", "/a")?, expected, "{owners}");
    }
    assert_eq!(stat(&place, "%u:%g", "/link")?, "0:0");
    run(&place, "chown -h ann d.img:/link")?;
    assert_eq!(stat(&place, "%U:%G", "/link")?, "ann:root");
    run(&place, "chown -R ann:staff d.img:/dir")?;
    assert_eq!(stat(&place, "%U:%G", "/dir/sub/c")?, "ann:staff");
    let line = place.fails(1, &strings(&["chown", "carl", "d.img:/a"]))?;
    assert!(
        line.contains("no user \"carl\" in the image's /etc/passwd"),
        "{line}"
    );
    let line = place.fails(1, &strings(&["chown", ":+5000000000", "d.img:/a"]));
    assert!(line.is_err(), "{line:?}");

    // Copies take them too.
    run(
        &place,
        "cp -r --chown bob:staff --mode go=u dir d.img:/copy",
    )?;
    assert_eq!(stat(&place, "%U:%G %a", "/copy/sub")?, "bob:staff 777");
    run(&place, "cp --owner :staff --mtime @5.25 a d.img:/copy")?;
    assert_eq!(stat(&place, "%U:%G %Y", "/copy/a")?, "root:staff 5");
    check_ext4(&place.path("d.img"))
}

#[test]
fn times_and_sizes() -> Outcome {
    let place = place()?;
    run(&place, "touch -d @1.5 d.img:/a d.img:/new")?;
    assert_eq!(stat(&place, "%X %Y %s", "/new")?, "1 1 0");
    run(&place, "touch -m -d 1960-01-02T03:04:05Z d.img:/a")?;
    assert_eq!(stat(&place, "%X %Y", "/a")?, "1 -315521755");
    run(&place, "touch -r d.img:/a d.img:/new")?;
    assert_eq!(stat(&place, "%X %Y", "/new")?, "1 -315521755");
    run(&place, "touch -c d.img:/none")?;
    place.fails(1, &strings(&["stat", "d.img:/none"]))?;
    let line = place
        .drupe(&strings(&["touch", "-d", "soon", "d.img:/a"]))?
        .stderr;
    assert!(line.contains("is not a date"), "{line}");

    for (size, expected) in [
        ("5000000", "5000000"),
        ("+1K", "5001024"),
        ("<100", "100"),
        ("%64", "128"),
    ] {
        run(&place, &format!("truncate -s {size} d.img:/a"))?;
        assert_eq!(stat(&place, "%s", "/a")?, expected, "{size}");
    }
    run(&place, "truncate -c -s 1 d.img:/none")?;
    run(&place, "truncate -s -100 d.img:/a")?;
    assert_eq!(stat(&place, "%s", "/a")?, "28");
    check_ext4(&place.path("d.img"))
}

fn with_input(place: &Place, args: &[&str], input: &[u8]) -> Outcome<(Option<i32>, String)> {
    let mut child = place
        .command()
        .args(args)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // It may have said no before it read.
    let _ = child.stdin.take().ok_or("no input")?.write_all(input);
    let output = child.wait_with_output()?;
    Ok((
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    ))
}

#[test]
fn standard_input() -> Outcome {
    let place = place()?;
    let done = (Some(0), String::new());
    assert_eq!(
        with_input(&place, &["write", "d.img:/in", "--chown", "ann"], b"one\n")?,
        done
    );
    assert_eq!(
        with_input(&place, &["write", "-a", "d.img:/in", "-m", "640"], b"two\n")?,
        done
    );
    assert_eq!(run(&place, "cat d.img:/in")?, "one\ntwo\n");
    assert_eq!(stat(&place, "%U %a", "/in")?, "ann 640");
    // More than fits leaves nothing.
    let (code, line) = with_input(&place, &["write", "d.img:/big"], &noise(20 << 20))?;
    assert_eq!(code, Some(1));
    assert!(
        line.contains("write d.img:/big: No space left on device"),
        "{line}"
    );
    place.fails(1, &strings(&["stat", "d.img:/big"]))?;
    check_ext4(&place.path("d.img"))
}

#[test]
fn telling() -> Outcome {
    let place = place()?;
    run(&place, "ln -s ../a d.img:/dir/sub/link")?;
    run(&place, "ln d.img:/a d.img:/dir/sub/again")?;
    assert_eq!(
        run(&place, "tree d.img:/dir")?,
        "/dir\n└── sub\n    ├── again\n    ├── c\n    └── link -> ../a\n\n1 directories, 3 files\n"
    );
    assert_eq!(
        run(&place, "tree -a -L 1 -q d.img:/dir")?,
        "/dir\n├── .hidden\n└── sub\n"
    );
    let du = run(&place, "du -b d.img:/dir d.img:/a")?;
    assert_eq!(du, "7\t/dir/sub\n7\t/dir\n");
    assert_eq!(
        run(&place, "du -sbc d.img:/dir d.img:/dir")?,
        "7\t/dir\n6\t/dir\n13\ttotal\n"
    );
    let text = run(&place, "du -sh d.img:/dir")?;
    assert!(text.ends_with("K\t/dir\n"), "{text}");

    let df: serde_json::Value = serde_json::from_str(&run(&place, "df --json d.img")?)?;
    let df = &df[0];
    assert!(df["size"].as_u64() > df["used"].as_u64() && df["inodes_used"].as_u64() > Some(10));
    let text = run(&place, "df -h d.img")?;
    assert!(
        text.starts_with("Filesystem") && text.contains("d.img") && text.contains('%'),
        "{text}"
    );

    let stat = run(&place, "stat --json d.img:/dir/sub/link")?;
    let stat: serde_json::Value = serde_json::from_str(&stat)?;
    assert_eq!(
        (&stat[0]["type"], &stat[0]["target"]),
        (&"symlink".into(), &"../a".into())
    );
    let text = run(&place, "stat d.img:/a")?;
    assert!(
        text.contains("File: /a\n")
            && text.contains("Access: (0644/-rw-r--r--)  Uid: (    0/    root)"),
        "{text}"
    );
    let line = place.fails(2, &strings(&["stat", "-c", "%q", "d.img:/a"]))?;
    assert!(line.contains("%q"), "{line}");
    Ok(())
}

#[test]
fn finding() -> Outcome {
    let place = place()?;
    run(&place, "ln -s ../a d.img:/dir/sub/link")?;
    run(&place, "chown ann d.img:/dir/sub/c")?;
    run(&place, "chmod 4755 d.img:/a")?;
    for (expression, found) in [
        ("-name c", "/dir/sub/c\n"),
        ("-type l", "/dir/sub/link\n"),
        ("-user ann", "/dir/sub/c\n"),
        ("-perm -4000", "/a\n"),
        (
            "-iname PASS* -o -size -2c -type f -name a",
            "/a\n/etc/passwd\n",
        ),
        ("-maxdepth 1 -type d ! -name l*", "/\n/dir\n/etc\n"),
        ("-mindepth 2 -name .* -empty", "/dir/.hidden\n"),
        (
            "-name etc -prune -o -path */sub/* -print",
            "/dir/sub/c\n/dir/sub/link\n",
        ),
        ("( -name a -o -name c ) -links 1 -a -not -name c", "/a\n"),
        ("-newer d.img:/none", ""),
    ] {
        let line = format!("find d.img:/ {expression}");
        match found {
            "" => assert!(run(&place, &line).is_err(), "{line}"),
            found => assert_eq!(run(&place, &line)?, found, "{line}"),
        }
    }
    run(&place, "find d.img:/dir -delete")?;
    assert_eq!(run(&place, "ls d.img:/")?, "a\netc\nlost+found\n");
    let line = place.fails(2, &strings(&["find", "d.img:/", "-frob"]))?;
    assert!(line.contains("-frob"), "{line}");
    check_ext4(&place.path("d.img"))
}

#[test]
fn trimming() -> Outcome {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new()?;
    let image = place.ext4("d.img", 64 << 20, &[])?;
    place.write("big", noise(30 << 20))?;
    run(&place, "cp big d.img:/")?;
    run(&place, "rm d.img:/big")?;
    let before = image.metadata()?.blocks();
    let said = run(&place, "fstrim -v d.img")?;
    let after = image.metadata()?.blocks();
    assert!(
        after * 512 + (29 << 20) < before * 512,
        "{said} {before} {after}"
    );
    check_ext4(&image)
}

#[test]
fn what_the_kernel_says() -> Outcome {
    let place = place()?;
    assert_eq!(run(&place, "check-log d.img")?, "");
    // A directory entry that leads to an inode that is not there.
    let image = place.path("d.img");
    super::harness::tool("debugfs", |debugfs| {
        debugfs.args(["-w", "-R", "clri /dir/sub/c"]).arg(&image)
    })?;
    let run = place.drupe(&strings(&["check-log", "d.img"]))?;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(
        run.stdout.contains("d.img: critical: EXT4-fs error"),
        "{run:?}"
    );
    assert!(run.stderr.contains("d.img:/dir/sub/c"), "{run:?}");
    let run = place.drupe(&strings(&["check-log", "--json", "d.img"]))?;
    let json: serde_json::Value = serde_json::from_str(&run.stdout)?;
    assert_eq!((run.code, &json[0]["readable"]), (Some(1), &false.into()));
    Ok(())
}

/// `--json` is an array, `--json-lines` a line for each object, whatever the command.
#[test]
fn json_has_one_shape() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 32 << 20, &[])?;
    place.write("f", "contents")?;
    place.ok(&strings(&["cp", "f", "d.img:/f"]))?;
    for words in [
        &["info", "d.img"][..],
        &["ls", "d.img"],
        &["ls", "-lR", "d.img:/"],
        &["tree", "d.img"],
        &["stat", "d.img:/f", "d.img:/"],
        &["df", "d.img"],
        &["du", "-a", "d.img"],
        &["find", "d.img", "-type", "f"],
        &["check-log", "d.img"],
        &["find", "d.img", "-name", "nothing"],
    ] {
        let with = |option: &str| -> Outcome<String> {
            let words = [&[option], words].concat();
            place.ok(&strings(&words))
        };
        let array: Value = serde_json::from_str(&with("--json")?)?;
        let array = array.as_array().ok_or("no array")?;
        let lines = with("--json-lines")?;
        let lines = lines.lines().map(serde_json::from_str);
        let lines: Vec<Value> = lines.collect::<Result<_, _>>()?;
        assert_eq!(array, &lines, "{words:?}");
        assert!(array.iter().all(Value::is_object), "{words:?}");
        assert_eq!(array.is_empty(), words.contains(&"nothing"), "{words:?}");
    }
    Ok(())
}

/// `ls -l` shows names of owners, which are the image's, `-n` numbers; `-i` inodes.
#[test]
fn ls_shows_owners_and_inodes() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 32 << 20, &[])?;
    place.write("etc/passwd", "ann:x:1000:100::/:\n")?;
    place.write("etc/group", "users:x:100:\n")?;
    place.ok(&strings(&["cp", "-r", "etc", "d.img:/"]))?;
    place.ok(&strings(&["chown", "ann:users", "d.img:/etc/passwd"]))?;
    place.ok(&strings(&["chown", "7:8", "d.img:/etc/group"]))?;
    let fields = |options: &str, file: &str| -> Outcome<Vec<String>> {
        let line = place.ok(&strings(&["ls", options, &format!("d.img:/etc/{file}")]))?;
        Ok(line.split_whitespace().map(str::to_owned).collect())
    };
    assert_eq!(fields("-l", "passwd")?[2..4], ["ann", "users"]);
    assert_eq!(fields("-l", "group")?[2..4], ["7", "8"]);
    assert_eq!(fields("-n", "passwd")?[2..4], ["1000", "100"]);
    let inode = place.ok(&strings(&["stat", "-c", "%i", "d.img:/etc/group"]))?;
    assert_eq!(fields("-i", "group")?, [inode.trim(), "/etc/group"]);
    assert_eq!(fields("-li", "group")?[0], inode.trim());
    Ok(())
}

/// `cp -v`, `tar -v` and `untar -v` name what they do.
#[test]
fn verbose_names_files() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 32 << 20, &[])?;
    place.write("tree/a", "A")?;
    let told = |words: &[&str]| -> Outcome<Vec<String>> {
        let run = place.drupe(&strings(words))?;
        assert_eq!(run.code, Some(0), "{run:?}");
        Ok(run.stderr.lines().map(str::to_owned).collect())
    };
    let copied = told(&["cp", "-rv", "tree", "d.img:/"])?;
    assert_eq!(copied, ["d.img:/tree", "d.img:/tree/a"]);
    let archived = told(&["tar", "-vf", "a.tar", "d.img:/tree"])?;
    assert_eq!(archived, ["./", "./a"]);
    assert_eq!(
        told(&["untar", "-vf", "a.tar", "d.img:/"])?.last(),
        Some(&"a".to_owned())
    );
    Ok(())
}
