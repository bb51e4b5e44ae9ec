//! Statements of `docs/promises.md` about devices and sockets of the host.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use drupe_testing::skipped;

use super::harness::{
    Outcome, Place, as_nobody, check_ext4, command_for_anyone, command_in_shell, noise, strings,
    succeeds, tool,
};

/// Promise 1: what the host has attached or mounted is not written to; nor is a device with
/// a filesystem overwritten by whoever forgets a colon.
#[test]
fn what_the_host_uses_is_left_alone() -> Outcome {
    let place = Place::new()?;
    let image = place.ext4("d.img", 32 << 20, &[])?;
    let attached = Command::new("/sbin/losetup")
        .args(["--find", "--show"])
        .arg(&image)
        .output();
    let device = match attached {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout)?,
        _ => {
            skipped("it needs loop devices");
            return Ok(());
        }
    };
    let device = device.trim();
    let tried = || -> Outcome {
        place.write("f", "x")?;
        let inside = format!("{device}:/f");
        let line = place.fails(3, &strings(&["cp", "f", "d.img:/f"]))?;
        assert!(line.contains(device), "{line}");
        place.ext4("e.img", 16 << 20, &[])?;
        let run = place.drupe(&strings(&["mkdir", "d.img:/d", "e.img:/d"]))?;
        assert_eq!(run.code, Some(3), "{run:?}");
        assert!(run.stderr.contains(device), "{run:?}");
        place.ok(&strings(&["ls", "e.img:/d"]))?;
        // It is nobody's yet.
        place.ok(&strings(&["cp", "f", &inside]))?;
        for words in [
            &["cp", &inside, device][..],
            &["tar", "-f", device, "d.img:/"],
        ] {
            let line = place.fails(1, &strings(words))?;
            assert!(line.contains("disk image (ext4)"), "{line}");
        }
        // A part of an image, and what is behind one.
        place.write(
            "parts.vmdk",
            "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n\
             createType=\"monolithicFlat\"\nRW 65536 FLAT \"d.img\" 0\n",
        )?;
        tool("qemu-img", |img| {
            let over = ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", "d.img"];
            img.args(over)
                .arg("over.qcow2")
                .current_dir(place.path("."))
        })?;
        for (option, target) in [
            ("--image-format=vmdk", "parts.vmdk:/f"),
            ("--backing", "over.qcow2:/f"),
        ] {
            for sandbox in ["auto", "never"] {
                let sandbox = format!("--sandbox={sandbox}");
                let line = place.fails(3, &strings(&[&sandbox, option, "cp", "f", target]))?;
                assert!(line.contains(device) && line.contains("d.img"), "{line}");
            }
            place.ok(&strings(&[option, "ls", target]))?;
        }
        // A descriptor is written into, whatever it is.
        let script = format!("! {} cp e.img:/d/x /dev/fd/7 7<>d.img", command_in_shell()?);
        let told = place.in_shell(&script)?;
        assert!(
            told.contains("attached to") && told.contains(device),
            "{told}"
        );
        // In a namespace of its own: the mount ends with the command.
        place.ok(&strings(&["cp", "f", "e.img:/f"]))?;
        let script = "mkdir m && mount \"$1\" m && ! \"$DRUPE\" cp f \"$1:/g\" && \
                      ! \"$DRUPE\" cp --force e.img:/f \"$1\" && \
                      ! \"$DRUPE\" tar --force -f \"$1\" e.img:/f && ls m";
        let mut unshare = Command::new("unshare");
        unshare
            .args(["-m", "sh", "-ec", script, "sh", device])
            .env("DRUPE", env!("CARGO_BIN_EXE_drupe"))
            .current_dir(place.path("."));
        assert_eq!(succeeds(&mut unshare)?, "f\nlost+found\n");
        Ok(())
    };
    let outcome = tried();
    tool("/sbin/losetup", |losetup| {
        losetup.args(["--detach", device])
    })?;
    outcome?;
    check_ext4(&image)
}

