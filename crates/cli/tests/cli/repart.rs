//! `drupe repart`: disks from `repart.d` definitions.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use drupe_testing::skipped;

use super::harness::{
    Outcome, Place, Run, as_nobody, command_for_anyone, noise, strings, succeeds, tool,
};

const SEED: &str = "01234567-89ab-cdef-0123-456789abcdef";
const MIB: u64 = 1 << 20;

/// A definition for each line: settings with spaces between them.
pub(crate) fn define(place: &Place, directory: &str, definitions: &[&str]) -> Outcome {
    let _ = fs::remove_dir_all(place.path(directory));
    for (number, definition) in definitions.iter().enumerate() {
        let text = definition.replace("; ", "\n");
        let file = format!("{directory}/{number}0.conf");
        place.write(&file, format!("[Partition]\n{text}\n"))?;
    }
    Ok(())
}

pub(crate) fn create<'a>(size: &'a str, image: &'a str) -> Vec<&'a str> {
    vec![
        "repart",
        "--definitions=d",
        "--empty=create",
        "--dry-run=no",
        "--seed",
        SEED,
        "--size",
        size,
        image,
    ]
}

/// The bytes of a partition, for the tools of its filesystem.
pub(crate) fn extract(place: &Place, image: &str, number: usize) -> Outcome<std::path::PathBuf> {
    let json = tool("sfdisk", |sfdisk| {
        sfdisk.arg("--json").arg(place.path(image))
    })?;
    let json: serde_json::Value = serde_json::from_str(&json)?;
    let partition = &json["partitiontable"]["partitions"][number - 1];
    let field = |name: &str| partition[name].as_u64().ok_or("no such partition");
    let mut bytes = vec![0; field("size")? as usize * 512];
    File::open(place.path(image))?.read_exact_at(&mut bytes, field("start")? * 512)?;
    let path = place.path(format!("{image}.{number}"));
    fs::write(&path, bytes)?;
    Ok(path)
}

pub(crate) fn source(place: &Place) -> Outcome {
    place.write("root/etc/motd", "hello\n")?;
    place.write("root/large", noise(3 << 20))?;
    std::os::unix::fs::symlink("motd", place.path("root/etc/link"))?;
    fs::hard_link(place.path("root/large"), place.path("root/other"))?;
    Ok(())
}

#[test]
fn a_disk_from_nothing() -> Outcome {
    let place = Place::new()?;
    source(&place)?;
    let root = place.path("root");
    let root = root.display();
    define(
        &place,
        "d",
        &[
            &format!(
                "Type=esp; SizeMinBytes=64M; SizeMaxBytes=64M; CopyFiles={root}/etc/motd:/EFI/BOOT/BOOTX64.EFI"
            ),
            &format!(
                "Type=root; Format=ext4; CopyFiles={root}:/; CopyFiles={root}/etc:/a/b; MakeDirectories=/proc /var/lib; MakeSymlinks=/x/bin:usr/bin"
            ),
            "Type=swap; Format=swap; SizeMaxBytes=20M",
            &format!("Type=home; Format=xfs; SizeMaxBytes=310M; CopyFiles={root}:/"),
            &format!("Type=srv; Format=btrfs; SizeMaxBytes=310M; CopyFiles={root}:/"),
            &format!("Type=var; Format=f2fs; SizeMaxBytes=310M; CopyFiles={root}:/"),
            "Type=linux-generic; Label=raw; SizeMaxBytes=10M",
        ],
    )?;
    let shown = place.ok(&strings(&create("2G", "disk")))?;
    assert!(
        shown.contains("root-x86-64") && shown.contains("10.conf"),
        "{shown}"
    );
    tool("sgdisk", |sgdisk| {
        sgdisk.arg("--verify").arg(place.path("disk"))
    })?;
    for (number, fsck) in [
        (1, &["fsck.fat", "-n"][..]),
        (2, &["e2fsck", "-fn"]),
        (4, &["xfs_repair", "-n"]),
        (5, &["btrfs", "check", "--readonly"]),
        (6, &["fsck.f2fs", "--dry-run"]),
    ] {
        let partition = extract(&place, "disk", number)?;
        tool(fsck[0], |tool| tool.args(&fsck[1..]).arg(&partition))?;
    }
    assert_eq!(
        place.ok(&["cat", "disk@1:/EFI/BOOT/BOOTX64.EFI"])?,
        "hello\n"
    );
    for number in [2, 4, 5, 6] {
        let path = |name: &str| format!("disk@{number}:/{name}");
        assert_eq!(place.ok(&["cat", &path("etc/link")])?, "hello\n");
        place.ok(&["cp", "-n", &path("large"), &format!("copy-{number}")])?;
        assert_eq!(
            fs::read(place.path(format!("copy-{number}")))?,
            noise(3 << 20)
        );
        let links = place.ok(&["stat", "-c", "%h", &path("other")])?;
        assert_eq!(links, "2\n", "{number}");
    }
    let found = place.ok(&strings(&[
        "stat",
        "-c",
        "%a %u %N",
        "disk@2:/proc",
        "disk@2:/var/lib",
        "disk@2:/x/bin",
        "disk@2:/a/b/motd",
    ]))?;
    let expected = "755 0 /proc\n755 0 /var/lib\n777 0 /x/bin -> usr/bin\n644 0 /a/b/motd\n";
    assert_eq!(found.replace('\'', ""), expected);
    // What was copied begins with nothing of its own on the host.
    let used = fs::metadata(place.path("disk"))?;
    let used = std::os::unix::fs::MetadataExt::blocks(&used) * 512;
    assert!(used < 200 * MIB, "{used} bytes");
    Ok(())
}

