//! `drupe create`, `mkfs` and `part`: the steps of `repart`, one at a time.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::harness::{Outcome, Place, as_nobody, command_for_anyone, succeeds, tool};

use super::repart::{create, define};

const UUID: &str = "6f0c3a52-3f0f-4ea0-9d2a-0c5b51f4b7a1";

/// From nothing to files in a partition, as an ordinary user.
#[test]
fn one_step_at_a_time() -> Outcome {
    let place = Place::for_anyone()?;
    std::os::unix::fs::chown(place.path(""), Some(drupe_testing::anyone::NOBODY), None)?;
    let program = command_for_anyone()?;
    let drupe = |arguments: &[&str]| {
        let mut command = as_nobody();
        command.arg(program.path()).args(arguments);
        succeeds(command.current_dir(place.path(".")))
    };
    drupe(&["create", "300M", "disk"])?;
    let made = fs::metadata(place.path("disk"))?;
    assert_eq!((made.len(), made.blocks()), (300 << 20, 0));
    drupe(&[
        "part", "disk", "add", "-t", "esp", "-s", "64M", "-L", "boot",
    ])?;
    drupe(&["part", "disk", "add", "-s", "40M", "-U", UUID])?;
    let listed = drupe(&["part", "disk", "add", "--json"])?;
    let rows: serde_json::Value = serde_json::from_str(&listed)?;
    assert_eq!(rows.as_array().map(Vec::len), Some(3));
    assert_eq!(
        (&rows[0]["type"], &rows[0]["label"]),
        (&"esp".into(), &"boot".into())
    );
    assert_eq!(rows[1]["size"], 40 << 20);
    assert_eq!(rows[1]["uuid"], UUID);
    assert!(
        rows[2]["size"]
            .as_u64()
            .is_some_and(|size| size > 190 << 20),
        "{rows}"
    );
    drupe(&["mkfs", "-t", "vfat", "-L", "efi", "disk@1"])?;
    drupe(&["mkfs", "-t", "ext4", "-U", UUID, "disk@2"])?;
    place.write("file", "text\n")?;
    drupe(&["cp", "file", "disk@2:/"])?;
    assert_eq!(drupe(&["cat", "disk@2:/file"])?, "text\n");
    let info = drupe(&["info", "disk"])?;
    assert!(info.contains("EFI") && info.contains(UUID), "{info}");
    // What is there is not overwritten, unless that is said.
    for target in ["disk@2", "disk"] {
        let said = place.fails(3, &["mkfs", "-t", "xfs", target])?;
        assert!(said.contains("--force"), "{said}");
    }
    assert_eq!(drupe(&["cat", "disk@2:/file"])?, "text\n");
    drupe(&["part", "disk", "delete", "3"])?;
    drupe(&["mkfs", "-f", "-t", "ext2", "disk@2"])?;
    assert_eq!(drupe(&["ls", "disk@2:/"])?, "lost+found\n");
    let table = tool("sfdisk", |it| it.arg("--dump").arg(place.path("disk")))?;
    assert_eq!(table.matches("start=").count(), 2, "{table}");
    tool("sgdisk", |it| it.arg("--verify").arg(place.path("disk")))?;
    drupe(&["create", "20G", "new.qcow2"])?;
    tool("qemu-img", |it| {
        let it = it.args(["check", "-q", "-f", "qcow2"]);
        it.arg(place.path("new.qcow2"))
    })?;
    let info = tool("qemu-img", |it| {
        let it = it.args(["info", "--output=json"]);
        it.arg(place.path("new.qcow2"))
    })?;
    let info: serde_json::Value = serde_json::from_str(&info)?;
    assert_eq!(info["virtual-size"], 20u64 << 30);
    Ok(())
}

