//! Mounting on the host: by mount(2) where that is allowed, else by fusermount3(1).

use std::fs::{File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// Where the host's kernel is asked to serve a filesystem.
pub(crate) const DEVICE: &str = "/dev/fuse";

/// What `mount(8)` shows as type: "fuse." and this.
const SUBTYPE: &str = "drupe";

/// What a mount is like for the host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostOptions<'a> {
    /// What mount(8) shows as the source.
    pub(crate) source: &'a str,
    pub(crate) read_only: bool,
    /// Times of access are not renewed.
    pub(crate) no_atime: bool,
    /// Users but the one who mounts may use it.
    pub(crate) allow_other: bool,
}

/// Mounts on `dir`; the device that serves it is returned.
pub(crate) fn attach(dir: &Path, options: HostOptions<'_>) -> io::Result<OwnedFd> {
    match by_mount(dir, options) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            by_fusermount(dir, options)
        }
        device => device,
    }
}

/// Takes `dir` from the host's tree, even if it is in use.
pub(crate) fn detach(dir: &Path) {
    if unmount(dir, UnmountFlags::DETACH).is_err() {
        let mut command = Command::new("fusermount3");
        command.args(["-u", "-z", "-q", "--"]).arg(dir);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        // What the host keeps then is of no use: it gives ENOTCONN.
        let _ = command.status();
    }
}

/// mount(2), which only root may use.
fn by_mount(dir: &Path, options: HostOptions<'_>) -> io::Result<OwnedFd> {
    let mode = dir.metadata()?.permissions().mode();
    let device = OpenOptions::new().read(true).write(true).open(DEVICE)?;
    let mut data = format!(
        "fd={},rootmode={mode:o},user_id={},group_id={},default_permissions",
        device.as_raw_fd(),
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    if options.allow_other {
        data.push_str(",allow_other");
    }
    let mut flags = MountFlags::NODEV | MountFlags::NOSUID;
    flags.set(MountFlags::RDONLY, options.read_only);
    flags.set(MountFlags::NOATIME, options.no_atime);
    let data = std::ffi::CString::new(data)?;
    mount(
        options.source,
        dir,
        format!("fuse.{SUBTYPE}"),
        flags,
        &*data,
    )?;
    Ok(device.into())
}

/// fusermount3(1), which may, and sends the device through a socket.
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
    let device = receive_device(&ours);
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

/// The descriptor that comes through a socket; `None` if it is closed without.
fn receive_device(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    loop {
        let flags = RecvFlags::CMSG_CLOEXEC;
        match recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut byte)],
            &mut ancillary,
            flags,
        ) {
            Err(Errno::INTR) => {}
            received => {
                received?;
                break;
            }
        }
    }
    let rights = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
        _ => None,
    });
    Ok(rights)
}

/// Checks that the host has FUSE, for us.
pub(crate) fn open_device() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(DEVICE)
}