/// The same definitions and the same seed: the same bytes, as systemd-repart's too.
#[test]
fn the_same_twice_and_as_systemd() -> Outcome {
    let place = Place::new()?;
    source(&place)?;
    let root = place.path("root");
    let root = root.display();
    define(
        &place,
        "d",
        &[
            &format!(
                "Type=esp; Format=vfat; SizeMaxBytes=64M; SizeMinBytes=64M; CopyFiles={root}/etc/motd:/e/motd"
            ),
            "Type=swap; Format=swap; SizeMaxBytes=20M",
            &format!("Type=root; Format=ext4; SizeMaxBytes=300M; CopyFiles={root}:/"),
        ],
    )?;
    for image in ["a", "b"] {
        let mut drupe = place.command();
        drupe
            .args(create("600M", image))
            .env("SOURCE_DATE_EPOCH", "1700000000");
        succeeds(&mut drupe)?;
    }
    tool("cmp", |cmp| cmp.arg(place.path("a")).arg(place.path("b")))?;

    define(
        &place,
        "d",
        &[
            "Type=swap; Format=swap; SizeMaxBytes=20M",
            "Type=srv; SizeMinBytes=50M",
            "Type=esp",
        ],
    )?;
    place.ok(&strings(&create("200M", "c")))?;
    let systemd = succeeds(place.command_of("systemd-repart").args([
        "--definitions=d",
        "--empty=create",
        "--size=200M",
        "--dry-run=no",
        "--pretty=no",
        "--no-pager",
        "--seed",
        SEED,
        "s",
    ]));
    match systemd {
        Ok(_) => tool("cmp", |cmp| cmp.arg(place.path("c")).arg(place.path("s"))).map(drop),
        Err(error) => {
            skipped(format!("the comparison with systemd-repart: {error}"));
            Ok(())
        }
    }
}