/// An MBR, by sfdisk's eyes and the kernel's; and over a GUID partition table, if told.
#[test]
fn mbr_tables() -> Outcome {
    let place = Place::new()?;
    place.write("root/file", "text\n")?;
    let root = place.path("root");
    let root = root.display();
    define(
        &place,
        "d",
        &[
            "Type=esp; Format=vfat; SizeMinBytes=64M; SizeMaxBytes=64M; Flags=4",
            &format!("Type=root; Format=ext4; CopyFiles={root}:/; SizeMaxBytes=100M"),
            "Type=swap; Format=swap; SizeMaxBytes=20M",
        ],
    )?;
    let mut mbr = create("10G", "disk");
    mbr.push("--table=mbr");
    let shown = place.ok(&mbr)?;
    let dump = || tool("sfdisk", |it| it.arg("--dump").arg(place.path("disk")));
    let table = dump()?;
    for line in [
        "label: dos",
        "start=        2048, size=      131072, type=ef, bootable",
        "start=      133120, size=      204800, type=83",
        "size=       40960, type=82",
    ] {
        assert!(table.contains(line), "{line}: {table}");
    }
    let id = table
        .lines()
        .find_map(|line| line.strip_prefix("label-id: 0x"));
    let id = id.ok_or("no identifier")?;
    assert!(shown.contains(&format!("{id}-02")), "{id}: {shown}");
    tool("sfdisk", |it| it.arg("--verify").arg(place.path("disk")))?;
    assert_eq!(place.ok(&["cat", "disk@2:/file"])?, "text\n");
    // It is not changed, nor taken for an empty disk.
    let said = place.fails(3, &["repart", "--definitions=d", "--dry-run=no", "disk"])?;
    assert!(said.contains("MBR"), "{said}");
    // Over a GUID partition table: that is gone, both copies.
    place.ok(&create("300M", "other"))?;
    let mut over = vec![
        "repart",
        "--definitions=d",
        "--dry-run=no",
        "--table=mbr",
        "other",
    ];
    assert!(place.fails(3, &over)?.contains("GUID"));
    over.push("--empty=force");
    place.ok(&over)?;
    let info = place.ok(&["info", "--json", "other"])?;
    assert!(
        info.contains("\"partition_table\": \"dos\"")
            || info.contains("\"partition_table\":\"dos\""),
        "{info}"
    );
    assert!(
        !fs::read(place.path("other"))?
            .windows(8)
            .any(|it| it == b"EFI PART")
    );
    // Five do not fit, and types of others have no number.
    for (definitions, told) in [
        (vec!["Type=linux-generic; SizeMaxBytes=10M"; 5], "room"),
        (
            vec!["Type=e3c9e316-0b5c-4db8-817d-f92df00215ae"],
            "e3c9e316",
        ),
    ] {
        define(&place, "d", &definitions)?;
        let mut mbr = create("100M", "new");
        mbr.push("--table=mbr");
        let run = place.drupe(&mbr)?;
        assert!(run.code == Some(3) && run.stderr.contains(told), "{run:?}");
        assert!(!place.path("new").exists());
    }
    Ok(())
}

#[test]
fn mistakes() -> Outcome {
    let place = Place::new()?;
    place.ext4("ext4", 16 << 20, &[])?;
    place.ok(&["create", "16M", "empty"])?;
    place.ok(&["create", "--format=qcow2", "16M", "container"])?;
    place.ok(&["create", "16M", "disk"])?;
    place.ok(&["part", "-q", "disk", "add", "-s", "12M"])?;
    let before = fs::read(place.path("disk"))?;
    for (code, arguments, told) in [
        (3, &["create", "1M", "ext4"][..], "exists"),
        (2, &["create", "1000", "new"], "512"),
        (2, &["create", "many", "new"], "bytes"),
        (3, &["part", "ext4", "add"], "ext4"),
        (3, &["part", "empty"], "add"),
        (3, &["part", "container"], "qcow2"),
        (3, &["part", "disk", "add", "-s", "1G"], "bytes"),
        (3, &["part", "disk", "delete", "2"], "no partition 2"),
        (2, &["part", "disk", "delete"], "NUMBER"),
        (2, &["part", "disk", "add", "1"], "delete"),
        (2, &["part", "disk", "add", "-t", "rot"], "rot"),
        (2, &["part", "--read-only", "disk", "add"], "--read-only"),
        (3, &["mkfs", "-t", "ext4", "disk@2"], "2"),
        (3, &["mkfs", "-t", "ext4", "container"], "qcow2"),
        (2, &["mkfs", "-t", "zfs", "disk@1"], "zfs"),
        (3, &["mkfs", "-t", "ext4", "none"], "none"),
    ] {
        let run = place.drupe(arguments)?;
        assert_eq!(run.code, Some(code), "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(told), "{arguments:?}: {run:?}");
    }
    assert!(fs::read(place.path("disk"))? == before, "it has changed");
    assert!(!place.path("new").exists());
    Ok(())
}
