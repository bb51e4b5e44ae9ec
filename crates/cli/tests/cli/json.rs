//! `--json`: one shape for all commands, and names that are not UTF-8 (docs/json.md).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;

use serde_json::{Value, json};

use super::harness::{Outcome, Place, tool};
use super::volumes::group_of_two;

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

/// The keys of objects, by command, and by "COMMAND: FIELD" those of the objects in a field.
type Keys = BTreeMap<String, BTreeSet<String>>;

/// Adds the keys of an array of objects, and of arrays of objects in it.
fn add_keys(keys: &mut Keys, what: &str, found: &Value) {
    for object in found.as_array().into_iter().flatten() {
        let Some(object) = object.as_object() else {
            continue;
        };
        let known = keys.entry(what.to_owned()).or_default();
        let names = object.keys().filter(|key| !key.ends_with("_bytes"));
        known.extend(names.cloned());
        for (key, value) in object {
            if value
                .as_array()
                .is_some_and(|all| all.iter().any(Value::is_object))
            {
                add_keys(keys, &format!("{what}: {key}"), value);
            }
        }
    }
}

/// The keys that docs/json.md lists.
fn documented() -> Outcome<Keys> {
    let text = include_str!("../../../../docs/json.md");
    let mut keys = Keys::new();
    for row in text.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (what, fields) = row.split_once(" | ").ok_or("a row has two columns")?;
        let what = what.replace('`', "");
        let mut names: BTreeSet<String> = fields
            .split('`')
            .skip(1)
            .step_by(2)
            .map(String::from)
            .collect();
        if fields.starts_with("as `ls`") {
            names.remove("ls");
            names.extend(keys["ls"].clone());
        }
        keys.insert(what, names);
    }
    Ok(keys)
}

/// What docs/json.md says that there is, and nothing else.
#[test]
fn the_documented_fields_are_those_that_there_are() -> Outcome {
    let place = Place::new()?;
    group_of_two(&place)?;
    place.ext4("d.img", 16 << 20, &[])?;
    place.write("f", "")?;
    let script = "printf 'label: gpt\\nsize=1M\\n' > t; truncate -s 8M p.img; \
                  /sbin/sfdisk -q p.img < t; mkdir r; printf '[Partition]\\nVerityMatchKey=k\\nVerity=data\\nMakeDirectories=/a\\n' > r/1.conf; \
                  printf '[Partition]\\nVerityMatchKey=k\\nVerity=hash\\n' > r/2.conf; \
                  ln -s f link; setfattr -n user.a -v b f; mknod dev c 1 3 || exit 77; \
                  truncate -s 128M btrfs.img; mkfs.btrfs -q btrfs.img; mkdir -p os/etc os/lib/apk/db; \
                  echo ID=x > os/etc/os-release; echo r:x:0:0:::/ > os/etc/passwd; \
                  echo a / ext4 > os/etc/fstab; printf 'P:p\nV:1\n' > os/lib/apk/db/installed";
    tool("sh", |sh| {
        sh.arg("-c").arg(script).current_dir(place.path(""))
    })?;
    place.ok(&["cp", "-a", "f", "link", "dev", "d.img:/"])?;
    place.ok(&["subvolume", "create", "btrfs.img:/a"])?;
    place.ok(&["cp", "-r", "os/.", "btrfs.img:/"])?;
    let differing = place.drupe(&["diff", "--json", "d.img", "r"])?;
    let mut keys = Keys::new();
    add_keys(&mut keys, "diff", &serde_json::from_str(&differing.stdout)?);
    for words in [
        "subvolume list btrfs.img",
        "scrub btrfs.img",
        "inspect btrfs.img",
        "info p.img",
        "info --with b.img a.img",
        "ls d.img:/",
        "tree d.img:/",
        "find d.img:/",
        "stat d.img:/f d.img:/link d.img:/dev",
        "df d.img",
        "du d.img",
        "check-log d.img",
        "repart --dry-run=no --definitions=r --empty=create --size=32M new.img",
        "part p.img",
    ] {
        let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        let words = [&words[..1], &[b"--json"], &words[1..]].concat();
        let command = String::from_utf8_lossy(words[0]).into_owned();
        add_keys(&mut keys, &command, &printed(&place, &words)?);
    }
    let mut documented = documented()?;
    // Nothing is wrong with the image.
    documented.remove("check-log: complaints");
    assert_eq!(keys, documented);
    Ok(())
}
