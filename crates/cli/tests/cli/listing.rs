//! `drupe ls` and `drupe cat`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use super::harness::{Outcome, Place, noise, strings, tool};

fn place() -> Outcome<Place> {
    let place = Place::new()?;
    place.ext4("d.img", 16 << 20, &[])?;
    place.write("tree/.hidden", "")?;
    place.write("tree/b", "12345")?;
    place.write("tree/sub/c", "")?;
    let script = "cd tree; ln -s b a; mknod dev c 1 3; chown 7:8 b; chmod 4755 b; \
                  touch -d '1969-12-31 23:59:58.5 UTC' b";
    tool("sh", |sh| {
        sh.arg("-c").arg(script).current_dir(place.path(""))
    })?;
    place.ok(&strings(&["cp", "-a", "tree", "d.img:/"]))?;
    Ok(place)
}

#[test]
fn names() -> Outcome {
    let place = place()?;
    assert_eq!(
        place.ok(&strings(&["ls", "d.img:/tree"]))?,
        "a\nb\ndev\nsub\n"
    );
    assert_eq!(
        place.ok(&strings(&["ls", "-a", "d.img:/tree"]))?,
        ".hidden\na\nb\ndev\nsub\n"
    );
    assert_eq!(
        place.ok(&strings(&["ls", "-R", "d.img:/tree"]))?,
        "/tree:\na\nb\ndev\nsub\n\n/tree/sub:\nc\n"
    );
    assert_eq!(place.ok(&strings(&["ls", "d.img:/tree/b"]))?, "/tree/b\n");
    Ok(())
}

/// As coreutils' `ls`: of several listings, each has a heading, which names the image
/// if there are several.
#[test]
fn headings() -> Outcome {
    let place = place()?;
    place.ext4("e.img", 16 << 20, &[])?;
    assert_eq!(
        place.ok(&strings(&["ls", "d.img:/tree/sub", "d.img:/tree"]))?,
        "/tree/sub:\nc\n\n/tree:\na\nb\ndev\nsub\n"
    );
    assert_eq!(
        place.ok(&strings(&["ls", "d.img:/", "d.img:/tree/b", "e.img"]))?,
        "d.img:/:\nlost+found\ntree\nd.img:/tree/b\n\ne.img:/:\nlost+found\n"
    );
    Ok(())
}

/// So are the paths of other commands.
#[test]
fn paths_of_several_images() -> Outcome {
    let place = place()?;
    place.ext4("e.img", 16 << 20, &[])?;
    let found = place.ok(&strings(&[
        "find",
        "d.img:/tree/sub",
        "e.img:/",
        "-type",
        "d",
    ]))?;
    assert_eq!(found, "d.img:/tree/sub\ne.img:/\ne.img:/lost+found\n");
    let used = place.ok(&strings(&["du", "-s", "d.img:/tree/sub", "e.img:/"]))?;
    let paths: Vec<&str> = used
        .lines()
        .filter_map(|line| line.split('\t').nth(1))
        .collect();
    assert_eq!(paths, ["d.img:/tree/sub", "e.img:/"]);
    let tree = place.ok(&strings(&["tree", "d.img:/tree/sub", "e.img:/"]))?;
    assert!(
        tree.starts_with("d.img:/tree/sub\n└── c\ne.img:/\n"),
        "{tree}"
    );
    Ok(())
}

#[test]
fn long() -> Outcome {
    let place = place()?;
    let output = place
        .command()
        .env("TZ", "UTC")
        .args(["ls", "-l", "d.img:/tree"])
        .output()?;
    let list = String::from_utf8(output.stdout)?;
    let lines: Vec<Vec<&str>> = list
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0][7..], ["a", "->", "b"]);
    assert_eq!(
        lines[1],
        ["-rwsr-xr-x", "1", "7", "8", "5", "1969-12-31", "23:59", "b"]
    );
    assert_eq!(lines[2][4..6], ["1,", "3"]);
    Ok(())
}

#[test]
fn json() -> Outcome {
    let place = place()?;
    let odd = OsStr::from_bytes(b"tree/\xff");
    fs::write(place.path(odd), "")?;
    place.ok(&strings(&["cp", "-a", "tree", "d.img:/"]))?;
    let text = place.ok(&strings(&["ls", "--json", "d.img:/tree"]))?;
    let files: Vec<serde_json::Value> = serde_json::from_str(&text)?;
    assert_eq!(files[0]["target"], "b");
    assert_eq!(files[1]["path"], "/tree/b");
    assert_eq!(files[1]["mode"], "4755");
    assert_eq!(files[1]["size"], 5);
    assert_eq!(files[1]["modified"], "-1.500000000");
    assert_eq!(files[2]["device"], serde_json::json!([1, 3]));
    assert_eq!(files[4]["path_bytes"], serde_json::json!(b"/tree/\xff"));
    Ok(())
}

#[test]
fn cat_is_exact() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 16 << 20, &[])?;
    let (one, two) = (noise(3_000_001), noise(10));
    fs::write(place.path("one"), &one)?;
    fs::write(place.path("two"), &two)?;
    place.ok(&strings(&["cp", "one", "two", "d.img:/"]))?;
    let output = place
        .command()
        .args(["cat", "d.img:/one", "d.img:/none", "d.img:/two"])
        .output()?;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        output.stdout == [one, two].concat(),
        "cat has changed something"
    );
    Ok(())
}

/// `drupe cat … | head -c 1` is no error.
#[test]
fn a_reader_that_has_enough() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 16 << 20, &[])?;
    fs::write(place.path("big"), noise(5 << 20))?;
    place.ok(&strings(&["cp", "big", "d.img:/"]))?;
    let mut child = place
        .command()
        .args(["cat", "d.img:/big"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    drop(child.stdout.take());
    let output = child.wait_with_output()?;
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
    Ok(())
}
