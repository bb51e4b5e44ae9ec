//! `drupe repart`: what partitions have inside, beyond files in a plain filesystem.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::harness::{Outcome, Place, as_nobody, command_for_anyone, succeeds, tool};
use super::repart::{create, define, extract, source};

/// A program that goes before the host's of the same name, for [`with_tools`].
fn fake(place: &Place, name: &str, script: &str) -> Outcome {
    let file = format!("bin/{name}");
    place.write(&file, format!("#!/bin/sh\n{script}\n"))?;
    fs::set_permissions(place.path(&file), fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Has the command find programs made with [`fake`].
fn with_tools<'a>(place: &Place, command: &'a mut Command) -> Outcome<&'a mut Command> {
    let path = format!("{}:{}", place.path("bin").display(), std::env::var("PATH")?);
    Ok(command.env("PATH", path))
}

/// cryptsetup with a key derivation that does not take seconds.
fn fast_cryptsetup(place: &Place) -> Outcome {
    let script =
        "PATH=/usr/sbin:/sbin exec cryptsetup --pbkdf=pbkdf2 --pbkdf-force-iterations=1000 \"$@\"";
    fake(place, "cryptsetup", script)
}

/// An ordinary user makes LUKS volumes, which cryptsetup opens with the same key; what is
/// inside is as in other partitions.
#[test]
fn encrypted() -> Outcome {
    let place = Place::for_anyone()?;
    source(&place)?;
    fast_cryptsetup(&place)?;
    place.write("key", "correct horse\n\0battery")?;
    place.write("wrong", "correct horse")?;
    let root = place.path("root");
    let root = root.display();
    let definitions: Vec<String> = ["ext4", "xfs", "btrfs", "f2fs"]
        .iter()
        .map(|format| {
            format!("Type=linux-generic; Label=of {format}; Format={format}; SizeMaxBytes=330M; CopyFiles={root}:/; Encrypt=key-file")
        })
        .chain([
            "Type=swap; Format=swap; SizeMaxBytes=40M; Encrypt=key-file".to_owned(),
            format!("Type=srv; CopyBlocks={root}/large; SizeMaxBytes=20M; Encrypt=key-file"),
        ])
        .collect();
    let definitions: Vec<&str> = definitions.iter().map(|text| &**text).collect();
    define(&place, "d", &definitions)?;
    fs::create_dir(place.path("out"))?;
    std::os::unix::fs::chown(place.path("out"), Some(drupe_testing::anyone::NOBODY), None)?;
    let program = command_for_anyone()?;
    let mut command = as_nobody();
    command
        .arg(program.path())
        .args(["--key-file", "key"])
        .args(create("1500M", "out/disk"))
        .current_dir(place.path("."));
    succeeds(with_tools(&place, &mut command)?)?;
    let uuids = tool("sfdisk", |sfdisk| {
        sfdisk.arg("--json").arg(place.path("out/disk"))
    })?;
    let table: serde_json::Value = serde_json::from_str(&uuids)?;
    for number in 1..=6 {
        let partition = extract(&place, "out/disk", number)?;
        let dump = tool("cryptsetup", |it| it.arg("luksDump").arg(&partition))?;
        let label = table["partitiontable"]["partitions"][number - 1]["name"].as_str();
        let label = label.ok_or("no label")?;
        assert!(
            dump.contains(label) && dump.contains("offset: 16777216"),
            "{dump}"
        );
        let try_key = |key: &str| {
            tool("cryptsetup", |it| {
                it.args(["open", "--test-passphrase", "--key-file"])
                    .arg(place.path(key))
                    .arg(&partition)
            })
        };
        try_key("key")?;
        assert!(try_key("wrong").is_err(), "{number}");
        fs::remove_file(partition)?;
    }
    for number in 1..=4 {
        let path = |name: &str| format!("out/disk@{number}:/{name}");
        let key = ["--key-file", "key"];
        let found = place.ok(&[&key[..], &["cat", &path("etc/link")]].concat())?;
        assert_eq!(found, "hello\n");
        let copy = format!("copy-{number}");
        place.ok(&[&key[..], &["cp", &path("large"), &copy]].concat())?;
        assert_same(&place.path("root/large"), &place.path(&copy))?;
    }
    let info = place.ok(&["--key-file", "key", "info", "--json", "out/disk"])?;
    let info: serde_json::Value = serde_json::from_str(&info)?;
    assert!(info.to_string().contains("swap"), "{info}");
    Ok(())
}