/// Promise 4: only a FIFO has readers to wait for.
#[test]
fn a_socket_is_no_fifo() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 32 << 20, &[])?;
    place.write("f", "x")?;
    place.ok(&strings(&["cp", "f", "d.img:/f"]))?;
    let _socket = std::os::unix::net::UnixListener::bind(place.path("socket"))?;
    for words in [
        &["cp", "d.img:/f", "socket"][..],
        &["tar", "-f", "socket", "d.img:/"],
    ] {
        let line = place.fails(1, &strings(words))?;
        assert!(line.contains("ENXIO"), "{line}");
    }
    Ok(())
}

/// Promise 1: pipes without a name, and directories that cannot be listed.
#[test]
fn what_has_no_name_and_what_cannot_be_listed() -> Outcome {
    let place = Place::for_anyone()?;
    let image = place.ext4("d.img", 32 << 20, &[])?;
    place.write("f", "contents\n")?;
    place.ok(&strings(&["cp", "f", "d.img:/f"]))?;
    for target in ["/dev/stdout", "/dev/fd/1"] {
        let output = place.command().args(["cp", "d.img:/f", target]).output()?;
        assert!(output.status.success(), "{target}: {output:?}");
        assert_eq!(output.stdout, b"contents\n", "{target}");
    }
    let line = place.fails(1, &strings(&["cp", "-r", "d.img:/", "/dev/stdout"]));
    assert!(line?.contains("takes one file"));

    fs::create_dir(place.path("box"))?;
    fs::set_permissions(place.path("box"), PermissionsExt::from_mode(0o333))?;
    fs::set_permissions(&image, PermissionsExt::from_mode(0o644))?;
    let program = command_for_anyone()?;
    let mut command = as_nobody();
    command
        .arg(program.path())
        .args(["cp", "d.img:/f", "box/g"])
        .current_dir(place.path("."));
    succeeds(&mut command)?;
    assert_eq!(place.read("box/g")?, "contents\n");
    Ok(())
}

/// Promise 2: what was written to a file that nobody can find any more is not taken for
/// done.
#[test]
fn an_image_that_is_removed_while_it_is_written() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 32 << 20, &[])?;
    place.write("script", "mkdir d.img:/d\n! rm d.img\n")?;
    let line = place.fails(3, &strings(&["script", "script"]))?;
    assert!(
        line.contains("d.img: the image file was removed while it was in use"),
        "{line}"
    );
    Ok(())
}

/// Promise 2: what is behind the new end of an image that is cut is an error, not zeroes.
#[test]
fn an_image_that_is_cut_while_it_is_read() -> Outcome {
    let place = Place::new()?;
    place.ext4("raw", 32 << 20, &[])?;
    fs::write(place.path("large"), noise(8 << 20))?;
    place.ok(&strings(&["cp", "large", "raw:/"]))?;
    place.write(
        "flat.vmdk",
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n\
         createType=\"monolithicFlat\"\nRW 65536 FLAT \"raw\" 0\n",
    )?;
    for (option, image, file) in [
        ("-q", "raw", "raw"),
        ("--image-format=vmdk", "flat.vmdk", "raw"),
        ("-q", "qcow2", "qcow2"),
    ] {
        tool("cp", |cp| {
            cp.args(["raw", "whole"]).current_dir(place.path("."))
        })?;
        tool("qemu-img", |img| {
            img.args(["convert", "-O", "qcow2", "whole", "qcow2"])
                .current_dir(place.path("."))
        })?;
        let script = format!("ls {image}:/\n! truncate -s 6M {file}\ncat {image}:/large\n");
        place.write("script", script)?;
        let mut command = place.command();
        let output = command.args([option, "script", "-k", "script"]).output()?;
        let told = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(3), "{image}: {told}");
        assert!(told.contains("(EIO)"), "{image}: {told}");
        assert!(
            told.contains(&format!("{image}: the image file was cut from")),
            "{told}"
        );
        let read = &output.stdout[b"large\nlost+found\n".len()..];
        assert!(noise(8 << 20).starts_with(read), "{image}: wrong bytes");
        assert!(read.len() < 8 << 20, "{image}");
        fs::rename(place.path("whole"), place.path("raw"))?;
    }
    Ok(())
}
