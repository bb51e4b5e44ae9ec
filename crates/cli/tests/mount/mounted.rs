//! [`Mounted`]: an image that `drupe mount` has mounted.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use drupe_testing::skipped;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Outcome, Place, tool};

/// Whether the calling test is to be left out, which somebody has to ask for: it
/// says so. Without that, tests fail where there is no FUSE.
#[track_caller]
pub(crate) fn left_out() -> bool {
    let asked = std::env::var_os("DRUPE_TEST_NO_FUSE").is_some();
    if asked {
        skipped("DRUPE_TEST_NO_FUSE is set");
    }
    asked
}

/// The filesystems that the main tests are made on, with the size of the image,
/// and what makes and checks one.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    size: u64,
    mkfs: &'static [&'static str],
    fsck: &'static [&'static str],
}

pub(crate) const EXT4: Kind = Kind {
    name: "ext4",
    size: 256 << 20,
    mkfs: &["mkfs.ext4", "-q", "-b", "4096"],
    fsck: &["e2fsck", "-fn"],
};

pub(crate) const XFS: Kind = Kind {
    name: "xfs",
    size: 320 << 20,
    mkfs: &["mkfs.xfs", "-q"],
    fsck: &["xfs_repair", "-n"],
};

pub(crate) const BTRFS: Kind = Kind {
    name: "btrfs",
    size: 320 << 20,
    mkfs: &["mkfs.btrfs", "-q"],
    fsck: &["btrfs", "check"],
};

pub(crate) const VFAT: Kind = Kind {
    name: "vfat",
    size: 64 << 20,
    mkfs: &["mkfs.vfat"],
    fsck: &["fsck.vfat", "-n"],
};

impl Kind {
    /// A fresh image.
    pub(crate) fn image(&self, place: &Place) -> Outcome<PathBuf> {
        let image = place.path(format!("{}.img", self.name));
        File::create(&image)?.set_len(self.size)?;
        let (mkfs, options) = self.mkfs.split_first().ok_or("no mkfs")?;
        tool(mkfs, |mkfs| mkfs.args(options).arg(&image))?;
        Ok(image)
    }

    /// Its own checker finds nothing.
    pub(crate) fn check(&self, image: &Path) -> Outcome {
        let (fsck, options) = self.fsck.split_first().ok_or("no fsck")?;
        tool(fsck, |fsck| fsck.args(options).arg(image)).map(drop)
    }
}

/// A mounted image. Dropped, it is killed and the mount taken away.
pub(crate) struct Mounted {
    pub(crate) dir: PathBuf,
    child: Child,
}

impl Mounted {
    /// Mounts `image` on a directory of that name with `drupe mount` in the
    /// foreground, and waits until it is ready.
    pub(crate) fn new(place: &Place, image: &Path, options: &[&str]) -> Outcome<Mounted> {
        let mut command = place.command();
        command.arg("mount").args(options);
        Mounted::with(place, image, command)
    }

    /// The same with the command as far as the image.
    pub(crate) fn with(place: &Place, image: &Path, mut command: Command) -> Outcome<Mounted> {
        let name = image.file_stem().ok_or("an image without a name")?;
        let dir = place.path(format!("mnt-{}", name.to_string_lossy()));
        fs::create_dir_all(&dir)?;
        // What the command sets for the process that it leaves in the background:
        // that one is what is waited for here.
        let child = command.env("DRUPE_MOUNT_BACKGROUND", "1");
        let child = child.arg(image).arg(&dir);
        let mut child = child
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut said = String::new();
        let mut stdout = child.stdout.take().ok_or("no standard output")?;
        stdout.read_to_string(&mut said)?;
        if said != "ready\n" {
            let output = child.wait_with_output()?;
            return Err(format!(
                "not mounted: {output:?}\n\
                 hint: without FUSE, DRUPE_TEST_NO_FUSE=1 leaves these tests out"
            )
            .into());
        }
        Ok(Mounted { dir, child })
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join(name)
    }

