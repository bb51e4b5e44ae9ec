//! Options of `drupe mount` and `drupe umount`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args as ClapArgs;

pub(super) const MOUNT: &str = "\
Mount a filesystem of an image on a directory, through FUSE

Any program can use its files then. The real filesystem does the work; the \
host's kernel checks permissions and caches. Unmount with drupe umount DIR.";

pub(super) const MOUNT_NOTES: &str = "\
SIGTERM, SIGINT and SIGHUP unmount too; files that are still open give ENOTCONN
then. `fusermount3 -u DIR` (or `umount DIR`, as root) returns before the image is
clean, and cannot tell what failed. What fsync has acknowledged survives a crash
of anything.

When the host refuses to write to the image, for want of room for example, every
change from then on is refused with that error, `drupe umount` fails, and the
system's log says why.

The image is locked (flock(2)) as long as it is mounted. A virtual machine of QEMU
is not noticed, since QEMU locks in another way (OFD locks, fcntl(2)), nor does QEMU
notice the mount: never mount an image that a virtual machine uses.

Files keep their owners: as an ordinary user, you can change what belongs to you
in the image. Other users, root included, see nothing without --allow-other.

Needs /dev/fuse, and fusermount3 (Debian: fuse3) unless you are root.";

#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Mount {
    /// Stay in the foreground
    ///
    /// Otherwise the command returns as soon as the filesystem is mounted.
    #[arg(short, long)]
    pub(crate) foreground: bool,

    /// Let other users use the mount, as far as permissions allow
    ///
    /// Always on for root. For others, /etc/fuse.conf must contain `user_allow_other`.
    #[arg(long)]
    pub(crate) allow_other: bool,

    /// Let the host's page cache gather small writes
    ///
    /// Faster, but modification times are then the host's, and a full disk shows late.
    #[arg(long)]
    pub(crate) writeback: bool,

    /// Filesystem to mount: IMAGE[@PART]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: OsString,

    /// Empty directory to mount it on
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

pub(super) const UMOUNT: &str = "\
Unmount what `mount` has mounted, and wait until the image is clean

Fails if something of what was written did not reach the image, and says why. A \
directory that is in use stays mounted. Run it in the network namespace in which \
`mount` ran: in another one it cannot reach the process that serves the mount, and fails.";

#[derive(Debug, ClapArgs)]
pub(crate) struct Umount {
    /// Directory that it is mounted on
    #[arg(required = true, value_name = "DIR")]
    pub(crate) dirs: Vec<PathBuf>,
}
