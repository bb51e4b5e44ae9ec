//! `drupe repart`: what partitions have inside, beyond files in a plain filesystem.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use drupe_testing::skipped;

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

/// The size of a partition in bytes, by sfdisk.
fn size_of(place: &Place, image: &str, number: usize) -> Outcome<u64> {
    let sectors = field(place, image, number, "size")?.as_u64();
    Ok(sectors.ok_or("no size")? * 512)
}

/// A field of a partition, by sfdisk.
fn field(place: &Place, image: &str, number: usize, name: &str) -> Outcome<serde_json::Value> {
    let json = tool("sfdisk", |it| it.arg("--json").arg(place.path(image)))?;
    let json: serde_json::Value = serde_json::from_str(&json)?;
    Ok(json["partitiontable"]["partitions"][number - 1][name].clone())
}

/// Filesystems of the size of their files, made by an ordinary user; all of them have the
/// owners and modes that others have.
#[test]
fn as_small_as_their_files() -> Outcome {
    let place = Place::for_anyone()?;
    source(&place)?;
    place.write("root/deep/er/file", "text\n")?;
    fs::set_permissions(place.path("root/deep"), fs::Permissions::from_mode(0o1750))?;
    place.write("root/fixed/file", "text\n")?;
    fs::set_permissions(place.path("root/fixed"), fs::Permissions::from_mode(0o555))?;
    tool("chown", |chown| {
        chown.arg("-R").arg("65534:65534").arg(place.path("root"))
    })?;
    xattr::set(place.path("root/etc/motd"), "user.note", b"kept")?;
    let root = place.path("root");
    let root = root.display();
    let files = format!("CopyFiles={root}:/; ExcludeFiles={root}/deep/er");
    let definitions = [
        format!("Type=root; Format=squashfs; Minimize=best; MakeDirectories=/new; {files}"),
        format!("Type=usr; Format=erofs; Minimize=best; {files}"),
        format!("Type=linux-generic; Format=ext4; Minimize=guess; SizeMinBytes=0; {files}"),
        format!("Type=linux-generic; Format=ext4; Minimize=best; {files}"),
        format!("Type=linux-generic; Format=btrfs; Minimize=guess; {files}"),
        format!("Type=home; Format=squashfs; SizeMinBytes=20M; SizeMaxBytes=20M; {files}"),
    ];
    let definitions: Vec<&str> = definitions.iter().map(|text| &**text).collect();
    define(&place, "d", &definitions)?;
    fs::create_dir(place.path("out"))?;
    std::os::unix::fs::chown(place.path("out"), Some(drupe_testing::anyone::NOBODY), None)?;
    let program = command_for_anyone()?;
    let mut command = as_nobody();
    command
        .arg(program.path())
        .args(create("auto", "out/disk"))
        .current_dir(place.path("."));
    succeeds(&mut command)?;
    let left: Vec<_> = fs::read_dir(place.path("out"))?.collect();
    assert_eq!(left.len(), 1, "{left:?}");
    let large = fs::metadata(place.path("root/large"))?.len();
    let (guess, best) = (
        size_of(&place, "out/disk", 3)?,
        size_of(&place, "out/disk", 4)?,
    );
    assert!(best <= guess && guess < 4 * large, "{best} {guess}");
    for number in [1, 2] {
        // Noise: no tool makes it smaller.
        let size = size_of(&place, "out/disk", number)?;
        assert!(size > large && size < large + (1 << 20), "{number}: {size}");
    }
    assert_eq!(size_of(&place, "out/disk", 6)?, 20 << 20);
    for number in 1..=6 {
        let path = |name: &str| format!("out/disk@{number}:/{name}");
        assert_eq!(place.ok(&["cat", &path("etc/link")])?, "hello\n");
        let copy = format!("copy-{number}");
        place.ok(&["cp", &path("large"), &copy])?;
        assert_same(&place.path("root/large"), &place.path(&copy))?;
        let stat = place.ok(&[
            "stat",
            "-c",
            "%a %u %g",
            &path("deep"),
            &path("other"),
            &path(""),
        ])?;
        assert_eq!(
            stat, "1750 65534 65534\n644 65534 65534\n755 65534 65534\n",
            "{number}"
        );
        let note = place.ok(&["tar", &path("etc")])?;
        assert!(note.contains("user.note=kept"), "{number}");
        let links = place.ok(&["stat", "-c", "%h", &path("other")])?;
        assert_eq!(links, "2\n", "{number}");
        assert!(
            place
                .fails(1, &["ls", &path("deep/er")])?
                .contains("ENOENT")
        );
    }
    assert_eq!(
        place.ok(&["stat", "-c", "%u %a", "out/disk@1:/new"])?,
        "0 755\n"
    );
    let erofs = extract(&place, "out/disk", 2)?;
    tool("fsck.erofs", |fsck| fsck.arg(&erofs))?;
    Ok(())
}