    /// Unmounts it as its user would; it ends well.
    pub(crate) fn unmount(self) -> Outcome {
        // Detached, and unmounted with the last that uses it: a test beside this one
        // may have started a process, which has our files until it runs a program.
        tool("fusermount3", |umount| umount.arg("-uz").arg(&self.dir))?;
        self.ended()
    }

    /// Sends a signal to its process.
    pub(crate) fn signal(&self, signal: Signal) -> Outcome {
        Ok(kill_process(self.pid()?, signal)?)
    }

    fn pid(&self) -> Outcome<Pid> {
        Ok(Pid::from_raw(self.child.id().try_into()?).ok_or("no pid")?)
    }

    /// What the host says of its process.
    pub(crate) fn process_status(&self) -> Outcome<String> {
        Ok(fs::read_to_string(format!(
            "/proc/{}/status",
            self.child.id()
        ))?)
    }

    /// Kills the process that would take the mount away, a child of this one.
    pub(crate) fn kill_keeper(&self) -> Outcome {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        let keeper = Pid::from_raw(children.trim().parse()?).ok_or("no pid")?;
        kill_process(keeper, Signal::KILL)?;
        // Its way to the other one is closed by now, or is soon: it is waited for as the
        // address that it listens at.
        while std::fs::read_to_string("/proc/net/unix")?.contains(&self.address()?) {
            thread::yield_now();
        }
        Ok(())
    }

    /// Where its keeper listens.
    fn address(&self) -> Outcome<String> {
        let device = self.dir.metadata()?.dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        Ok(format!("@drupe-mount-{major}:{minor}-"))
    }

    /// Waits until nothing is mounted there any more.
    pub(crate) fn wait_until_gone(&self) -> Outcome {
        // It is ready as POLLPRI when the list has changed since it was read.
        let mut mounts = File::open("/proc/self/mountinfo")?;
        loop {
            let mut list = String::new();
            mounts.seek(SeekFrom::Start(0))?;
            mounts.read_to_string(&mut list)?;
            if !list.contains(&*self.dir.to_string_lossy()) {
                return Ok(());
            }
            poll(&mut [PollFd::new(&mounts, PollFlags::PRI)], None)?;
        }
    }

    /// What ps(1) shows as the name of its process.
    pub(crate) fn process_name(&self) -> Outcome<String> {
        let name = fs::read_to_string(format!("/proc/{}/comm", self.child.id()))?;
        Ok(name.trim().to_owned())
    }

    /// Waits for the end, which must be a success, without a mount left behind.
    pub(crate) fn ended(mut self) -> Outcome {
        let status = self.child.wait()?;
        if !status.success() {
            return Err(format!("drupe mount ended with {status}").into());
        }
        match self.is_there()? {
            true => Err("still mounted".into()),
            false => Ok(()),
        }
    }

    /// Kills it at once. Its mount stays, and says ENOTCONN.
    pub(crate) fn kill(&mut self) -> Outcome {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Whether something is mounted on the directory.
    fn is_there(&self) -> Outcome<bool> {
        let parent = self.dir.parent().ok_or("no parent")?;
        Ok(self.dir.metadata()?.dev() != parent.metadata()?.dev())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // After a failure: none of this may have anything to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mut umount = Command::new("umount");
        let umount = umount.arg("-l").arg(&self.dir).stderr(Stdio::null());
        let _ = umount.status();
    }
}

/// Mounts a fresh image of a kind, works in it, unmounts it, and has it checked.
#[track_caller]
pub(crate) fn on(kind: &Kind, work: impl FnOnce(&Mounted) -> Outcome) -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    let image = kind.image(&place)?;
    let mounted = Mounted::new(&place, &image, &[])?;
    work(&mounted)?;
    mounted.unmount()?;
    kind.check(&image)
}