/// What is excluded is not there, and what is beside it is.
#[test]
fn excluded_files() -> Outcome {
    let place = Place::new()?;
    for file in [
        "usr/lib/a/file",
        "usr/lib/a/sub/file",
        "usr/lib/b/file",
        "usr/share/doc/x",
        "usr/share/man",
        "usr/log/today",
        "usr/log/sub/y",
    ] {
        place.write(&format!("root/{file}"), "text\n")?;
    }
    std::os::unix::fs::symlink("usr", place.path("root/alias"))?;
    define(
        &place,
        "d",
        &[
            "Type=root; Format=ext4; CopyFiles=/usr:/u; CopyFiles=/usr/share:/share; \
             CopyFiles=/usr/lib/a/file:/one; CopyFiles=/usr/share/man:/two; \
             ExcludeFiles=/alias/lib/a /usr/share/doc/ /none/such; ExcludeFiles=/usr/log/; \
             ExcludeFilesTarget=/u/lib/b/file /two /share/",
        ],
    )?;
    let mut all = create("64M", "disk");
    all.push("--root=root");
    place.ok(&all)?;
    let found = place.ok(&["find", "disk@1:/", "-mindepth", "1"])?;
    let mut found: Vec<_> = found.lines().filter(|it| *it != "/lost+found").collect();
    found.sort_unstable();
    let expected = [
        "/share",
        "/u",
        "/u/lib",
        "/u/lib/b",
        "/u/log",
        "/u/share",
        "/u/share/doc",
        "/u/share/man",
    ];
    assert_eq!(found, expected);
    Ok(())
}

/// Subvolumes are there before files are copied into them; the default one is what a mount
/// shows.
#[test]
fn subvolumes() -> Outcome {
    let place = Place::new()?;
    source(&place)?;
    let root = place.path("root");
    let root = root.display();
    define(
        &place,
        "d",
        &[&format!(
            "Type=root; Format=btrfs; CopyFiles={root}:/@; MakeDirectories=/@/home/user; \
             Subvolumes=/@/home /@ /@/etc:ro; DefaultSubvolume=/@"
        )],
    )?;
    place.ok(&create("300M", "disk"))?;
    let partition = extract(&place, "disk", 1)?;
    tool("btrfs", |btrfs| {
        btrfs.args(["check", "--readonly"]).arg(&partition)
    })?;
    assert_eq!(place.ok(&["cat", "disk@1:/etc/link"])?, "hello\n");
    let whole = ["--mount-options=subvolid=5"];
    let cat = [&whole[..], &["cat", "disk@1:/@/etc/motd"]].concat();
    assert_eq!(place.ok(&cat)?, "hello\n");
    // A subvolume's own directory has the inode 256.
    for (path, inode) in [("/@", "256"), ("/@/home", "256"), ("/@/etc", "256")] {
        let path = format!("disk@1:{path}");
        let stat = [&whole[..], &["stat", "-c", "%i %a", &path]].concat();
        assert_eq!(place.ok(&stat)?, format!("{inode} 755\n"), "{path}");
    }
    let found = place.ok(&["stat", "-c", "%i", "disk@1:/home/user"])?;
    assert_ne!(found, "256\n");
    let said = place.fails(1, &["touch", "disk@1:/etc/new"])?;
    assert!(said.contains("EROFS"), "{said}");
    place.ok(&["touch", "disk@1:/home/new"])?;
    Ok(())
}

/// Both files have the same bytes.
fn assert_same(a: &Path, b: &Path) -> Outcome {
    tool("cmp", |cmp| cmp.arg(a).arg(b)).map(drop)
}

/// Without a key, nothing is begun; with a tool that makes nothing, nothing is left.
#[test]
fn mistakes_of_tools_and_keys() -> Outcome {
    let place = Place::new()?;
    place.write("empty", "")?;
    place.write("key", "k")?;
    let run = |arguments: &[&str]| -> Outcome<(Option<i32>, String)> {
        let mut command = place.command();
        command.args(arguments).args(create("200M", "disk"));
        let output = with_tools(&place, &mut command)?.output()?;
        assert!(!place.path("disk").exists());
        Ok((output.status.code(), String::from_utf8(output.stderr)?))
    };
    define(&place, "d", &["Type=root; Encrypt=key-file"])?;
    let (code, said) = run(&[])?;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--key-file"), "{said}");
    let (code, said) = run(&["--key-file", "empty"])?;
    assert!(code == Some(1) && said.contains("empty"), "{said}");
    for (name, definition) in [
        ("cryptsetup", "Type=root; Encrypt=key-file"),
        ("mke2fs", "Type=root; Format=ext4"),
        ("mkfs.fat", "Type=esp; Format=vfat"),
        ("mkswap", "Type=swap; Format=swap"),
    ] {
        define(&place, "d", &[definition])?;
        fake(&place, name, "exit 0")?;
        let (code, said) = run(&["--key-file", "key"])?;
        fs::remove_file(place.path("bin").join(name))?;
        assert_eq!(code, Some(1), "{name}: {said}");
        assert!(
            said.contains(&format!("{name} did not fail, and made nothing")),
            "{said}"
        );
    }
    Ok(())
}
