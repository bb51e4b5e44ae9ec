//! [`HostMount`]: a mount on the host, made by mount(2) where that is allowed, else by
//! fusermount3(1).

use std::fs::{File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// The device of FUSE.
pub(crate) const DEVICE: &str = "/dev/fuse";

/// The subtype for fusermount3(1), which makes "fuse.drupe" of it.
const SUBTYPE: &str = "drupe";

/// The mount's type, as mount(8) shows it.
pub(crate) const FSTYPE: &str = "fuse.drupe";

/// The host's options of a mount.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostOptions<'a> {
    /// The source, as mount(8) shows it.
    pub(crate) source: &'a str,
    pub(crate) read_only: bool,
    /// Whether reading leaves times of access as they are.
    pub(crate) no_atime: bool,
    /// Whether other users may use it; always so if root mounts it.
    pub(crate) allow_other: bool,
}

/// A mount on the host that this process, or its keeper, has made.
#[derive(Debug)]
pub(crate) struct HostMount {
    /// The directory, without symbolic links.
    dir: PathBuf,
    /// The host's mount ID, which tells it from other mounts on the same directory.
    id: u64,
}

impl HostMount {
    /// Mounts on `dir`. Returns also the device for serving the mount.
    pub(crate) fn attach(dir: &Path, options: HostOptions<'_>) -> io::Result<(HostMount, OwnedFd)> {
        let dir = dir.canonicalize()?;
        let device = match by_mount(&dir, options) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                by_fusermount(&dir, options)
            }
            device => device,
        }?;
        let id = mount_id(&open_path(&dir)?)?;
        Ok((HostMount { dir, id }, device))
    }

    /// Its device number, as in `/proc/self/mountinfo`.
    pub(crate) fn device_number(&self) -> io::Result<String> {
        let mounts = std::fs::read("/proc/self/mountinfo")?;
        let number = mounts.split(|&byte| byte == b'\n').find_map(|line| {
            // What is behind these may be any bytes.
            let mut fields = line.split(|&byte| byte == b' ');
            let id = std::str::from_utf8(fields.next()?).ok()?.parse();
            let number = String::from_utf8(fields.nth(1)?.to_vec()).ok()?;
            (id == Ok(self.id)).then_some(number)
        });
        number.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Makes the host write out its caches, and unmounts. The caller must serve requests
    /// meanwhile.
    pub(crate) fn detach(&self) {
        // It need not succeed: who has no access any more, such as after an umount of
        // somebody else's, has nothing to write there.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if let Ok(dir) = rustix::fs::open(&self.dir, flags, Mode::empty()) {
            let _ = rustix::fs::syncfs(&dir);
        }
        self.take_away();
    }

    /// Detaches the mount from the host's tree, even if it is in use or not served.
    pub(crate) fn take_away(&self) {
        // Not what somebody has mounted there since. To have it open keeps others from
        // unmounting it: so it is opened only now.
        let Ok(open) = open_path(&self.dir) else {
            return;
        };
        if mount_id(&open).ok() != Some(self.id) {
            return;
        }
        let path = format!("/proc/self/fd/{}", open.as_raw_fd());
        if unmount(path, UnmountFlags::DETACH).is_err() {
            drop(open);
            let mut command = Command::new("fusermount3");
            command.args(["-u", "-z", "-q", "--"]).arg(&self.dir);
            command.stdin(Stdio::null()).stderr(Stdio::null());
            // What the host keeps then is of no use: it gives ENOTCONN.
            let _ = command.status();
        }
    }
}

/// Opens the mounted root with `O_PATH`, which sends no request to the server.
fn open_path(dir: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(dir, flags, Mode::empty())?)
}

/// The host's mount ID of an open file.
fn mount_id(open: &OwnedFd) -> io::Result<u64> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", open.as_raw_fd()))?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    let id = id.and_then(|id| id.trim().parse().ok());
    id.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Mounts with mount(2), which only root may use.
fn by_mount(dir: &Path, options: HostOptions<'_>) -> io::Result<OwnedFd> {
    let mode = dir.metadata()?.permissions().mode();
    let device = OpenOptions::new().read(true).write(true).open(DEVICE)?;
    let mut data = format!(
        "fd={},rootmode={mode:o},user_id={},group_id={},default_permissions",
        device.as_raw_fd(),
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    if options.allow_other || rustix::process::geteuid().is_root() {
        data.push_str(",allow_other");
    }
    let mut flags = MountFlags::NODEV | MountFlags::NOSUID;
    flags.set(MountFlags::RDONLY, options.read_only);
    flags.set(MountFlags::NOATIME, options.no_atime);
    let data = std::ffi::CString::new(data)?;
    mount(options.source, dir, FSTYPE, flags, &*data)?;
    Ok(device.into())
}

/// Mounts with fusermount3(1), which is set-user-ID root and sends the device through a
/// socket.
fn by_fusermount(dir: &Path, options: HostOptions<'_>) -> io::Result<OwnedFd> {
    // It separates options with commas, and unescapes.
    let source = options.source.replace('\\', "\\\\").replace(',', "\\,");
    let mut list = format!("fsname={source},subtype={SUBTYPE},default_permissions");
    for (wanted, option) in [
        (options.read_only, ",ro"),
        (options.no_atime, ",noatime"),
        (options.allow_other, ",allow_other"),
    ] {
        if wanted {
            list.push_str(option);
        }
    }
    let (theirs, ours) = UnixStream::pair()?;
    let child = Command::new("fusermount3")
        .args(["-o", &list, "--"])
        .arg(dir)
        // Its standard input is the socket: no other descriptor is inherited.
        .env("_FUSE_COMMFD", "0")
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("fusermount3: {error}")))?;
    let device = receive(&ours, &mut [0]).map(|(_, device)| device);
    // Before it is waited for: it may wait for us to have gone.
    drop(ours);
    let output = child.wait_with_output()?;
    match device? {
        Some(device) => Ok(device),
        None => Err(io::Error::other(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        )),
    }
}

/// Receives a message from a socket: its length, and the descriptor that came with it.
pub(crate) fn receive(
    socket: impl AsFd,
    message: &mut [u8],
) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let flags = RecvFlags::CMSG_CLOEXEC;
        let mut parts = [IoSliceMut::new(message)];
        match recvmsg(&socket, &mut parts, &mut ancillary, flags) {
            Err(Errno::INTR) => {}
            received => break received?,
        }
    };
    let rights = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
        _ => None,
    });
    Ok((received.bytes, rights))
}

/// Opens `/dev/fuse`; an error says why it cannot be used.
pub(crate) fn open_device() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(DEVICE)
}
