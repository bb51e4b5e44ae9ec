//! `--json`: one shape for all commands, and names that are not UTF-8 (docs/json.md).

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;

use serde_json::{Value, json};

use super::harness::{Outcome, Place, tool};

/// The name of an image, and of what is in it.
const NAME: &[u8] = b"\xff";

fn os(bytes: &[u8]) -> OsString {
    OsStr::from_bytes(bytes).to_owned()
}

/// What a command prints.
fn printed(place: &Place, words: &[&[u8]]) -> Outcome<Value> {
    let words: Vec<OsString> = words.iter().map(|word| os(word)).collect();
    Ok(serde_json::from_str(&place.ok(&words)?)?)
}

#[test]
fn names_that_are_not_utf_8() -> Outcome {
    let place = Place::new()?;
    let image = place.ext4("d.img", 16 << 20, &[])?;
    tool("tune2fs", |tune| {
        tune.arg("-L").arg(os(b"l\xfe")).arg(&image)
    })?;
    fs::rename(&image, place.path(os(NAME)))?;
    fs::create_dir(place.path("tree"))?;
    fs::write(place.path("tree").join(os(NAME)), "x")?;
    let link = place.path("tree/link");
    std::os::unix::fs::symlink(os(b"to\xfd"), link)?;
    xattr::set(place.path("tree").join(os(NAME)), os(b"user.\xfc"), b"v")?;
    place.ok(&[os(b"cp"), os(b"-a"), os(b"tree"), os(b"\xff:/")])?;

    let found = printed(&place, &[b"stat", b"--json", b"\xff:/tree/\xff"])?;
    assert_eq!(found[0]["path"], "/tree/\u{fffd}");
    assert_eq!(found[0]["path_bytes"], json!(b"/tree/\xff"));
    assert_eq!(found[0]["xattrs"][0]["name"], "user.\u{fffd}");
    assert_eq!(found[0]["xattrs"][0]["name_bytes"], json!(b"user.\xfc"));
    for command in [&b"stat"[..], b"ls"] {
        let found = printed(&place, &[command, b"--json", b"\xff:/tree/link"])?;
        assert_eq!(found[0]["target"], "to\u{fffd}");
        assert_eq!(found[0]["target_bytes"], json!(b"to\xfd"));
        assert_eq!(found[0]["path_bytes"], Value::Null);
    }
    let found = printed(&place, &[b"du", b"--json", b"-a", b"\xff:/tree/\xff"])?;
    assert_eq!(found[0]["path_bytes"], json!(b"/tree/\xff"));
    let found = printed(&place, &[b"info", b"--json", NAME])?;
    assert_eq!(found[0]["image_bytes"], json!(NAME));
    assert_eq!(found[0]["label"], "l\u{fffd}");
    assert_eq!(found[0]["label_bytes"], json!(b"l\xfe"));
    for command in [&b"df"[..], b"check-log"] {
        let found = printed(&place, &[command, b"--json", b"\xff@0"])?;
        assert_eq!(found[0]["image"], "\u{fffd}@0");
        assert_eq!(found[0]["image_bytes"], json!(b"\xff@0"));
    }
    // In a script, each command prints its own.
    fs::write(place.path("script"), b"du /tree/\xff\n")?;
    let found = printed(&place, &[b"script", b"--json", b"-i", NAME, b"script"])?;
    assert_eq!(found[0]["path_bytes"], json!(b"/tree/\xff"));
    Ok(())
}

#[test]
fn one_array_of_all_images() -> Outcome {
    let place = Place::new()?;
    let names = ["a.img", "b.img"];
    for name in names {
        place.ext4(name, 16 << 20, &[])?;
    }
    for command in [
        "ls",
        "tree",
        "df",
        "du",
        "find",
        "info",
        "check-log",
        "stat",
    ] {
        // One that is not there spoils nothing.
        let run = place.drupe(&[command, "--json", "a.img", "none.img", "b.img"])?;
        let found: Value = serde_json::from_str(&run.stdout)
            .map_err(|error| format!("{command}: {error}: {run:?}"))?;
        let found = found.as_array().ok_or("no array")?;
        assert!(found.len() >= 2, "{command}: {found:?}");
        assert_eq!(run.code, Some(3), "{command}: {run:?}");
        assert!(run.stderr.contains("none.img: No such file"), "{run:?}");
    }
    Ok(())
}