/// EROFS takes owners from files of the host: what a user cannot give them is an error,
/// and leaves nothing.
#[test]
fn owners_of_erofs() -> Outcome {
    let place = Place::for_anyone()?;
    source(&place)?;
    let root = place.path("root");
    let text = format!(
        "Type=root; Format=erofs; CopyFiles={}:/; MakeDirectories=/new",
        root.display()
    );
    tool("chown", |chown| chown.arg("1:1").arg(root.join("large")))?;
    define(&place, "d", &[&text])?;
    fs::create_dir(place.path("out"))?;
    std::os::unix::fs::chown(place.path("out"), Some(drupe_testing::anyone::NOBODY), None)?;
    let program = command_for_anyone()?;
    let mut command = as_nobody();
    command.arg(program.path());
    let command = command
        .args(create("100M", "out/disk"))
        .current_dir(place.path("."));
    let output = command.output()?;
    let said = String::from_utf8(output.stderr)?;
    assert!(
        output.status.code() == Some(1) && said.contains("different owners"),
        "{said}"
    );
    assert_eq!(fs::read_dir(place.path("out"))?.count(), 0);
    // Root can.
    place.ok(&create("100M", "disk"))?;
    let stat = place.ok(&["stat", "-c", "%u", "disk@1:/large", "disk@1:/new"])?;
    assert_eq!(stat, "1\n0\n");
    Ok(())
}

