//! Permissions: root and other users in one mount, and mounts of an ordinary user.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use drupe_testing::anyone::NOBODY;

use crate::harness::{Outcome, Place, as_nobody, command_for_anyone, tool};
use crate::mounted::{EXT4, Mounted, left_out, on};

/// Runs a shell's line as user and group, with further groups; what it printed.
fn shell(user: u32, group: u32, groups: &str, dir: &Path, line: &str) -> Outcome<String> {
    tool("setpriv", |command| {
        command
            .arg(format!("--reuid={user}"))
            .arg(format!("--regid={group}"))
            .arg(match groups {
                "" => "--clear-groups".into(),
                groups => format!("--groups={groups}"),
            })
            .args(["sh", "-c", line])
            .current_dir(dir)
    })
}

/// A directory of that mode and owner.
fn directory(path: &Path, mode: u32, owner: (u32, u32)) -> Outcome {
    fs::create_dir(path)?;
    chown(path, Some(owner.0), Some(owner.1))?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

fn owner(path: &Path) -> Outcome<(u32, u32, u32)> {
    let metadata = path.symlink_metadata()?;
    Ok((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777))
}

#[test]
fn files_belong_to_those_who_make_them() -> Outcome {
    on(&EXT4, |mounted| {
        let dir = mounted.path("all");
        directory(&dir, 0o777, (0, 0))?;
        let made = "umask 027; echo x > file; mkdir dir; ln -s x link; mkfifo fifo";
        shell(1001, 1002, "", &dir, made)?;
        assert_eq!(owner(&dir.join("file"))?, (1001, 1002, 0o640));
        assert_eq!(owner(&dir.join("dir"))?, (1001, 1002, 0o750));
        assert_eq!(owner(&dir.join("fifo"))?, (1001, 1002, 0o640));
        assert_eq!(owner(&dir.join("link"))?, (1001, 1002, 0o777));
        shell(
            1003,
            1004,
            "",
            &dir,
            "! cat file && ! touch dir/x && ! rm dir/x",
        )?;
        shell(1003, 1004, "1002", &dir, "cat file && ! echo y > file")?;
        // The next one is another one.
        shell(1003, 1004, "", &dir, "umask 0; touch other")?;
        assert_eq!(owner(&dir.join("other"))?, (1003, 1004, 0o666));
        Ok(())
    })
}

#[test]
fn sticky_and_setgid() -> Outcome {
    on(&EXT4, |mounted| {
        let sticky = mounted.path("sticky");
        directory(&sticky, 0o1777, (0, 0))?;
        shell(1001, 1001, "", &sticky, "touch file")?;
        shell(
            1002,
            1002,
            "",
            &sticky,
            "! rm -f file 2>&1 && ! mv file x 2>&1",
        )?;
        shell(1001, 1001, "", &sticky, "rm file")?;
        let shared = mounted.path("shared");
        directory(&shared, 0o2777, (0, 2000))?;
        shell(1001, 1001, "", &shared, "umask 0; touch file; mkdir dir")?;
        assert_eq!(owner(&shared.join("file"))?, (1001, 2000, 0o666));
        assert_eq!(owner(&shared.join("dir"))?, (1001, 2000, 0o2777));
        // Set-group-ID of a group one is not in, or is in.
        let chmod = "chmod 2777 file";
        shell(1001, 1001, "", &shared, chmod)?;
        assert_eq!(owner(&shared.join("file"))?.2, 0o777);
        shell(1001, 1001, "2000", &shared, chmod)?;
        assert_eq!(owner(&shared.join("file"))?.2, 0o2777);
        Ok(())
    })
}

#[test]
fn writing_takes_setuid_away() -> Outcome {
    on(&EXT4, |mounted| {
        let dir = mounted.path("all");
        directory(&dir, 0o777, (0, 0))?;
        for line in [
            "echo more >> file",
            "truncate -s 0 file",
            "echo other > file",
            "truncate -s 100 file",
        ] {
            shell(1001, 1001, "", &dir, "rm -f file; echo x > file")?;
            let set =
                |mode| fs::set_permissions(dir.join("file"), fs::Permissions::from_mode(mode));
            set(0o6777)?;
            shell(1002, 1002, "", &dir, line)?;
            assert_eq!(owner(&dir.join("file"))?.2, 0o777, "{line}");
            // Root may.
            set(0o6777)?;
            shell(0, 0, "", &dir, line)?;
            assert_eq!(owner(&dir.join("file"))?.2, 0o6777, "{line} by root");
        }
        // A new owner loses them in any case.
        chown(dir.join("file"), Some(5), None)?;
        assert_eq!(owner(&dir.join("file"))?, (5, 1001, 0o777));
        Ok(())
    })
}

#[test]
fn access_control_lists_decide() -> Outcome {
    on(&EXT4, |mounted| {
        let dir = mounted.path("dir");
        directory(&dir, 0o700, (0, 0))?;
        fs::write(dir.join("file"), "secret")?;
        fs::set_permissions(dir.join("file"), fs::Permissions::from_mode(0o600))?;
        shell(1001, 1001, "", &mounted.dir, "! cat dir/file 2>&1")?;
        let acl = |args: &[&str]| {
            tool("setfacl", |acl| acl.args(args).current_dir(&mounted.dir)).map(drop)
        };
        acl(&["-m", "u:1001:rwx", "dir"])?;
        acl(&["-m", "u:1001:r", "dir/file"])?;
        shell(
            1001,
            1001,
            "",
            &mounted.dir,
            "cat dir/file && ! echo x > dir/file",
        )?;
        shell(1002, 1002, "", &mounted.dir, "! cat dir/file 2>&1")?;
        // A default ACL takes the place of the umask.
        acl(&["-d", "-m", "u:1002:rw,g::rw,o::-", "dir"])?;
        shell(1001, 1001, "", &mounted.dir, "umask 077; touch dir/new")?;
        assert_eq!(owner(&dir.join("new"))?.2, 0o660);
        let shown = tool("getfacl", |acl| acl.args(["-nc"]).arg(dir.join("new")))?;
        assert!(shown.contains("user:1002:rw-"), "{shown}");
        Ok(())
    })
}

#[test]
fn only_root_has_the_reserved_blocks_and_trusted_attributes() -> Outcome {
    on(&EXT4, |mounted| {
        let dir = mounted.path("all");
        directory(&dir, 0o777, (0, 0))?;
        shell(1001, 1001, "", &dir, "! dd if=/dev/zero of=fill bs=1M 2>&1")?;
        let room = rustix::fs::statvfs(&mounted.dir)?;
        assert_eq!(room.f_bavail, 0);
        assert!(room.f_bfree > 1000, "{} blocks", room.f_bfree);
        fs::write(dir.join("root"), vec![1; 1 << 20])?;
        xattr::set(dir.join("fill"), "trusted.x", b"1")?;
        xattr::set(dir.join("fill"), "user.x", b"1")?;
        let list = shell(1001, 1001, "", &dir, "getfattr -m - fill")?;
        assert!(
            list.contains("user.x") && !list.contains("trusted"),
            "{list}"
        );
        Ok(())
    })
}

/// A user who is nobody else's, in a mount namespace where /dev/fuse is open for
/// all; the host's is left alone.
fn ordinary(place: &Place) -> Command {
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs tmpfs /mnt && mknod -m 666 /mnt/fuse c 10 229 && \
                  mount --bind /mnt/fuse /dev/fuse && \
                  exec \"$@\"";
    let nobody = as_nobody();
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(nobody.get_program())
        .args(nobody.get_args())
        .current_dir(place.path(""))
        .stdin(Stdio::null());
    command
}

#[test]
fn an_ordinary_user() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::for_anyone()?;
    let image = place.ext4("own.img", 64 << 20, &["-E", "root_owner=65534:65534"])?;
    chown(&image, Some(NOBODY), Some(NOBODY))?;
    directory(&place.path("mnt"), 0o700, (NOBODY, NOBODY))?;
    // The mount is in the namespace of the shell: so it is used by it too.
    let script = "set -e
        \"$0\" mount own.img mnt
        echo hello > mnt/file; mkdir mnt/dir; chmod 600 mnt/file
        test \"$(cat mnt/file)\" = hello
        test \"$(stat -c %u:%g:%a mnt/file)\" = 65534:65534:600
        ! mknod mnt/dev c 1 3 2> /dev/null
        ! chown 0 mnt/file 2> /dev/null
        fusermount3 -u mnt
        flock own.img e2fsck -fn own.img";
    let drupe = command_for_anyone()?;
    let output = ordinary(&place)
        .args(["sh", "-c", script])
        .arg(drupe.path())
        .output()?;
    assert!(output.status.success(), "{output:?}");
    let mounted = Mounted::new(&place, &image, &["--read-only"])?;
    assert_eq!(owner(&mounted.path("file"))?, (NOBODY, NOBODY, 0o600));
    mounted.unmount()
}

/// Root may not look into what another user has mounted, and unmounts it all the same.
#[test]
fn root_unmounts_what_others_have_mounted() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::for_anyone()?;
    let image = place.ext4("own.img", 64 << 20, &["-E", "root_owner=65534:65534"])?;
    chown(&image, Some(NOBODY), Some(NOBODY))?;
    directory(&place.path("mnt"), 0o700, (NOBODY, NOBODY))?;
    // In a namespace where /dev/fuse is open for all.
    let script = "set -e
        mount -t tmpfs tmpfs /mnt
        mknod -m 666 /mnt/fuse c 10 229
        mount --bind /mnt/fuse /dev/fuse
        nobody='setpriv --reuid=65534 --regid=65534 --clear-groups'
        $nobody \"$0\" mount own.img mnt
        $nobody sh -c 'echo hello > mnt/file'
        ! ls mnt 2> /dev/null
        \"$0\" umount mnt
        e2fsck -fn own.img
        ! \"$0\" umount mnt 2> said
        grep 'mnt: no mount of drupe' said";
    let drupe = command_for_anyone()?;
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(drupe.path())
        .current_dir(place.path(""))
        .stdin(Stdio::null())
        .output()?;
    assert!(output.status.success(), "{output:?}");
    Ok(())
}
