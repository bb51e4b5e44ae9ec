//! Tests of the confinement, which try what a captured process would. Each profile is
//! tried in a separate process, this test program started again, since confinement cannot
//! be undone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use clap::Parser;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use rustix::process::{Resource, geteuid, getppid, prlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities};

use super::uses::Profile;
use super::*;
use crate::args::Args;

/// The command line of the process that is to be confined, a word each line; set for it
/// only.
const COMMAND: &str = "DRUPE_TEST_CONFINED";
/// The user that it is to become.
const NOBODY: u32 = 65534;

/// A file that no command names, and what else there is beside it.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let place = Place { dir };
        for name in ["d.img", "secret", "out/kept"] {
            let path = place.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, [0; 4096]).unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
        }
        fs::set_permissions(place.path("out"), PermissionsExt::from_mode(0o777)).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs `captured` in a process that is confined for this command; as root also as
    /// an ordinary user.
    fn try_all(&self, words: &[&str]) {
        let users: &[Option<u32>] = match geteuid().is_root() {
            true => &[None, Some(NOBODY)],
            false => &[None],
        };
        for user in users {
            if let Some(user) = user {
                for name in ["d.img", "secret", "out", "out/kept"] {
                    chown(self.path(name), Some(*user), Some(*user)).unwrap();
                }
            }
            let mut again = Command::new(std::env::current_exe().unwrap());
            again
                .args(["--exact", "sandbox::tests::captured", "--nocapture"])
                .current_dir(self.dir.path())
                .env(COMMAND, words.join("\n"))
                .env("DRUPE_TEST_USER", user.unwrap_or(0).to_string());
            let ended = again.output().unwrap();
            let text = String::from_utf8_lossy(&ended.stdout);
            let told = String::from_utf8_lossy(&ended.stderr);
            assert!(ended.status.success(), "{words:?} {user:?}: {told}{text}");
            assert!(text.contains("1 passed"), "{text}");
        }
    }
}

#[test]
fn a_captured_reader_can_do_nothing() {
    Place::new().try_all(&["ls", "d.img"]);
}

#[test]
fn a_captured_writer_can_write_the_image_only() {
    Place::new().try_all(&["rm", "d.img:/x"]);
}

#[test]
fn a_captured_mount_can_write_the_image_only() {
    let place = Place::new();
    place.try_all(&["mount", "d.img", "out"]);
    place.try_all(&["--read-only", "mount", "d.img", "out"]);
}

#[test]
fn a_captured_copy_to_the_host_can_write_there_only() {
    let place = Place::new();
    place.try_all(&["cp", "d.img:/x", "out"]);
    place.try_all(&["cp", "-r", "d.img:/x", "out"]);
    place.try_all(&["cp", "-a", "d.img:/x", "out"]);
    place.try_all(&["tar", "-f", "out/new", "d.img:/x"]);
}

