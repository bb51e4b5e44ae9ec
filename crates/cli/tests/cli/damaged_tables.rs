//! Damaged partition tables, and filesystems without a driver.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::harness::{Outcome, Place, check_ext4, strings, tool};

const SECTOR: u64 = 512;
const SIZE: u64 = 64 << 20;
/// Where the partition begins, and how large it is.
const START: u64 = 1 << 20;
const LEN: u64 = 16 << 20;

/// A disk with a GPT and an ext4 in its second partition.
fn disk(place: &Place, name: &str) -> Outcome<PathBuf> {
    let image = place.path(name);
    File::create(&image)?.set_len(SIZE)?;
    let (start, len) = (START / SECTOR, LEN / SECTOR);
    let table = format!("label: gpt\n2: start={start}, size={len}, type=L, name=root\n");
    place.write("table", table)?;
    tool("sh", |sh| {
        let script = r#"/sbin/sfdisk -q "$0" < table"#;
        sh.arg("-c")
            .arg(script)
            .arg(&image)
            .current_dir(place.path(""))
    })?;
    tool("mkfs.ext4", |mkfs| {
        let offset = format!("offset={START}");
        mkfs.args(["-q", "-E", &offset]).arg(&image).arg("16384k")
    })?;
    Ok(image)
}

/// Overwrites bytes of an image with zeroes.
fn clear(image: &Path, from: u64, to: u64) -> Outcome {
    let file = OpenOptions::new().write(true).open(image)?;
    Ok(file.write_all_at(&vec![0; (to - from) as usize], from)?)
}

/// Issue 13: "no partition table", where every other tool reads the backup.
#[test]
fn a_gpt_is_read_from_its_backup() -> Outcome {
    let place = Place::new()?;
    let image = disk(&place, "disk.img")?;
    clear(&image, SECTOR, 34 * SECTOR)?;
    let warning = "drupe: warning: disk.img: the GPT at the start of the disk is damaged \
                   (there is no header); its backup at the end of the disk is used; \
                   sgdisk -e disk.img restores it\n";

    let run = place.drupe(&strings(&["info", "--json", "disk.img"]))?;
    let told = "drupe: disk.img: the GPT at the start of the disk is damaged (there is no \
                header); its backup at the end of the disk is used\n\
                hint: sgdisk -e disk.img restores it\n";
    assert_eq!((run.code, &run.stderr[..]), (Some(1), told));
    let images: Vec<Value> = serde_json::from_str(&run.stdout)?;
    assert_eq!(images[0]["partition_table"], "gpt");
    let part = &images[0]["partitions"][0];
    assert_eq!(part["number"], 2);
    assert_eq!(part["start"], START);
    assert_eq!(part["size"], LEN);
    assert_eq!(part["name"], "root");
    assert_eq!(part["filesystem"], "ext4");

    // It can be written to, by its number too.
    place.write("a", "A")?;
    let run = place.drupe(&strings(&["cp", "a", "disk.img@2:/b"]))?;
    assert_eq!((run.code, &run.stderr[..]), (Some(0), warning));
    assert_eq!(
        place.ok(&strings(&["-q", "cat", "disk.img:/b"]))?,
        "A",
        "without the warning"
    );
    tool("dd", |dd| {
        dd.args(["bs=1M", "skip=1", "count=16"])
            .arg(format!("if={}", image.display()))
            .arg(format!("of={}", place.path("part.img").display()))
    })?;
    check_ext4(&place.path("part.img"))?;

    // The remedy is one.
    tool("/sbin/sgdisk", |sgdisk| sgdisk.arg("-e").arg(&image))?;
    assert_eq!(place.ok(&strings(&["cat", "disk.img:/b"]))?, "A");
    Ok(())
}

/// One wrong byte of the header, or of the entries, by their checksums.
#[test]
fn checksums_tell_what_is_damaged() -> Outcome {
    let place = Place::new()?;
    for (at, what) in [
        (SECTOR + 40, "the checksum of its header is wrong"),
        (
            2 * SECTOR + 128 + 57,
            "the checksum of its entries is wrong",
        ),
    ] {
        let image = disk(&place, "disk.img")?;
        let file = OpenOptions::new().read(true).write(true).open(&image)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at)?;
        file.write_all_at(&[byte[0] ^ 1], at)?;
        let run = place.drupe(&strings(&["ls", "disk.img:/"]))?;
        assert_eq!((run.code, &run.stdout[..]), (Some(0), "lost+found\n"));
        assert!(run.stderr.contains(what), "{run:?}");
    }
    Ok(())
}

/// `dd` over the start of a disk takes the MBR, too.
#[test]
fn a_gpt_is_read_without_its_mbr() -> Outcome {
    let place = Place::new()?;
    for (sectors, what) in [
        (1, "the protective MBR of the GPT"),
        (34, "the GPT at the start of the disk is damaged"),
    ] {
        let image = disk(&place, "disk.img")?;
        clear(&image, 0, sectors * SECTOR)?;
        let run = place.drupe(&strings(&["ls", "disk.img:/"]))?;
        assert_eq!((run.code, &run.stdout[..]), (Some(0), "lost+found\n"));
        assert!(run.stderr.contains(what), "{run:?}");
    }
    Ok(())
}

