//! `inspect`, `resize` and `sparsify`.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

use serde_json::Value;

use super::harness::{Outcome, Place, check_ext4, tool};

const OS_RELEASE: &str = "PRETTY_NAME=\"Some Linux 3 (name)\"\nID=some\nVERSION_ID=\"3\"\n";
const STATUS: &str = "Package: bash\nStatus: install ok installed\nArchitecture: amd64\n\
    Description: a shell\n of many lines\nVersion: 5.2-1\n\n\
    Package: gone\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: all\n\n\
    Package: zlib1g\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:1.2\n";

/// The tree of a system.
fn system(place: &Place) -> Outcome {
    place.write("root/usr/lib/os-release", OS_RELEASE)?;
    place.write("root/etc/hostname", "machine\n")?;
    place.write("root/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nann:x:1000:100::/home/ann:/bin/bash\nbin:x:2:2::/:/bin/false\n")?;
    place.write(
        "root/etc/fstab",
        "# comment\nUUID=1234 / ext4 defaults 0 1\n/dev/sda2 /my\\040dir xfs\n",
    )?;
    place.write("root/boot/vmlinuz-6.1.0-18-amd64", "")?;
    place.write("root/usr/lib/modules/6.1.0-18-amd64/modules.order", "")?;
    place.write("root/usr/lib/modules/6.6.1/modules.order", "")?;
    place.write(
        "root/usr/bin/env",
        b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\xb7\0",
    )?;
    place.write("root/var/lib/dpkg/status", STATUS)?;
    std::os::unix::fs::symlink("../usr/lib/os-release", place.path("root/etc/os-release"))?;
    Ok(())
}

/// A disk with a GPT of two partitions, and 20 MiB of room behind the second one.
fn disk(place: &Place, table: &str) -> Outcome {
    let image = place.path("disk.img");
    File::create(&image)?.set_len(80 << 20)?;
    place.write("table", format!("label: {table}\nsize=8M\nsize=50M\n"))?;
    tool("sh", |sh| {
        let script = "/sbin/sfdisk -q disk.img < table";
        sh.arg("-c").arg(script).current_dir(place.path(""))
    })?;
    Ok(())
}

/// Makes a filesystem in the second partition.
fn mkfs(place: &Place, command: &[&str]) -> Outcome {
    let file = File::create(place.path("fs.img"))?;
    file.set_len(50 << 20)?;
    tool(command[0], |mkfs| {
        mkfs.args(&command[1..]).arg(place.path("fs.img"))
    })?;
    tool("dd", |dd| {
        dd.args([
            "if=fs.img",
            "of=disk.img",
            "bs=1M",
            "seek=9",
            "conv=notrunc,sparse",
            "status=none",
        ])
        .current_dir(place.path(""))
    })?;
    Ok(())
}

#[test]
fn what_is_installed() -> Outcome {
    let place = Place::new()?;
    system(&place)?;
    disk(&place, "gpt")?;
    mkfs(&place, &["mkfs.ext4", "-q"])?;
    place.ok(&["cp", "-a", "root/.", "disk.img@2:/"])?;
    let text = place.ok(&["inspect", "-p", "disk.img"])?;
    let wanted = "disk.img@2: Some Linux 3 (name)\n  id: some\n  version: 3\n  \
        architecture: aarch64\n  hostname: machine\n  kernel: 6.1.0-18-amd64\n  kernel: 6.6.1\n  \
        user: 0 root\n  user: 1000 ann\n  fstab: UUID=1234 / ext4 defaults\n  \
        fstab: /dev/sda2 /my dir xfs\n  packages: dpkg, 2 installed\n    \
        bash 5.2-1 amd64\n    zlib1g 1:1.2 amd64\n";
    assert_eq!(text, wanted);
    let found: Value = serde_json::from_str(&place.ok(&["inspect", "--json", "disk.img@2"])?)?;
    assert_eq!(found[0]["users"][1]["shell"], "/bin/bash");
    assert_eq!(found[0]["fstab"][1]["path"], "/my dir");
    assert_eq!(found[0]["packages"].as_array().map(Vec::len), Some(2));
    Ok(())
}