/// veritysetup finds the hashes right; UUIDs are those of the specification; the same
/// description gives the same root hash.
#[test]
fn verity() -> Outcome {
    let place = Place::new()?;
    source(&place)?;
    let root = place.path("root");
    let root = root.display();
    define(
        &place,
        "d",
        &[
            "Type=root-verity; Verity=hash; VerityMatchKey=r; SizeMinBytes=2M; SizeMaxBytes=2M",
            &format!(
                "Type=root; Format=ext4; Verity=data; VerityMatchKey=r; SizeMaxBytes=40M; CopyFiles={root}:/"
            ),
            &format!(
                "Type=usr; Format=squashfs; Minimize=best; Verity=data; VerityMatchKey=u; CopyFiles={root}:/"
            ),
            "Type=usr-verity; Verity=hash; VerityMatchKey=u; SizeMinBytes=1M; SizeMaxBytes=1M; VerityDataBlockSizeBytes=1K",
            "Type=linux-generic; Verity=hash; VerityMatchKey=b; SizeMinBytes=1M; UUID=6f0c3a52-3f0f-4ea0-9d2a-0c5b51f4b7a1",
            &format!(
                "Type=linux-generic; Verity=data; VerityMatchKey=b; CopyBlocks={root}/large; SizeMaxBytes=12M"
            ),
        ],
    )?;
    let mut roots = Vec::new();
    for image in ["one", "two"] {
        let mut drupe = place.command();
        drupe
            .arg("--json")
            .args(create("100M", image))
            .env("SOURCE_DATE_EPOCH", "1700000000");
        let json: serde_json::Value = serde_json::from_str(&succeeds(&mut drupe)?)?;
        for (data, hash) in [(2, 1), (3, 4), (6, 5)] {
            let row = &json[data - 1];
            let root = row["roothash"].as_str().ok_or("no root hash")?.to_owned();
            assert_eq!(json[hash - 1]["roothash"], *root);
            let uuid = |number| -> Outcome<String> {
                let uuid = field(&place, image, number, "uuid")?;
                Ok(uuid
                    .as_str()
                    .ok_or("no UUID")?
                    .replace('-', "")
                    .to_lowercase())
            };
            assert_eq!(uuid(data)?, root[..32]);
            assert_eq!(
                row["uuid"].as_str().map(|it| it.replace('-', "")),
                Some(root[..32].to_owned())
            );
            match hash {
                5 => assert_eq!(uuid(hash)?, "6f0c3a523f0f4ea09d2a0c5b51f4b7a1"),
                _ => assert_eq!(uuid(hash)?, root[32..]),
            }
            let (data, hash) = (extract(&place, image, data)?, extract(&place, image, hash)?);
            tool("veritysetup", |it| {
                it.arg("verify").args([&data, &hash]).arg(&root)
            })?;
            roots.push(root);
        }
    }
    assert_eq!(roots[..3], roots[3..]);
    assert_eq!(place.ok(&["cat", "one@2:/etc/link"])?, "hello\n");
    assert_eq!(place.ok(&["cat", "one@3:/etc/link"])?, "hello\n");
    // Hashes of data that is there already, and may have changed.
    place.ok(&["create", "100M", "four"])?;
    place.ok(&["part", "-q", "four", "add", "-t", "root", "-s", "40M"])?;
    let run = place.drupe(&["repart", "--definitions=d", "--dry-run=no", "four"])?;
    assert!(
        run.code == Some(1) && run.stderr.contains("is not new"),
        "{run:?}"
    );
    // Too small for its hashes.
    define(
        &place,
        "d",
        &[
            "Type=root; Format=ext4; Verity=data; VerityMatchKey=r; MakeDirectories=/a",
            "Type=root-verity; Verity=hash; VerityMatchKey=r; SizeMinBytes=64K; SizeMaxBytes=64K",
        ],
    )?;
    let run = place.drupe(&create("100M", "three"))?;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(
        run.stderr.contains("10.conf: the hashes take") && run.stderr.contains("SizeMinBytes="),
        "{run:?}"
    );
    assert!(!place.path("three").exists());
    Ok(())
}

/// systemd-repart, whose salt is random, gives the same places, and UUIDs by the same rule.
#[test]
fn verity_as_systemd() -> Outcome {
    let place = Place::new()?;
    source(&place)?;
    let root = place.path("root");
    let root = root.display();
    define(
        &place,
        "d",
        &[
            &format!(
                "Type=root; Verity=data; VerityMatchKey=r; SizeMaxBytes=20M; CopyBlocks={root}/large"
            ),
            "Type=root-verity; Verity=hash; VerityMatchKey=r; SizeMinBytes=2M; SizeMaxBytes=2M",
        ],
    )?;
    let ours = [&["--json"][..], &create("60M", "ours")].concat();
    let ours = place.ok(&ours)?;
    let arguments = ["--json=short", "--no-pager"].into_iter();
    let arguments = arguments.chain(create("60M", "theirs").into_iter().skip(1));
    let theirs = succeeds(place.command_of("systemd-repart").args(arguments));
    let theirs = match theirs {
        Ok(theirs) => theirs,
        Err(error) => {
            skipped(format!("the comparison with systemd-repart: {error}"));
            return Ok(());
        }
    };
    let of = |json: &str, size: &str| -> Outcome<Vec<_>> {
        let rows: Vec<serde_json::Value> = serde_json::from_str(json)?;
        let hash = rows[1]["roothash"].as_str().ok_or("no root hash")?;
        let halves = [&hash[..32], &hash[32..]];
        let rows = rows.iter().zip(halves).map(|(row, half)| {
            let uuid = row["uuid"].as_str().map(|uuid| uuid.replace('-', ""));
            let is_half = uuid.as_deref() == Some(half);
            let fields = ["type", "label", "offset", size].map(|name| row[name].clone());
            (is_half, fields)
        });
        Ok(rows.collect())
    };
    let ours = of(&ours, "size")?;
    assert!(ours.iter().all(|(is_half, _)| *is_half), "{ours:?}");
    assert_eq!(ours, of(&theirs, "raw_size")?);
    Ok(())
}