/// What is there stays, byte for byte, and the new partition is behind it.
#[test]
fn partitions_are_added() -> Outcome {
    let place = Place::new()?;
    source(&place)?;
    let root = place.path("root");
    let root = root.display();
    define(
        &place,
        "d",
        &[
            "Type=esp; Format=vfat; SizeMaxBytes=64M; SizeMinBytes=64M",
            &format!("Type=root; Format=ext4; SizeMaxBytes=100M; CopyFiles={root}:/"),
        ],
    )?;
    place.ok(&strings(&create("300M", "disk")))?;
    let before = extract(&place, "disk", 2)?;
    let before = fs::read(before)?;
    // Bytes of somebody's in the free room: no part of what comes.
    File::options()
        .write(true)
        .open(place.path("disk"))?
        .write_all_at(&noise(1 << 20), 200 * MIB)?;
    define(
        &place,
        "d",
        &[
            "Type=esp; SizeMaxBytes=64M",
            "Type=root; SizeMaxBytes=150M",
            &format!("Type=home; Format=ext4; CopyFiles={root}/etc:/u"),
        ],
    )?;
    let run = place.drupe(&["repart", "--definitions=d", "--size=600M", "disk"])?;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(
        run.stderr.starts_with("hint: nothing was changed"),
        "{run:?}"
    );
    assert_eq!(fs::metadata(place.path("disk"))?.len(), 300 * MIB);
    let run = place.drupe(&strings(&[
        "repart",
        "--definitions=d",
        "--size=600M",
        "--dry-run=no",
        "--json-lines",
        "disk",
    ]))?;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(
        run.stderr.starts_with("hint: partitions have grown"),
        "{run:?}"
    );
    let shown = run.stdout;
    let activities: Vec<String> = shown
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).map(|row| row["activity"].to_string())
        })
        .collect::<Result<_, _>>()?;
    assert_eq!(activities, ["\"unchanged\"", "\"resize\"", "\"create\""]);
    let after = fs::read(extract(&place, "disk", 2)?)?;
    assert!(after.starts_with(&before), "the partition has changed");
    assert_eq!(place.ok(&["cat", "disk@3:/u/motd"])?, "hello\n");
    let home = extract(&place, "disk", 3)?;
    tool("e2fsck", |fsck| fsck.arg("-fn").arg(&home))?;
    // A second time, there is nothing to do.
    let again = place.ok(&strings(&[
        "repart",
        "--definitions=d",
        "--dry-run=no",
        "disk",
    ]))?;
    assert_eq!(again.matches("unchanged").count(), 3, "{again}");
    Ok(())
}

/// Any user makes what root makes.
#[test]
fn as_an_ordinary_user() -> Outcome {
    let place = Place::for_anyone()?;
    source(&place)?;
    let root = place.path("root");
    define(
        &place,
        "d",
        &[&format!(
            "Type=root; Format=ext4; CopyFiles={}:/",
            root.display()
        )],
    )?;
    fs::create_dir(place.path("out"))?;
    std::os::unix::fs::chown(place.path("out"), Some(drupe_testing::anyone::NOBODY), None)?;
    let drupe = command_for_anyone()?;
    let mut command = as_nobody();
    command
        .arg(drupe.path())
        .args(create("100M", "out/disk"))
        .current_dir(place.path("."));
    succeeds(&mut command)?;
    assert_eq!(
        place.ok(&["stat", "-c", "%u", "out/disk@1:/etc/motd"])?,
        "0\n"
    );
    Ok(())
}

#[test]
fn mistakes_leave_nothing() -> Outcome {
    let place = Place::new()?;
    source(&place)?;
    place.write("file", noise(3 << 20))?;
    tool("qemu-img", |qemu| {
        qemu.args(["create", "-q", "-f", "qcow2"])
            .arg(place.path("q.qcow2"))
            .arg("10M")
    })?;
    let cases: &[(&[&str], &[&str], i32, &str)] = &[
        (
            &["Type=root; Format=zfs"],
            &["--empty=create", "--size=100M", "new"],
            1,
            "00.conf: Format=zfs",
        ),
        (
            &["Type=rot"],
            &["--empty=create", "--size=100M", "new"],
            1,
            "00.conf:2: Type=rot",
        ),
        (&["Type=root"], &["--empty=create", "new"], 2, "--size"),
        (
            &["Type=root"],
            &["--empty=create", "--size=100M", "file"],
            3,
            "remove it first",
        ),
        (
            &["Type=root"],
            &["--empty=create", "--size=100M", "none/new"],
            3,
            "none/new",
        ),
        (
            &["Type=root; SizeMinBytes=1G"],
            &["--empty=create", "--size=100M", "new"],
            3,
            "1073741824 bytes",
        ),
        (
            &["Type=root; CopyFiles=/none/such:/"],
            &["--empty=create", "--size=100M", "new"],
            1,
            "/none/such",
        ),
        (
            &["Type=root; CopyBlocks=/none/such"],
            &["--empty=create", "--size=100M", "new"],
            1,
            "/none/such",
        ),
        (&["Type=root"], &["file"], 3, "--empty=require"),
        (&["Type=root"], &["q.qcow2"], 3, "only raw images"),
        (&["Type=root"], &["none"], 3, "none"),
        (&[], &["--empty=create", "--size=100M", "new"], 1, "d"),
    ];
    for (definitions, arguments, code, told) in cases {
        define(&place, "d", definitions)?;
        fs::create_dir_all(place.path("d"))?;
        let before = tool("ls", |ls| ls.arg("-la").arg(place.path(".")))?;
        let mut all = vec!["repart", "--definitions=d", "--dry-run=no"];
        all.extend(*arguments);
        let Run {
            code: found,
            stderr,
            ..
        } = place.drupe(&all)?;
        assert_eq!(found, Some(*code), "{arguments:?}: {stderr}");
        assert!(
            stderr.starts_with("drupe: ") && stderr.contains(told),
            "{arguments:?}: {stderr}"
        );
        let names = |text: &str| {
            text.lines()
                .map(|line| line.rsplit(' ').next().map(str::to_owned))
                .collect::<Vec<_>>()
        };
        let after = tool("ls", |ls| ls.arg("-la").arg(place.path(".")))?;
        assert_eq!(names(&before), names(&after), "{arguments:?}");
    }
    assert_eq!(fs::read(place.path("file"))?, noise(3 << 20));
    Ok(())
}

