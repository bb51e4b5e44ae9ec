//! `drupe info`, and partitions.

use std::fs::File;

use serde_json::{Value, json};

use super::harness::{Outcome, Place, strings, tool};

const UUID: &str = "01234567-89ab-4cde-8f01-23456789abcd";

/// A GPT with a vfat and two ext4 partitions, and one of them with a file.
fn partitioned(place: &Place) -> Outcome {
    let image = place.path("disk.img");
    File::create(&image)?.set_len(64 << 20)?;
    let table = format!(
        "label: gpt\n\
         1: start=2048, size=16384, type=U, name=EFI\n\
         2: start=18432, size=32768, type=L, name=root, uuid={UUID}\n\
         5: start=51200, type=L\n"
    );
    place.write("table", table)?;
    tool("sh", |sh| {
        let script = "/sbin/sfdisk -q disk.img < table";
        sh.arg("-c").arg(script).current_dir(place.path(""))
    })?;
    tool("mkfs.vfat", |mkfs| {
        let at = ["--offset", "2048", "-n", "BOOT", "-i", "1234ABCD"];
        mkfs.args(at).arg(&image).arg("8192")
    })?;
    tool("mkfs.ext4", |mkfs| {
        let offset = format!("offset={}", (2048 + 16384) * 512);
        mkfs.args(["-q", "-L", "root", "-U", UUID, "-E", &offset])
            .arg(&image)
            .arg("16384k")
    })?;
    Ok(())
}

#[test]
fn partitions() -> Outcome {
    let place = Place::new()?;
    partitioned(&place)?;
    let text = place.ok(&strings(&["info", "--json", "disk.img"]))?;
    let images: Vec<Value> = serde_json::from_str(&text)?;
    assert_eq!(images[0]["partition_table"], "gpt");
    let parts = &images[0]["partitions"];
    let mut second = parts[1].clone();
    assert_eq!(second["start"].take(), json!((2048 + 16384) * 512));
    assert_eq!(second["number"].take(), 2);
    for (key, value) in [
        ("size", json!(16 << 20)),
        ("type_name", json!("Linux filesystem")),
        ("name", json!("root")),
        ("partition_uuid", json!(UUID)),
        ("filesystem", json!("ext4")),
        ("label", json!("root")),
        ("uuid", json!(UUID)),
        ("filesystem_size", json!(16 << 20)),
    ] {
        assert_eq!(second[key], value, "{key}");
    }
    assert_eq!(parts[0]["uuid"], "1234-ABCD");
    assert_eq!(parts[2]["number"], 5);
    assert_eq!(parts[2]["filesystem"], Value::Null);

    let table = place.ok(&strings(&["info", "disk.img"]))?;
    assert!(table.contains("64.00 MiB, gpt partition table"), "{table}");
    // That of the partition is the filesystem's, too.
    let line = table.lines().find(|line| line.starts_with("2 "));
    let line = line.ok_or("no second partition")?;
    assert_eq!(line.matches(UUID).count(), 2, "{table}");
    assert!(line.ends_with(UUID), "{table}");
    Ok(())
}

#[test]
fn which_partition() -> Outcome {
    let place = Place::new()?;
    partitioned(&place)?;
    place.write("a", "A")?;
    place.ok(&strings(&["cp", "a", "disk.img@2:/"]))?;
    place.ok(&strings(&["cp", "disk.img@2:/a", "disk.img@1:/b"]))?;
    assert_eq!(place.ok(&strings(&["ls", "disk.img@1"]))?, "b\n");
    assert_eq!(place.ok(&strings(&["cat", "disk.img@1:/b"]))?, "A");
    let line = place.fails(3, &strings(&["ls", "disk.img:/"]))?;
    assert!(line.contains("say which: disk.img@1, disk.img@2"), "{line}");
    let line = place.fails(3, &strings(&["ls", "disk.img@3:/"]))?;
    assert!(
        line.contains("no partition 3; there are: 1, 2, 5"),
        "{line}"
    );
    for path in ["disk.img@root", "disk.img@root:/a"] {
        let lines = place.fails(3, &strings(&["cat", path]))?;
        assert_eq!(
            lines,
            "drupe: disk.img: has no partition or volume \"root\"; there are: 0, \
             1 (name \"EFI\", vfat \"BOOT\"), 2 (name \"root\", ext4 \"root\"), 5\n\
             hint: \"root\" is the name or label of disk.img@2\n"
        );
    }
    let line = place.fails(3, &strings(&["ls", "disk.img@5:/"]))?;
    assert!(line.contains("no filesystem"), "{line}");
    Ok(())
}

/// Owners and links that vfat does not have: a warning and an error, each once.
#[test]
fn vfat_keeps_what_it_can() -> Outcome {
    let place = Place::new()?;
    partitioned(&place)?;
    place.write("tree/a", "A")?;
    tool("chown", |chown| chown.arg("7:8").arg(place.path("tree/a")))?;
    let run = place.drupe(&strings(&["cp", "-a", "tree", "disk.img@1:/"]))?;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(
        run.stderr.contains("warning: the target refused owners"),
        "{run:?}"
    );
    place.ok(&strings(&["-q", "cp", "-a", "tree", "disk.img@1:/"]))?;
    std::os::unix::fs::symlink("a", place.path("tree/link"))?;
    let line = place.fails(1, &strings(&["-q", "cp", "-a", "tree", "disk.img@1:/"]))?;
    assert!(line.contains("symlink disk.img@1:/tree/link: "), "{line}");
    assert_eq!(place.ok(&strings(&["cat", "disk.img@1:/tree/a"]))?, "A");
    Ok(())
}
