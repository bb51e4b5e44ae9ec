//! The Linux kernel as a library: real filesystems, read and written from
//! their disk images, without root and without mounting anything on the host.
//!
//! ```no_run
//! let kernel = drupe::Kernel::boot()?;
//! let disk = kernel.add_disk(drupe::Disk::open("disk.img")?)?;
//! let root = disk.partition(1)?.mount(drupe::MountOptions::new())?;
//! root.write("/etc/motd", "hello\n")?;
//! println!("{}", root.read_to_string("/etc/os-release")?);
//! root.umount()?;
//! # Ok::<(), drupe::Error>(())
//! ```
//!
//! A [`Kernel`] boots in the calling process; a [`Disk`] added to it is an
//! [`AttachedDisk`] with [`Partition`]s; a mounted one is a [`Mount`], whose
//! methods are those of [`std::fs`]. Each of them keeps what it needs alive and
//! releases what it owns when dropped: the last [`File`] of a mount unmounts
//! it, that removes the disk, that halts the kernel, whatever the order in
//! which the handles go. The explicit [`Mount::umount`],
//! [`AttachedDisk::remove`] and [`Kernel::halt`] return the errors that a drop
//! must swallow.
//!
//! Any thread may use any of these. The private module `sys` makes the system calls,
//! through `drupe_machine`.
//!
//! Builders and options are passed by value, as in `MountOptions::new().read_only(true)`,
//! in this crate and those around it. Only [`OpenOptions`] is passed by reference, as in
//! `std`.
//!
//! # Features
//! - `net` (on by default): sockets, namespaces and polling, the module `net`. The crate
//!   `drupe-netadmin` configures networks.
//! - `tokio`: sockets for that runtime, the module `net::tokio`.

mod attached_link;
mod builder;
mod cow;
mod device;
mod disk;
mod error;
mod fs;
mod kernel;
mod kernel_file;
mod mount;
#[cfg(feature = "net")]
pub mod net;
mod partition;
mod sys;
mod sysfs;
mod volume;
mod watched_disk;
mod window;

pub use attached_link::AttachedLink;
pub use builder::Builder;
pub use disk::{AttachedDisk, Disk, DiskOptions};
pub use drupe_abi::Errno;
pub use drupe_formats::{
    Error as ImageError, Format, QCOW2_CLUSTER, attached_loop, files as image_files, is_locked,
    is_uri, lock_holder, write_qcow2,
};
pub use drupe_host::disk::{
    Disk as BlockDevice, DiskOp, Fault, Faults, FaultyDisk, Geometry, Harm, Loss, MemoryDisk,
    Record, RecordingDisk,
};
pub use drupe_host::link::{Frame, FrameHeader, Link, LinkInfo, LinkWaker, Offloads};
pub use drupe_host::{Host, ManualClock, SystemHost, TimerWaker};
pub use drupe_machine::{DeathReport, LINUX_VERSION, Ram, with_deadline, without_deadline};
pub use drupe_ondisk::probe;
pub use drupe_ondisk::table::{Damage as TableDamage, Flaw as TableFlaw, PartitionInfo};
pub use drupe_ondisk::{CutShort, Error as VolumeError};
pub use error::{Cause, Error, Result};
pub use fs::{
    Credentials, Dir, DirEntry, DirStream, File, FileTimes, FileType, Handle, Metadata, Node,
    OpenOptions, ReadDir, Scrub, StatFs, StreamEntry, Subvolume, capability, makedev,
};
pub use kernel::{Buffer, Interrupter, Kernel};
pub use kernel_file::KernelFile;
pub use mount::{AccessTimes, Mount, MountOptions};
pub use partition::Partition;
pub use sys::nr;
pub use volume::{Passphrases, Volume, VolumeKind, Volumes};