/// Started by the others. By itself it has nothing to do.
#[test]
fn captured() {
    let Some(words) = std::env::var_os(COMMAND) else {
        return;
    };
    let words = words.into_string().unwrap();
    let args = std::iter::once("drupe").chain(words.lines());
    let args = Args::try_parse_from(args).unwrap();
    let uses = Uses::of(&args.global, &args.command).unwrap();
    let user: u32 = std::env::var("DRUPE_TEST_USER").unwrap().parse().unwrap();
    if user != 0 {
        rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(user)).unwrap();
    }

    // All of this can be done before.
    let parent = getppid().unwrap();
    let terminal = File::open("/dev/null").unwrap();
    File::open("secret").unwrap();
    fs::set_permissions("secret", PermissionsExt::from_mode(0o600)).unwrap();
    UdpSocket::bind("127.0.0.1:0").unwrap();

    capabilities::confine(&uses).unwrap();
    let has = capabilities(None).unwrap().permitted;
    let enforced = files::confine(&uses, false).unwrap();
    calls::confine(uses.profile, false).unwrap();
    if !enforced {
        // A host without Landlock: drupe-testing's list of what was skipped is not for
        // a child of a test.
        eprintln!("no Landlock");
        return;
    }

    let profile = uses.profile;
    let archive = profile == Profile::WriteHost { archive: true };
    let no = |what: &str, result: io::Result<()>| {
        let error = result.expect_err(what);
        let refused = [Some(libc::EPERM), Some(libc::EACCES), Some(libc::EXDEV)];
        assert!(refused.contains(&error.raw_os_error()), "{what}: {error}");
    };
    let write = |path: &str| OpenOptions::new().write(true).open(path).map(drop);

    // Files that were not named.
    let of_parent = |name: &str| format!("/proc/{}/{name}", parent.as_raw_nonzero());
    for path in [
        "secret",
        "/etc/passwd",
        "/proc/1/environ",
        &of_parent("environ"),
        &of_parent("mem"),
        "/proc/self/mem",
        "/proc/sys/kernel/core_pattern",
        "/dev/zero",
        "/dev/fuse",
    ] {
        let is_shown = ["/proc/self", "/proc/sys"]
            .iter()
            .any(|dir| path.starts_with(dir));
        // A server of a mount looks into /proc, where others' memory stays closed to it.
        if !(profile == Profile::Serve && is_shown) {
            no(path, File::open(path).map(drop));
        }
        no(path, write(path));
    }
    no("list", fs::read_dir("/etc").map(drop));
    no("create", File::create("new").map(drop));
    no("mkdir", fs::create_dir("new"));
    no("symlink", symlink("secret", "new"));
    no("link", fs::hard_link("secret", "new"));
    no("rename", fs::rename("secret", "new"));
    no("rename over", fs::rename("d.img", "secret"));
    no("unlink", fs::remove_file("secret"));
    no("rmdir", fs::remove_dir("out"));
    // Attributes by path, of which Landlock knows nothing. `cp -a` sets them so.
    if !archive {
        let mode = || PermissionsExt::from_mode(0o777);
        no("chmod", fs::set_permissions("secret", mode()));
        no("chown", chown("secret", None, Some(user)));
        let now = SystemTime::now();
        let times = rustix::fs::Timestamps {
            last_access: now_spec(now),
            last_modification: now_spec(now),
        };
        let flags = rustix::fs::AtFlags::empty();
        let touched = rustix::fs::utimensat(rustix::fs::CWD, "secret", &times, flags);
        no("utimensat", touched.map_err(Into::into));
        no("setxattr", xattr::set("secret", "user.x", b"y"));
        no("removexattr", xattr::remove("secret", "user.x"));
    }
    // The image.
    File::open("d.img").unwrap();
    match profile {
        Profile::WriteImage => {
            let mut image = OpenOptions::new().write(true).open("d.img").unwrap();
            image.write_all(b"x").unwrap();
            no(
                "fchmod",
                image.set_permissions(PermissionsExt::from_mode(0o777)),
            );
        }
        Profile::Serve if !uses.write_images.is_empty() => write("d.img").unwrap(),
        Profile::Read | Profile::Serve | Profile::WriteHost { .. } => {
            no("image", write("d.img"));
        }
    }
    // The destination.
    match (profile, &uses.output) {
        (Profile::WriteHost { .. }, None) => fs::write(format!("out/new-{user}"), "x").unwrap(),
        _ => no("out", fs::write("out/new", "x")),
    }
    if uses.output.is_some() || !matches!(profile, Profile::WriteHost { .. }) {
        no("out/kept", File::open("out/kept").map(drop));
        no("out/kept", write("out/kept"));
    }
    // Programs, the network, others' memory and fate.
    no("exec", Command::new("/bin/true").spawn().map(drop));
    no("unix socket", UnixStream::connect("/run/x").map(drop));
    no("tcp", std::net::TcpStream::connect("127.0.0.1:9").map(drop));
    no("udp", UdpSocket::bind("127.0.0.1:0").map(drop));
    no(
        "kill",
        kill(Pid::from_raw(parent.as_raw_nonzero().get()), None).map_err(Into::into),
    );
    let limit = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let limited = prlimit(Some(parent), Resource::Core, limit);
    no("prlimit", limited.map(drop).map_err(Into::into));
    no(
        "setrlimit",
        setrlimit(Resource::Core, limit).map_err(Into::into),
    );
    let typed = rustix::termios::tcgetsid(terminal.as_fd());
    no("an ioctl", typed.map(drop).map_err(Into::into));
    // A mount in the background leaves its directory.
    if profile != Profile::Serve {
        no("chdir", std::env::set_current_dir("/"));
    }
    let bound = rustix::mount::mount_bind("out", "out");
    no("mount", bound.map_err(Into::into));
    let gone = rustix::mount::unmount("/proc", rustix::mount::UnmountFlags::DETACH);
    no("umount", gone.map_err(Into::into));
    let root = rustix::process::chroot("/");
    no("chroot", root.map_err(Into::into));
    no("setuid", {
        let root = rustix::process::Uid::ROOT;
        rustix::thread::set_thread_uid(root).map_err(Into::into)
    });
    let reading = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    let host = CapabilitySet::FOWNER | CapabilitySet::SYS_RESOURCE;
    let copies = host | CapabilitySet::CHOWN | CapabilitySet::FSETID;
    let all = copies | CapabilitySet::MKNOD | CapabilitySet::SETFCAP | CapabilitySet::SYS_ADMIN;
    // By the words of the command, not by what was made of them.
    let most = match words.lines().next() {
        Some("tar") => host,
        Some("cp") if words.contains("\n-a\n") => all,
        Some("cp") if words.contains("\n-r\n") => copies | CapabilitySet::MKNOD,
        Some("cp") => copies,
        _ => CapabilitySet::empty(),
    };
    assert!((reading | most).contains(has), "{has:?}");
    assert!(!has.contains(CapabilitySet::SYS_PTRACE) && !has.contains(CapabilitySet::SYS_RAWIO));
    assert!(Path::new("d.img").exists());
}

fn now_spec(time: std::time::SystemTime) -> rustix::fs::Timespec {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    rustix::fs::Timespec {
        tv_sec: since.as_secs() as i64,
        tv_nsec: since.subsec_nanos().into(),
    }
}