#[test]
fn two_damaged_copies_are_an_error() -> Outcome {
    let place = Place::new()?;
    let image = disk(&place, "disk.img")?;
    clear(&image, SECTOR, 34 * SECTOR)?;
    clear(&image, SIZE - SECTOR, SIZE)?;
    for (command, shown) in [
        (
            &["info", "disk.img"][..],
            "disk.img: 64.00 MiB, gpt partition table, which is damaged\n",
        ),
        (&["ls", "disk.img:/"], ""),
    ] {
        let run = place.drupe(&strings(command))?;
        assert_eq!((run.code, &run.stdout[..]), (Some(3), shown));
        assert_eq!(
            run.stderr,
            "drupe: disk.img: damaged GPT: at the start of the disk: there is no header; \
             its backup at the end: there is no header\n\
             hint: testdisk can look for its partitions\n"
        );
    }
    Ok(())
}

/// A filesystem on all of a disk goes before a backup that an earlier table has
/// left there.
#[test]
fn a_filesystem_goes_before_an_old_backup() -> Outcome {
    let place = Place::new()?;
    let image = disk(&place, "disk.img")?;
    clear(&image, 0, 34 * SECTOR)?;
    tool("mkfs.ext4", |mkfs| {
        mkfs.args(["-q", "-F"]).arg(&image).arg("32768k")
    })?;
    place.write("a", "A")?;
    place.ok(&strings(&["cp", "a", "disk.img:/"]))?;
    assert_eq!(place.ok(&strings(&["ls", "disk.img"]))?, "a\nlost+found\n");
    Ok(())
}

/// Issue 13: "nothing known on it", exit code 0.
#[test]
fn what_has_no_driver_is_named() -> Outcome {
    let place = Place::new()?;
    let image = place.path("minix.img");
    File::create(&image)?.set_len(4 << 20)?;
    tool("/sbin/mkfs.minix", |mkfs| mkfs.arg(&image))?;
    let romfs = [&b"-rom1fs-"[..], &[0; 65528]].concat();
    place.write("romfs.img", romfs)?;
    for (name, kind, message) in [
        (
            "minix.img",
            "minix",
            "is a Minix filesystem, which this kernel has no driver for; \
             mount -t minix reads it on a Linux host",
        ),
        (
            "romfs.img",
            "romfs",
            "is a romfs filesystem, which this kernel has no driver for; \
             mount -o loop,ro reads it on a Linux host",
        ),
    ] {
        let expected = format!("drupe: {name}: {message}\n");
        let run = place.drupe(&strings(&["info", "--json", name]))?;
        assert_eq!((run.code, &run.stderr), (Some(3), &expected));
        let images: Vec<Value> = serde_json::from_str(&run.stdout)?;
        assert_eq!(images[0]["filesystem"], kind);
        let path = format!("{name}:/");
        assert_eq!(place.fails(3, &strings(&["ls", &path]))?, expected);
    }
    Ok(())
}

/// A disk of which only the start was copied, as `head -c` or a broken download leave it:
/// what is all there can be used.
#[test]
fn a_gpt_of_a_disk_that_was_cut_short() -> Outcome {
    let place = Place::new()?;
    let image = disk(&place, "disk.img")?;
    place.write("f", "x")?;
    place.ok(&strings(&["cp", "f", "disk.img:/f"]))?;
    let cut = |size: u64| OpenOptions::new().write(true).open(&image)?.set_len(size);
    cut(32 << 20)?;
    let warning = "drupe: warning: disk.img: the disk ends at byte 33554432, by its GPT at \
                   67108864: it was cut short; only partitions that are all there are used\n";
    let run = place.drupe(&strings(&["info", "--json", "disk.img"]))?;
    let told = warning.replace("warning: ", "");
    assert_eq!((run.code, &run.stderr[..]), (Some(1), &told[..]));
    let images: Vec<Value> = serde_json::from_str(&run.stdout)?;
    assert_eq!(images[0]["partition_table"], "gpt");
    assert_eq!(images[0]["partitions"][0]["number"], 2);
    let run = place.drupe(&strings(&["cat", "disk.img@2:/f"]))?;
    assert_eq!(
        (run.code, &run.stdout[..], &run.stderr[..]),
        (Some(0), "x", warning)
    );
    // No partition lacks anything: so it can be written to.
    let run = place.drupe(&strings(&["cp", "f", "disk.img:/g"]))?;
    assert_eq!((run.code, &run.stderr[..]), (Some(0), warning));

    // The partition itself is cut.
    cut(4 << 20)?;
    let run = place.drupe(&strings(&["info", "disk.img"]))?;
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(
        run.stdout
            .ends_with("gpt partition table, none of its partitions is all there\n"),
        "{run:?}"
    );
    let told = "disk.img: the image ends at byte 4194304, its partition 2 at 17825792: it was \
                cut short\n";
    assert!(run.stderr.ends_with(told), "{run:?}");
    for words in ["ls disk.img", "ls disk.img@2", "cp f disk.img:/f"] {
        let words: Vec<&str> = words.split(' ').collect();
        let run = place.drupe(&strings(&words))?;
        assert_eq!(run.code, Some(3), "{run:?}");
        assert!(run.stderr.ends_with(told), "{run:?}");
    }
    Ok(())
}
