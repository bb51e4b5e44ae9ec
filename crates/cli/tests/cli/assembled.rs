//! `--root`: the filesystems of an image as its own fstab puts them together.

use std::fs::{self, File};

use super::harness::{Outcome, Place, tool};

/// A disk with an ESP, a /boot and a root, each with a file and a mount point for the next.
fn disk(place: &Place, fstab: &str) -> Outcome {
    File::create(place.path("disk.img"))?.set_len(120 << 20)?;
    place.write(
        "table",
        "label: gpt\nsize=40M, name=esp\nsize=20M, name=boot\nsize=40M, name=root\n",
    )?;
    let script = "set -e; /sbin/sfdisk -q disk.img < table; \
        truncate -s 40M esp; mkfs.vfat -i 12345678 esp > log; \
        truncate -s 20M boot; mkfs.ext4 -q -L bootfs boot; \
        truncate -s 40M root; mkfs.ext4 -q -U 01234567-89ab-cdef-0123-456789abcdef root; \
        dd if=esp of=disk.img bs=1M seek=1 conv=notrunc status=none; \
        dd if=boot of=disk.img bs=1M seek=41 conv=notrunc status=none; \
        dd if=root of=disk.img bs=1M seek=61 conv=notrunc status=none";
    tool("sh", |sh| {
        sh.arg("-c").arg(script).current_dir(place.path(""))
    })?;
    place.write("loader", "l")?;
    place.write("vmlinuz-6.1", "k")?;
    place.write("fstab", fstab)?;
    place.write("os-release", "ID=some\n")?;
    place.ok(&["cp", "loader", "disk.img@1:/loader"])?;
    place.ok(&["cp", "vmlinuz-6.1", "disk.img@2:/"])?;
    place.ok(&["mkdir", "disk.img@2:/efi"])?;
    place.ok(&[
        "mkdir",
        "disk.img@3:/boot",
        "disk.img@3:/etc",
        "disk.img@3:/mnt",
    ])?;
    place.ok(&["cp", "fstab", "os-release", "disk.img@3:/etc/"])?;
    Ok(())
}

#[test]
fn one_path_reaches_all() -> Outcome {
    let place = Place::new()?;
    disk(
        &place,
        "UUID=01234567-89ab-cdef-0123-456789abcdef / ext4 defaults 0 1\n\
         PARTLABEL=esp /boot/efi vfat umask=077 0 2\n\
         LABEL=bootfs /boot ext4 data=nonsense 0 2\n\
         tmpfs /mnt tmpfs defaults 0 0\n/dev/sdb1 /mnt ext4\n",
    )?;
    assert_eq!(
        place.ok(&["--root", "cat", "disk.img:/boot/efi/loader"])?,
        "l"
    );
    assert_eq!(
        place.ok(&["--root", "ls", "disk.img:/boot"])?,
        "efi\nlost+found\nvmlinuz-6.1\n"
    );
    // The root may be named, and is seen by every command.
    let listed = place.ok(&["--root", "find", "disk.img@3:/boot", "-type", "f"])?;
    assert_eq!(listed, "/boot/efi/loader\n/boot/vmlinuz-6.1\n");
    let text = place.ok(&["--root", "inspect", "disk.img"])?;
    assert!(text.contains("kernel: 6.1\n"), "{text}");
    assert!(text.starts_with("disk.img"), "{text}");
    // Written through, to the filesystem that it is on.
    place.write("new", "n")?;
    place.ok(&["--root", "cp", "new", "disk.img:/boot/efi/new"])?;
    assert_eq!(place.ok(&["cat", "disk.img@1:/new"])?, "n");
    place.ok(&["--root", "cp", "-a", "disk.img:/", "out"])?;
    assert_eq!(place.read("out/boot/efi/loader")?, "l");
    place.write("script", "rm /boot/efi/new\nls /boot/efi\nmkdir /boot/x\n")?;
    assert_eq!(
        place.ok(&["--root", "script", "-i", "disk.img", "script"])?,
        "loader\n"
    );
    assert_eq!(
        place.ok(&["ls", "disk.img@2:/"])?,
        "efi\nlost+found\nvmlinuz-6.1\nx\n"
    );
    let run = place.drupe(&["ls", "--root", "disk.img"])?;
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(
        run.stderr.contains("hint: `--root` stands in front"),
        "{run:?}"
    );
    let line = place.fails(2, &["--root", "mount", "disk.img", "out"])?;
    assert!(line.contains("--root"), "{line}");
    for (name, skip) in [("boot", "41"), ("root", "61")] {
        let script = format!(
            "dd if=disk.img of={name} bs=1M skip={skip} count=$(($(stat -c %s {name}) >> 20)) status=none; \
             e2fsck -fn {name}"
        );
        tool("sh", |sh| {
            sh.arg("-c").arg(script).current_dir(place.path(""))
        })?;
    }
    Ok(())
}

#[test]
fn what_an_fstab_says_reaches_nothing_outside() -> Outcome {
    let place = Place::new()?;
    let secret = place.path("secret");
    fs::write(&secret, "of the host")?;
    disk(
        &place,
        &format!(
            "UUID=01234567-89ab-cdef-0123-456789abcdef / ext4\n\
             {} /boot none bind\n/dev/loop0 /boot ext4 loop={}\n/etc /mnt none bind\n\
             overlay /mnt overlay lowerdir=/\nLABEL=bootfs /mnt/out ext4\n",
            secret.display(),
            place.path("root").display(),
        ),
    )?;
    // A mount point that leads out of the image leads to its own root.
    place.ok(&["ln", "-s", "/../../../etc", "disk.img@3:/mnt/out"])?;
    let run = place.drupe(&["--root", "ls", "--sandbox=always", "disk.img:/etc"])?;
    assert_eq!(run.stdout, "efi\nlost+found\nvmlinuz-6.1\n", "{run:?}");
    assert_eq!(place.ok(&["--root", "ls", "disk.img:/boot"])?, "");
    // One whose mount point is missing is told of, and left out.
    place.write("fstab", "LABEL=bootfs /none ext4\n")?;
    place.ok(&["cp", "fstab", "disk.img@3:/etc/fstab"])?;
    let run = place.drupe(&["--root", "ls", "disk.img:/"])?;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(
        run.stderr.contains("warning: disk.img: /none of the fstab"),
        "{run:?}"
    );
    place.ext4("e.img", 16 << 20, &[])?;
    let line = place.fails(3, &["--root", "ls", "e.img"])?;
    assert!(line.contains("no filesystem has an /etc/fstab"), "{line}");
    Ok(())
}