/// Both files have the same bytes.
fn assert_same(a: &Path, b: &Path) -> Outcome {
    tool("cmp", |cmp| cmp.arg(a).arg(b)).map(drop)
}

/// A new image is qcow2 by its name or by an option: the same disk as a raw one, in a file
/// that qemu-img finds right.
#[test]
fn qcow2_images() -> Outcome {
    let place = Place::new()?;
    source(&place)?;
    let root = place.path("root");
    let root = root.display();
    let definition = format!("Type=root; Format=ext4; CopyFiles={root}:/");
    define(&place, "d", &[&definition])?;
    let made = |arguments: &[&str], image| -> Outcome {
        let mut drupe = place.command();
        let drupe = drupe.args(arguments).args(create("3000M", image));
        succeeds(drupe.env("SOURCE_DATE_EPOCH", "1700000000")).map(drop)
    };
    made(&[], "raw")?;
    made(&[], "disk.qcow2")?;
    made(&["--image-format=qcow2"], "disk.img")?;
    for image in ["disk.qcow2", "disk.img"] {
        tool("qemu-img", |qemu| {
            let qemu = qemu.args(["check", "-q", "-f", "qcow2"]);
            qemu.arg(place.path(image))
        })?;
        tool("qemu-img", |qemu| {
            let qemu = qemu.args(["compare", "-q", "-f", "raw", "-F", "qcow2"]);
            qemu.arg(place.path("raw")).arg(place.path(image))
        })?;
        assert_eq!(
            place.ok(&["cat", &format!("{image}@1:/etc/link")])?,
            "hello\n"
        );
        let len = fs::metadata(place.path(image))?.len();
        assert!(len < 200 << 20, "{len}");
    }
    place.fails(
        2,
        &["--image-format=vmdk", "repart", "--definitions=d", "new"],
    )?;
    Ok(())
}

/// Zeroes that are holes of the host's file are zeroes in an encrypted volume.
#[test]
fn holes_in_encrypted_volumes() -> Outcome {
    let place = Place::new()?;
    fast_cryptsetup(&place)?;
    place.write("key", "k")?;
    place.write("root/zeroes", vec![0; 2 << 20])?;
    let root = place.path("root");
    let root = root.display().to_string();
    let full = place.ext4("full", 16 << 20, &[])?;
    place.ok(&["cp", "root/zeroes", "full:/"])?;
    let sparse = place.path("sparse");
    tool("cp", |cp| cp.arg("--sparse=always").args([&full, &sparse]))?;
    define(
        &place,
        "d",
        &[
            &format!(
                "Type=root; Encrypt=key-file; CopyBlocks={}",
                sparse.display()
            ),
            &format!(
                "Type=home; Encrypt=key-file; Format=ext4; Minimize=guess; CopyFiles={root}:/"
            ),
        ],
    )?;
    let mut command = place.command();
    command
        .args(["--key-file", "key"])
        .args(create("auto", "disk"));
    succeeds(with_tools(&place, &mut command)?)?;
    for number in [1, 2] {
        let path = format!("disk@{number}:/zeroes");
        let copy = format!("copy-{number}");
        place.ok(&["--key-file", "key", "cp", &path, &copy])?;
        assert_same(&place.path("root/zeroes"), &place.path(&copy))?;
    }
    Ok(())
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
        (
            "mksquashfs",
            "Type=root; Format=squashfs; MakeDirectories=/a",
        ),
        ("mkfs.erofs", "Type=root; Format=erofs; MakeDirectories=/a"),
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