#[test]
fn a_system_in_a_subvolume_and_one_that_lies() -> Outcome {
    let place = Place::new()?;
    system(&place)?;
    let image = place.path("b.img");
    File::create(&image)?.set_len(128 << 20)?;
    tool("mkfs.btrfs", |mkfs| mkfs.arg("-q").arg(&image))?;
    place.ok(&["subvolume", "create", "b.img:/@"])?;
    // What leads out of the image leads to its own root; what is no file is not waited for.
    fs::remove_file(place.path("root/usr/lib/os-release"))?;
    fs::remove_file(place.path("root/etc/hostname"))?;
    let script = "cp /etc/hostname secret; cd root; mkfifo etc/hostname; \
        printf 'ID=\"a\\033[2Jb\"\\nPRETTY_NAME=x\\n' > usr/lib/os-release; \
        rm etc/passwd; ln -s ../../../../etc/shadow etc/passwd; rm -r var; mkdir -p lib/apk/db; \
        printf 'P:musl\\nV:1.2-r1\\nA:x86_64\\n\\nP:busybox\\nV:1\\n\\n' > lib/apk/db/installed";
    tool("sh", |sh| {
        sh.arg("-c").arg(script).current_dir(place.path(""))
    })?;
    place.ok(&["cp", "-a", "root/.", "b.img:/@"])?;
    let text = place.ok(&["inspect", "b.img"])?;
    assert!(
        text.starts_with("b.img@0,subvol=/@: x\n  id: a\\u{1b}[2Jb\n"),
        "{text}"
    );
    assert!(text.contains("packages: apk, 2 installed\n"), "{text}");
    assert!(
        !text.contains("user:") && !text.contains("hostname:"),
        "{text}"
    );
    place.ext4("e.img", 16 << 20, &[])?;
    let line = place.fails(1, &["inspect", "e.img"])?;
    assert!(line.contains("no operating system"), "{line}");
    Ok(())
}

/// Bytes of a filesystem, as df has them.
fn size(place: &Place, image: &str) -> Outcome<u64> {
    let found: Value = serde_json::from_str(&place.ok(&["df", "--json", image])?)?;
    Ok(found[0]["size"].as_u64().ok_or("a size")?)
}

#[test]
fn partitions_and_their_filesystems_grow() -> Outcome {
    let place = Place::new()?;
    place.write("f", "content")?;
    for (table, command) in [
        ("gpt", &["mkfs.ext4", "-q"][..]),
        ("dos", &["mkfs.ext4", "-q"]),
    ] {
        disk(&place, table)?;
        mkfs(&place, command)?;
        place.ok(&["cp", "f", "disk.img@2:/f"])?;
        let before = size(&place, "disk.img@2")?;
        // Into the room behind it.
        let said = place.ok(&["resize", "disk.img@2"])?;
        assert!(
            said.starts_with("disk.img@2: 52428800 bytes before, 7"),
            "{said}"
        );
        let between = size(&place, "disk.img@2")?;
        assert!(
            between >= before + (15 << 20),
            "{command:?}: {before} {between}"
        );
        // And with the image.
        place.ok(&["resize", "--size", "+100M", "disk.img@2"])?;
        let after = size(&place, "disk.img@2")?;
        assert!(
            after >= between + (90 << 20),
            "{command:?}: {between} {after}"
        );
        assert_eq!(place.ok(&["cat", "disk.img@2:/f"])?, "content");
        // It is as large as it can be.
        place.ok(&["resize", "disk.img@2"])?;
        let verified = tool("/sbin/sfdisk", |sfdisk| {
            sfdisk.arg("--verify").arg(place.path("disk.img"))
        })?;
        assert!(verified.contains("No errors"), "{verified}");
        tool("sh", |sh| {
            let script =
                "dd if=disk.img of=fs.img bs=1M skip=9 conv=sparse status=none; e2fsck -fn fs.img";
            sh.arg("-c").arg(script).current_dir(place.path(""))
        })?;
    }
    let line = place.fails(3, &["resize", "-s", "1M", "disk.img@2"])?;
    assert!(line.contains("can grow, not shrink"), "{line}");
    let line = place.fails(3, &["resize", "disk.img@1"])?;
    assert!(line.contains("nothing that is known"), "{line}");
    Ok(())
}

#[test]
fn a_whole_image_grows() -> Outcome {
    let place = Place::new()?;
    for (mkfs, check) in [
        ("mkfs.xfs", &["xfs_repair", "-n"][..]),
        ("mkfs.btrfs", &["btrfs", "check", "-q"]),
    ] {
        let image = place.path("x.img");
        let _ = fs::remove_file(&image);
        File::create(&image)?.set_len(300 << 20)?;
        tool(mkfs, |mkfs| mkfs.arg("-q").arg(&image))?;
        let before = size(&place, "x.img")?;
        place.ok(&["resize", "-s", "400M", "x.img"])?;
        assert!(size(&place, "x.img")? >= before + (95 << 20), "{mkfs}");
        tool(check[0], |tool| tool.args(&check[1..]).arg(&image))?;
        place.ok(&["resize", "x.img"])?;
    }
    let small = place.path("s.img");
    File::create(&small)?.set_len(128 << 20)?;
    tool("mkfs.btrfs", |mkfs| mkfs.arg("-q").arg(&small))?;
    let line = place.fails(3, &["resize", "-s", "200M", "s.img"])?;
    assert!(line.contains("256 MiB"), "{line}");
    assert_eq!(small.metadata()?.len(), 128 << 20);
    tool("qemu-img", |qemu| {
        qemu.args(["create", "-q", "-f", "qcow2"])
            .arg(place.path("q.img"))
            .arg("64M")
    })?;
    let line = place.fails(3, &["resize", "q.img"])?;
    assert!(line.contains("only raw images"), "{line}");
    Ok(())
}

