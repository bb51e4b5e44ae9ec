//! Commands with several images: an unusable one is reported, and the others are done.
//! Also several spellings of one image.

use std::fs;

use super::harness::{Outcome, Place, check_ext4, command_in_shell, noise, strings, tool};

const SIZE: u64 = 16 << 20;

#[test]
fn the_others_are_done() -> Outcome {
    let place = Place::new()?;
    let image = place.ext4("e.img", SIZE, &[])?;
    place.write("f", "contents\n")?;
    place.ok(&strings(&["cp", "f", "e.img:/f"]))?;
    for (command, shows) in [
        ("ls none.img:/ e.img:/", "f"),
        ("cat none.img:/f e.img:/f", "contents"),
        ("tree none.img e.img", "f"),
        ("stat -c %s none.img:/f e.img:/f", "9"),
        ("df none.img e.img", "e.img"),
        ("du none.img e.img", "/"),
        ("find none.img e.img -name f", "/f"),
        ("info none.img e.img", "ext4"),
        ("fstrim -v none.img e.img", "trimmed"),
        ("check-log none.img e.img", ""),
        ("mkdir none.img:/d e.img:/d", ""),
        ("touch none.img:/t e.img:/t", ""),
        ("truncate -s 5 none.img:/t e.img:/t", ""),
        ("chmod 600 none.img:/t e.img:/t", ""),
        ("chown 7 none.img:/t e.img:/t", ""),
        ("cp none.img:/f e.img:/f .", ""),
        ("cp -r none.img:/f e.img:/f e.img:/d", ""),
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        let run = place.drupe(&strings(&words))?;
        assert_eq!(run.code, Some(3), "{command}: {run:?}");
        assert!(
            run.stderr.starts_with("drupe: none.img: No such file"),
            "{command}: {run:?}"
        );
        assert_eq!(run.stderr.lines().count(), 1, "{command}: {run:?}");
        assert!(run.stdout.contains(shows), "{command}: {run:?}");
    }
    let found = place.ok(&strings(&[
        "stat",
        "-c",
        "%a %u %s",
        "e.img:/t",
        "e.img:/d/f",
    ]))?;
    assert_eq!(found, "600 7 5\n644 0 9\n");
    let run = place.drupe(&strings(&["rm", "none.img:/t", "e.img:/t"]))?;
    assert_eq!(run.code, Some(3), "{run:?}");
    let run = place.drupe(&strings(&["rmdir", "none.img:/d", "e.img:/lost+found"]))?;
    assert_eq!(run.code, Some(3), "{run:?}");
    assert_eq!(place.ok(&strings(&["ls", "e.img:/"]))?, "d\nf\n");
    check_ext4(&image)
}

/// Images that are looked at before the process is confined.
#[test]
fn the_others_are_done_when_a_server_is_missing() -> Outcome {
    let place = Place::new()?;
    place.ext4("e.img", SIZE, &[])?;
    let missing = "nbd+unix:///x?socket=none";
    let run = place.drupe(&strings(&["ls", missing, "e.img"]))?;
    assert_eq!(
        (run.code, run.stderr.lines().count()),
        (Some(3), 1),
        "{run:?}"
    );
    assert!(run.stdout.contains("lost+found"), "{run:?}");
    place.fails(3, &strings(&["ls", missing]))?;
    Ok(())
}

/// Where the last source alone would be taken for the new contents of a file.
#[test]
fn a_file_is_no_place_for_several() -> Outcome {
    let place = Place::new()?;
    place.ext4("e.img", SIZE, &[])?;
    place.write("f", "new")?;
    place.write("out", "old")?;
    place.ok(&strings(&["cp", "f", "e.img:/f"]))?;
    place.fails(3, &strings(&["cp", "none.img:/f", "e.img:/f", "out"]))?;
    assert_eq!(place.read("out")?, "old");
    Ok(())
}

#[test]
fn the_root_behind_an_image_is_all_of_it() -> Outcome {
    let place = Place::new()?;
    place.ext4("e.img", SIZE, &[])?;
    for image in ["e.img:/", "e.img:"] {
        let shown = place.ok(&strings(&["info", image]))?;
        assert!(shown.starts_with("e.img: "), "{shown}");
    }
    let line = place.fails(3, &strings(&["info", "none.img:/"]))?;
    assert!(line.contains("none.img: No such file"), "{line}");
    Ok(())
}

#[test]
fn an_empty_variable_counts_as_unset() -> Outcome {
    let place = Place::new()?;
    place.ext4("e.img", SIZE, &[])?;
    let run = |value: &str| {
        let mut command = place.command();
        command.args(["ls", "e.img"]).env("DRUPE_SANDBOX", value);
        command.output()
    };
    assert!(run("")?.status.success());
    let wrong = run("perhaps")?;
    assert_eq!(wrong.status.code(), Some(2));
    let told = String::from_utf8(wrong.stderr)?;
    assert!(told.contains("perhaps") && told.contains("auto"), "{told}");
    Ok(())
}

/// RLIMIT_FSIZE: an error like a full disk, and nothing is left behind.
#[test]
fn a_limit_of_the_hosts_on_files() -> Outcome {
    let place = Place::new()?;
    let image = place.ext4("e.img", 256 << 20, &[])?;
    fs::write(place.path("large"), noise(80 << 20))?;
    place.ok(&strings(&["cp", "large", "e.img:/"]))?;
    fs::create_dir(place.path("out"))?;
    place.write("out/kept", "old")?;
    let drupe = command_in_shell()?;
    for command in [
        "cp e.img:/large out/new",
        "cp e.img:/large out/kept",
        "-q tar -f out/kept e.img:/large",
        "-q tar -f - e.img:/large > stream",
    ] {
        // More than the kernel's memory, which is a file too.
        let script = format!("prlimit --fsize=75000000 {drupe} {command} 2> said; echo $?");
        let code = tool("sh", |sh| {
            sh.arg("-c").arg(script).current_dir(place.path("."))
        })?;
        assert_eq!(code, "1\n", "{command}: {}", place.read("said")?);
        let said = place.read("said")?;
        assert!(said.contains("EFBIG"), "{command}: {said}");
        let left: Vec<_> = fs::read_dir(place.path("out"))?.collect::<Result<_, _>>()?;
        assert_eq!(left.len(), 1, "{command}: {left:?}");
        assert_eq!(place.read("out/kept")?, "old", "{command}");
    }
    let script = format!("prlimit --fsize=1000000 {drupe} ls e.img: 2>&1; echo $?");
    let said = tool("sh", |sh| {
        sh.arg("-c").arg(script).current_dir(place.path("."))
    })?;
    assert!(
        said.contains("ulimit -f") && said.ends_with("\n1\n"),
        "{said}"
    );
    check_ext4(&image)
}