/// A disk that holds anything is not taken for an empty one.
#[test]
fn what_is_on_a_disk_stays() -> Outcome {
    let place = Place::new()?;
    define(&place, "d", &["Type=root; SizeMaxBytes=10M"])?;
    let fresh = |name: &str| -> Outcome<std::path::PathBuf> {
        let path = place.path(name);
        File::create(&path)?.set_len(64 * MIB)?;
        Ok(path)
    };
    place.ext4("ext4", 64 * MIB, &[])?;
    let mbr = fresh("mbr")?;
    tool("sh", |sh| {
        sh.arg("-c")
            .arg("echo ,, | sfdisk -q --label dos \"$0\"")
            .arg(&mbr)
    })?;
    let gpt = fresh("gpt")?;
    let script = "echo ,, | sfdisk -q --label gpt --sector-size 4096 \"$0\"";
    if tool("sh", |sh| sh.arg("-c").arg(script).arg(&gpt)).is_err() {
        // This sfdisk makes none in a file: the magic is what counts.
        File::options()
            .write(true)
            .open(&gpt)?
            .write_all_at(b"EFI PART", 4096)?;
    }
    fs::write(
        place.path("vdi"),
        [&[0; 64][..], b"\x7f\x10\xda\xbe", &vec![0; 3 << 20]].concat(),
    )?;
    for (image, told) in [
        ("ext4", "ext4"),
        ("mbr", "MBR"),
        ("gpt", "GPT"),
        ("vdi", "vdi"),
    ] {
        let before = fs::read(place.path(image))?;
        for mode in ["refuse", "allow", "require"] {
            let empty = format!("--empty={mode}");
            let all = [
                "repart",
                "--definitions=d",
                "--dry-run=no",
                &empty,
                "--size=80M",
                image,
            ];
            let said = place.fails(3, &all)?;
            assert!(
                said.contains(told) && !said.contains("--empty=require"),
                "{said}"
            );
        }
        assert!(
            fs::read(place.path(image))? == before,
            "{image} has changed"
        );
    }
    Ok(())
}

/// What fails leaves the image as it was, its size too; and a table whose first copy is
/// damaged counts as one.
#[test]
fn an_image_that_was_to_grow() -> Outcome {
    let place = Place::new()?;
    define(&place, "d", &["Type=root; SizeMaxBytes=20M"])?;
    place.ok(&strings(&create("64M", "disk")))?;
    File::options()
        .write(true)
        .open(place.path("disk"))?
        .write_all_at(&[0; 512], 512)?;
    let before = fs::read(place.path("disk"))?;
    for definitions in [
        &["Type=root; SizeMaxBytes=20M", "Type=home; SizeMinBytes=1G"][..],
        &[
            "Type=root; SizeMaxBytes=20M",
            "Type=home; Format=ext4; CopyFiles=/none:/",
        ],
        &[
            "Type=root; SizeMaxBytes=20M",
            "Type=home; Format=ext4; CopyBlocks=/none",
        ],
    ] {
        define(&place, "d", definitions)?;
        let run = place.drupe(&[
            "repart",
            "-q",
            "--definitions=d",
            "--dry-run=no",
            "--size=100M",
            "disk",
        ])?;
        assert_ne!(run.code, Some(0), "{run:?}");
        assert!(
            fs::read(place.path("disk"))? == before,
            "{definitions:?}: it has changed"
        );
    }
    define(
        &place,
        "d",
        &["Type=root; SizeMaxBytes=30M", "Type=home; Format=ext4"],
    )?;
    let run = place.drupe(&[
        "repart",
        "-q",
        "--definitions=d",
        "--dry-run=no",
        "--size=100M",
        "--empty=allow",
        "disk",
    ])?;
    assert_eq!(run.code, Some(0), "{run:?}");
    tool("sgdisk", |sgdisk| {
        sgdisk.arg("--verify").arg(place.path("disk"))
    })?;
    let table = tool("sfdisk", |sfdisk| {
        sfdisk.arg("--dump").arg(place.path("disk"))
    })?;
    assert_eq!(table.matches("start=").count(), 2, "{table}");
    Ok(())
}