#[test]
fn free_space_becomes_holes() -> Outcome {
    let place = Place::new()?;
    let image = place.ext4("d.img", 64 << 20, &[])?;
    place.write("big", vec![9; 20 << 20])?;
    place.write("kept", vec![8; 1 << 20])?;
    place.write("zeros", vec![0; 4 << 20])?;
    place.ok(&["cp", "big", "kept", "d.img:/"])?;
    // Stored as zeros, not as a hole.
    tool("sh", |sh| {
        let command = env!("CARGO_BIN_EXE_drupe");
        let script = format!("{command} write d.img:/zeros < zeros");
        sh.arg("-c").arg(script).current_dir(place.path(""))
    })?;
    place.ok(&["rm", "d.img:/big"])?;
    let before = image.metadata()?.blocks() * 512;
    let said = place.ok(&["sparsify", "d.img"])?;
    let after = image.metadata()?.blocks() * 512;
    assert!(before >= after + (23 << 20), "{before} {after} {said}");
    assert!(
        said.contains(&format!("{after} now: {} saved", before - after)),
        "{said}"
    );
    assert_eq!(image.metadata()?.len(), 64 << 20);
    check_ext4(&image)?;
    assert_eq!(place.ok(&["cat", "d.img:/kept"])?.len(), 1 << 20);
    tool("qemu-img", |qemu| {
        qemu.args(["create", "-q", "-f", "qcow2"])
            .arg(place.path("q.img"))
            .arg("64M")
    })?;
    let line = place.fails(3, &["sparsify", "q.img"])?;
    assert!(line.contains("only raw images"), "{line}");
    Ok(())
}

#[test]
fn filesystems_are_checked_by_their_own_tools() -> Outcome {
    let place = Place::new()?;
    disk(&place, "gpt")?;
    mkfs(&place, &["mkfs.ext4", "-q"])?;
    let before = fs::read(place.path("disk.img"))?;
    let run = place.drupe(&["fsck", "disk.img@2"])?;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("Pass 5"), "{run:?}");
    // Damaged: a check says so and changes nothing, a repair repairs.
    let mut damaged = before.clone();
    let bitmaps = (9 << 20) + 1024 + 0x1000;
    damaged[bitmaps..bitmaps + 4096].fill(0x55);
    fs::write(place.path("disk.img"), &damaged)?;
    let run = place.drupe(&["fsck", "disk.img@2"])?;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(fs::read(place.path("disk.img"))? == damaged);
    let run = place.drupe(&["fsck", "-y", "disk.img@2"])?;
    assert_eq!(run.code, Some(0), "{run:?}");
    let run = place.drupe(&["fsck", "disk.img@2"])?;
    assert_eq!(run.code, Some(0), "{run:?}");
    // What is in front of it is left alone.
    assert!(fs::read(place.path("disk.img"))?[..9 << 20] == before[..9 << 20]);

    for (name, mkfs) in [
        ("xfs.img", &["mkfs.xfs", "-q"][..]),
        ("vfat.img", &["mkfs.vfat"]),
        ("btrfs.img", &["mkfs.btrfs", "-q"]),
        ("f2fs.img", &["mkfs.f2fs", "-q"]),
    ] {
        let image = place.path(name);
        File::create(&image)?.set_len(300 << 20)?;
        tool(mkfs[0], |tool| tool.args(&mkfs[1..]).arg(&image))?;
        let run = place.drupe(&["fsck", name])?;
        assert_eq!(run.code, Some(0), "{run:?}");
    }
    let line = place.fails(3, &["fsck", "-y", "btrfs.img"])?;
    assert!(line.contains("not used to repair"), "{line}");
    mkfs_in_partition_is_refused(&place)
}

fn mkfs_in_partition_is_refused(place: &Place) -> Outcome {
    mkfs(place, &["mkfs.vfat"])?;
    let line = place.fails(3, &["fsck", "disk.img@2"])?;
    assert!(line.contains("no vfat inside of another image"), "{line}");
    assert!(line.contains("check-log"), "{line}");
    place.fails(2, &["fsck", "--read-only", "-p", "disk.img@2"])?;
    Ok(())
}