/// Sources stay beneath `--root`, whatever links say; a link there is followed.
#[test]
fn sources_stay_beneath_the_root() -> Outcome {
    let place = Place::new()?;
    place.write("secret", "of the host\n")?;
    place.write("root/etc/real", "of the root\n")?;
    for (link, to) in [("root/out", "../secret"), ("root/etc/link", "/etc/real")] {
        std::os::unix::fs::symlink(to, place.path(link))?;
    }
    tool("mkfifo", |mkfifo| mkfifo.arg(place.path("root/fifo")))?;
    let all = [
        "repart",
        "-q",
        "--definitions=d",
        "--root=root",
        "--empty=create",
        "--size=64M",
        "--dry-run=no",
        "disk",
    ];
    for source in ["CopyFiles=/out:/x", "CopyBlocks=/out", "CopyBlocks=/fifo"] {
        define(&place, "d", &[&format!("Type=root; {source}")])?;
        let said = place.fails(1, &all)?;
        assert!(said.contains("00.conf: "), "{source}: {said}");
        assert!(!place.path("disk").exists(), "{source}");
    }
    define(&place, "d", &["Type=root; CopyFiles=/etc/link:/etc/copy"])?;
    place.ok(&all)?;
    assert_eq!(place.ok(&["cat", "disk@1:/etc/copy"])?, "of the root\n");
    Ok(())
}

/// A signal ends the wait for a tool, and nobody else gets the image meanwhile.
#[test]
fn a_tool_that_takes_its_time() -> Outcome {
    let place = Place::new()?;
    define(&place, "d", &["Type=root; SizeMaxBytes=20M"])?;
    place.ok(&strings(&create("64M", "disk")))?;
    let before = fs::read(place.path("disk"))?;
    define(
        &place,
        "d",
        &["Type=root; SizeMaxBytes=20M", "Type=home; Format=ext4"],
    )?;
    tool("mkfifo", |mkfifo| mkfifo.arg(place.path("begun")))?;
    // It says that it has begun, and never ends of its own.
    place.write("bin/mke2fs", "#!/bin/sh\necho > begun\nexec sleep 1000\n")?;
    tool("chmod", |chmod| {
        chmod.arg("755").arg(place.path("bin/mke2fs"))
    })?;
    let path = format!("{}:{}", place.path("bin").display(), std::env::var("PATH")?);
    let mut drupe = place.command();
    drupe.args([
        "repart",
        "-q",
        "--definitions=d",
        "--dry-run=no",
        "--size=100M",
        "disk",
    ]);
    let mut drupe = drupe.env("PATH", path).spawn()?;
    fs::read(place.path("begun"))?;
    let said = place.fails(
        3,
        &["repart", "-q", "--definitions=d", "--dry-run=no", "disk"],
    )?;
    assert!(
        said.contains(&format!("in use by process {}", drupe.id())),
        "{said}"
    );
    tool("kill", |kill| kill.arg("-INT").arg(drupe.id().to_string()))?;
    assert_eq!(drupe.wait()?.code(), Some(130));
    assert!(fs::read(place.path("disk"))? == before, "it has changed");
    Ok(())
}

/// Nobody reads the table: the disk is made all the same.
#[test]
fn an_output_that_nobody_reads() -> Outcome {
    let place = Place::new()?;
    define(&place, "d", &["Type=root; Format=ext4"])?;
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let mut drupe = place.command();
    let status = drupe.args(create("64M", "disk")).stdout(writer).status()?;
    assert_eq!(status.code(), Some(0));
    assert!(place.ok(&["info", "disk"])?.contains("ext4"));
    Ok(())
}
